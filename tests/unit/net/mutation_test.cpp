// Random damage to frames of all link types: decode() stays inside the captured bytes, its answers
// are consistent, and the fast path agrees with the long way. Frames lie at the end of their own
// allocation, so ASan sees every step outside.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "frame_bytes.hpp"
#include "net/decode.hpp"
#include "net/five_tuple.hpp"
#include "net/ieee80211.hpp"
#include "net/ip.hpp"
#include "net/tcp_checksum.hpp"
#include "net/tcp_options.hpp"
#include "support/tunnel_builder.hpp"

namespace flowloom::test {
namespace {

constexpr unsigned kSeed = 20240601;

std::vector<Bytes> seeds() {
  const Bytes options = join({{1, 1, 8, 10}, be32(1), be32(2)});
  const Bytes v4 = tcp4({.options = options, .payload = Bytes(90, 'x')});
  const Bytes v6 = tcp6({.options = options, .payload = Bytes(90, 'x')});
  const Bytes chain = ipv6(tcp_segment({}), 0, {60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4,
                                                0,  0, 0, 0, 6, 0, 0, 0, 1,  2, 3, 4});
  const Bytes labels = join({be32(16 << 12), be32(17 << 12 | 0x100)});
  return {
      ethernet(0x0800, v4),
      ethernet(0x86dd, v6),
      ethernet(0x86dd, chain),
      ethernet(0x0800, ipv4(tcp_segment({}), {.options = {7, 7, 4, 0, 0, 0, 0, 0}})),
      ethernet(0x88a8, join({be16(3), be16(0x8100), be16(4), be16(0x0800), v4})),
      ethernet(0x8847, join({labels, v6})),
      ethernet(0x8864, join({{0x11, 0, 0, 1, 0, 99, 0, 0x21}, v4})),
      ethernet(100, join({{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, v4})),
      join({{2, 0, 0, 0}, v4}),
      join({zeros(14), {8, 0}, v4}),
      join({{0x86, 0xdd}, zeros(18), v6}),
      join({{0xff, 3, 0, 0x21}, v4}),
      join({{0, 0, 13, 0, 7, 0, 0, 0x80},
            zeros(4),
            {0x30},
            {0x88, 3, 0, 0},
            zeros(26),
            {0x80, 0},
            zeros(14),
            {0xaa, 0xaa, 3, 0, 0, 0, 8, 0},
            v4}),
      join({{0x08, 1, 0, 0}, zeros(20), {0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, v4}),
      join({{2, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 99, 0, 9, 0}, v4}),
      join({{0x44, 0, 0, 0, 144, 0, 0, 0}, zeros(136), {0x08, 1, 0, 0}, zeros(20), v4}),
      ethernet(0x86dd, ipv6(zeros(20), 59)),
      ethernet(0x0800, tcp4({}, {.destination = {224, 0, 0, 1}})),
      ethernet(0x0800, tcp4({}, {.source = {0, 0, 0, 0}})),
      ethernet(0x0800, tcp4({}, {.options = {131, 7, 4, 10, 0, 0, 5, 0}})),
      ethernet(0x86dd, join({{0x60, 0, 0, 0}, be16(20), {6, 0}, zeros(16), {0xff}, zeros(35)})),
      v4,
      v6,
      vxlan(42, ethernet(0x86dd, v6)),
      gtp(5, ethernet(0x0800, v4)),
      nvgre(7, 1, ethernet(0x0800, v4)),
      keyed_gre(9, vxlan(3, ethernet(0x0800, v4))),
  };
}

struct Mutant {
  Bytes frame;
  std::uint32_t wire_length;
  LinkType link;
};

class Mutator {
 public:
  Mutant next() {
    const Bytes& seed = seeds_[below(seeds_.size())];
    Mutant mutant{seed, 0, LinkType::Ethernet};
    const std::size_t flips = below(4);
    for (std::size_t i = 0; i < flips; ++i) {
      // Mostly in the headers, where it matters.
      const std::size_t at =
          below(below(2) == 0 ? std::min<std::size_t>(60, seed.size()) : seed.size());
      mutant.frame[at] = below(2) == 0
                             ? static_cast<std::uint8_t>(random_())
                             : static_cast<std::uint8_t>(mutant.frame[at] ^ 1U << below(8));
    }
    mutant.wire_length = static_cast<std::uint32_t>(mutant.frame.size());
    if (below(4) == 0) {
      mutant.frame.resize(below(mutant.frame.size() + 1));
      mutant.frame.shrink_to_fit();
      if (below(2) == 0) mutant.wire_length = static_cast<std::uint32_t>(mutant.frame.size());
    }
    if (below(16) == 0) mutant.wire_length = static_cast<std::uint32_t>(random_());
    constexpr std::size_t kRows = static_cast<std::size_t>(LinkType::Contradicted) + 1;
    if (below(3) != 0) mutant.link = static_cast<LinkType>(below(kRows));
    return mutant;
  }

  std::size_t below(std::size_t n) { return random_() % n; }

 private:
  std::mt19937 random_{kSeed};
  std::vector<Bytes> seeds_ = seeds();
};

// Repairs the IPv4 header checksum of an Ethernet frame, so that damage reaches later rules.
void repair(Bytes& frame) {
  if (frame.size() < 34 || (frame[14] & 0x0f) < 5) return;
  Bytes datagram(frame.begin() + 14, frame.end());
  if (datagram.size() < (datagram[0] & 15U) * 4) return;
  fix_ipv4_checksum(datagram);
  std::copy(datagram.begin(), datagram.end(), frame.begin() + 14);
}

void expect_consistent(const Packet& packet) {
  ASSERT_LT(static_cast<std::size_t>(packet.verdict), kVerdictCount);
  if (packet.verdict == Verdict::Fragment) {
    ASSERT_LT(packet.ip_offset, packet.tcp_offset);
    ASSERT_LE(packet.tcp_offset, packet.captured);
  }
  if (packet.verdict != Verdict::Tcp) return;
  ASSERT_LE(packet.ip_offset + 20U, packet.tcp_offset);
  const TcpHeader tcp = tcp_header_of(packet);
  ASSERT_LE(packet.tcp_offset + kTcpMinHeaderBytes, packet.captured);
  ASSERT_LE(packet.payload_length, 1U << 20);
  ASSERT_EQ(packet.has(packet_flags::kSnapped),
            packet.tcp_offset + tcp.header_bytes() + packet.payload_length > packet.captured);
  ASSERT_EQ(packet.payload_length > captured_payload(packet).size(),
            packet.has(packet_flags::kSnapped) && packet.payload_length > 0);
  ASSERT_GE(ip_length_of(packet), packet.payload_length);
  ASSERT_EQ(packet.has(packet_flags::kIpv6), (packet.frame[packet.ip_offset] >> 4) == 6);
}

void use(const Packet& decoded) {
  Packet packet = decoded;
  if (packet.verdict != Verdict::Tcp) return;
  hash_flow(packet, {});
  (void)flow_key_of(packet);
  (void)check_tcp_checksum(packet);
  ASSERT_LE(list_encapsulation(packet).count, kMaxEncapsulationLayers);
  (void)parse_tcp_options(captured_options(packet));
}

TEST(Mutation, StaysInsideAndConsistent) {
  Mutator mutator;
  std::array<Packet, kMaxAmsduSubframes> parts{};
  std::array<int, kVerdictCount> seen{};
  for (int i = 0; i < 400'000; ++i) {
    Mutant mutant = mutator.next();
    if (mutator.below(2) == 0) repair(mutant.frame);
    Packet packet = packet_of(mutant.frame, mutant.link);
    packet.wire_length = mutant.wire_length;
    decode(packet, {});
    ASSERT_NO_FATAL_FAILURE(expect_consistent(packet)) << i;
    ASSERT_NO_FATAL_FAILURE(use(packet)) << i;
    ++seen[static_cast<std::size_t>(packet.verdict)];
    const std::uint32_t count = split_amsdu(packet, parts);
    for (std::uint32_t k = 0; k < count; ++k) {
      decode(parts[k], {});
      ASSERT_NO_FATAL_FAILURE(expect_consistent(parts[k])) << i;
    }
  }
  // The damage reaches every verdict that a decoder can give.
  for (std::size_t v = 0; v < kVerdictCount; ++v) {
    const auto verdict = static_cast<Verdict>(v);
    if (verdict == Verdict::Filtered || verdict == Verdict::TableFull ||
        verdict == Verdict::LaneFull ||
        verdict == Verdict::BadTcpChecksum || verdict == Verdict::TooManyTags ||
        verdict == Verdict::TooManyLayers || verdict == Verdict::TooManyTunnels ||
        verdict == Verdict::TooManyExtensions) {
      continue;
    }
    EXPECT_GT(seen[v], 0) << kVerdictNames[v];
  }
}

TEST(Mutation, FastPathAgreesWithTheLongWay) {
  Mutator mutator;
  int tcp = 0;
  for (int i = 0; i < 400'000; ++i) {
    Mutant mutant = mutator.next();
    if (mutator.below(2) == 0) repair(mutant.frame);
    Packet fast = packet_of(mutant.frame, LinkType::Ethernet);
    fast.wire_length = mutant.wire_length;
    fast.flags = static_cast<std::uint8_t>(mutator.below(256));
    Packet slow = fast;
    DecodeOptions options;
    options.header_checksum = static_cast<HeaderChecksum>(mutator.below(3));
    decode(fast, options);
    decode_by_layers(slow, options);
    ASSERT_EQ(fast.verdict, slow.verdict) << i;
    ASSERT_EQ(fast.flags, slow.flags) << i;
    ASSERT_EQ(fast.payload_length, slow.payload_length) << i;
    ASSERT_EQ(fast.encapsulation, slow.encapsulation) << i;
    ASSERT_EQ(fast.ip_offset, slow.ip_offset) << i;
    ASSERT_EQ(fast.tcp_offset, slow.tcp_offset) << i;
    if (fast.verdict == Verdict::Tcp) ++tcp;
  }
  EXPECT_GT(tcp, 10'000);
}

}  // namespace
}  // namespace flowloom::test
