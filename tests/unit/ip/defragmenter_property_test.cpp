// Random datagrams in random fragments come out as they went in: reordered, repeated, many at once,
// both IP versions, and the fragments of real captures, whose TCP checksums are the oracle. Random
// rubbish comes out as nothing, without a step outside of a frame.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "fragment_builder.hpp"
#include "net/link_type.hpp"
#include "net/tcp_checksum.hpp"

namespace flowloom::test {
namespace {

constexpr unsigned kSeed = 20250802;

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::uint32_t below(std::size_t n) { return static_cast<std::uint32_t>(engine_() % n); }
  Bytes bytes(std::size_t count) {
    Bytes all(count);
    for (std::uint8_t& b : all) b = static_cast<std::uint8_t>(engine_());
    return all;
  }
  template <class Container>
  void shuffle(Container& c) {
    std::shuffle(c.begin(), c.end(), engine_);
  }

 private:
  std::mt19937 engine_;
};

/// Cuts [0, bytes) at random multiples of 8; the first piece has at least `first_min` bytes.
std::vector<Span> cut(Random& random, std::uint32_t bytes, std::uint32_t first_min) {
  std::vector<Span> spans;
  const std::uint32_t longest = 1 + random.below(200);  // in units
  for (std::uint32_t at = 0; at < bytes;) {
    std::uint32_t length = 8 * (1 + random.below(longest));
    if (at == 0) length = std::max(length, (first_min + 7) / 8 * 8);
    const bool last = at + length >= bytes;
    spans.push_back({at, last ? bytes - at : length, last ? More::No : More::Yes});
    at += length;
  }
  return spans;
}

struct Original {
  Bytes whole;
  std::vector<Bytes> fragments;
};

Original random_datagram(Random& random, std::uint16_t id) {
  const bool ipv6_wanted = random.below(2) == 0;
  const std::uint32_t size = random.below(20) == 0 ? 65000 : 1 + random.below(9000);
  const Bytes data = random.bytes(size);
  Original original;
  if (ipv6_wanted) {
    original.whole = ipv6(data);
    for (const Span& s : cut(random, size, 24)) {
      if (s.offset == 0 && s.more == More::No) continue;  // would be an atomic fragment
      original.fragments.push_back(
          ipv6_fragment(slice(data, s.offset, s.length), s.offset, s.more, id));
    }
    return original;
  }
  const Ipv4FragmentSpec spec{.id = id, .options = random.below(4) == 0 ? Bytes(8, 1) : Bytes{}};
  original.whole = ipv4_fragment(data, 0, More::No, spec);
  for (const Span& s : cut(random, size, 8)) {
    if (s.offset == 0 && s.more == More::No) continue;
    original.fragments.push_back(
        ipv4_fragment(slice(data, s.offset, s.length), s.offset, s.more, spec));
  }
  return original;
}

TEST(DefragmenterProperty, ReassembledEqualsTheOriginal) {
  Random random(kSeed);
  for (const char* policy : {"bsd", "last", "windows", "bsd-right", "discard"}) {
    Feeder feeder({.ipv4_overlap = *fragment_overlap_from_name(policy)});
    for (int round = 0; round < 40; ++round) {
      std::vector<Original> originals;
      std::vector<std::pair<std::size_t, Bytes>> traffic;
      for (std::uint16_t i = 0; i < 10; ++i) {
        originals.push_back(random_datagram(random, static_cast<std::uint16_t>(round * 10 + i)));
        for (const Bytes& f : originals.back().fragments) {
          traffic.emplace_back(i, f);
          if (random.below(8) == 0) traffic.emplace_back(i, f);  // may come after completion
        }
      }
      random.shuffle(traffic);
      std::vector<int> complete(originals.size());
      for (const auto& [which, fragment] : traffic) {
        const Outcome outcome = feeder.add(fragment, at_seconds(round * 100));
        ASSERT_FALSE(outcome.reject) << policy;
        if (!outcome.datagram) continue;
        ++complete[which];
        ASSERT_EQ(*outcome.datagram, originals[which].whole) << policy << " seed " << kSeed;
      }
      for (std::size_t i = 0; i < originals.size(); ++i) {
        // All duplicates behind the first completion may make another one of the same bytes.
        EXPECT_GE(complete[i], originals[i].fragments.empty() ? 0 : 1);
      }
    }
    EXPECT_EQ(feeder.defragmenter.counters().overlap_conflicts, 0U);
    feeder.defragmenter.finish();
    EXPECT_TRUE(feeder.balances());
    EXPECT_EQ(feeder.defragmenter.counters().evicted, 0U);
  }
}

// The order of arrival does not matter where the bytes agree, nor how the overlaps lie.
TEST(DefragmenterProperty, OverlapsWithEqualBytesLeaveTheOriginal) {
  Random random(kSeed + 1);
  for (const char* policy : {"bsd", "bsd-right", "first", "last", "linux", "solaris", "windows"}) {
    Feeder feeder({.ipv4_overlap = *fragment_overlap_from_name(policy)});
    for (std::uint16_t id = 0; id < 150; ++id) {
      const std::uint32_t size = 16 + random.below(3000);
      const Bytes data = random.bytes(size);
      const Ipv4FragmentSpec spec{.id = id};
      std::vector<Span> spans = cut(random, size, 8);
      if (spans.size() < 2) continue;
      for (std::uint32_t i = random.below(10); i-- > 0;) {
        const std::uint32_t units = size / 8;
        const std::uint32_t from = random.below(units);
        const std::uint32_t length = 8 * (1 + random.below(units - from));
        spans.push_back({from * 8, length, More::Yes});
      }
      random.shuffle(spans);
      bool complete = false;
      for (const Span& s : spans) {
        const Outcome outcome =
            feeder.add(ipv4_fragment(slice(data, s.offset, s.length), s.offset, s.more, spec));
        ASSERT_FALSE(outcome.reject);
        if (!outcome.datagram) continue;
        ASSERT_EQ(*outcome.datagram, ipv4_fragment(data, 0, More::No, spec)) << policy;
        complete = true;
      }
      EXPECT_TRUE(complete) << policy;
    }
    EXPECT_EQ(feeder.defragmenter.counters().overlap_conflicts, 0U);
  }
}

// Few keys, few positions, every field at random: whatever completes is parsed again, and the
// books balance. ASan and UBSan watch.
TEST(DefragmenterProperty, RubbishIsSurvived) {
  Random random(kSeed + 2);
  std::uint64_t complete = 0;
  for (std::size_t p = 0; p < 9; ++p) {
    DefragmentSettings settings;
    settings.ipv4_overlap = kFragmentOverlapNames[p].policy;
    settings.memory_bytes = random.below(2) == 0 ? 0 : std::size_t{32} << 20;
    settings.ipv6_chain = random.below(2) == 0 ? Ipv6HeaderChain::Any : Ipv6HeaderChain::Whole;
    Feeder feeder(settings);
    std::int64_t clock = 0;
    for (int i = 0; i < 20000; ++i) {
      clock += random.below(10) == 0 ? random.below(20'000'000'000) : 0;
      const std::uint32_t offset =
          8 * (random.below(20) == 0 ? random.below(8192) : random.below(12));
      const std::uint32_t length = random.below(4) == 0 ? random.below(60) : 8 * random.below(12);
      const More more = random.below(4) == 0 ? More::No : More::Yes;
      const Bytes data = random.bytes(random.below(300) == 0 ? random.below(60000) : length);
      const std::uint16_t id = static_cast<std::uint16_t>(random.below(4));
      Bytes frame = random.below(2) == 0 ? ipv4_fragment(data, offset, more, {.id = id})
                                         : ipv6_fragment(data, offset & 0xffff, more, id);
      if (random.below(5) == 0) {
        const std::size_t at = random.below(std::min<std::size_t>(frame.size(), 60));
        frame[at] = static_cast<std::uint8_t>(random.below(256));
        if (frame[0] >> 4 == 4 && (frame[0] & 15) == 5) fix_ipv4_checksum(frame);
      }
      const Bytes exact(frame.begin(), frame.end());
      Packet packet = packet_of(exact, LinkType::Raw);
      if (random.below(20) == 0) packet.captured -= random.below(packet.captured);
      packet.clock = Timestamp{Duration{clock}};
      decode(packet, {});
      if (packet.verdict != Verdict::Fragment) continue;
      if (!feeder.take(packet).datagram) continue;
      ++complete;
      Packet whole = feeder.last_packet;
      decode(whole, {});
      ASSERT_NE(whole.verdict, Verdict::Fragment);
      ASSERT_NE(whole.verdict, Verdict::BadIpChecksum);
      ASSERT_NE(whole.verdict, Verdict::TruncatedIp);
    }
    feeder.defragmenter.finish();
    EXPECT_TRUE(feeder.balances());
    EXPECT_EQ(feeder.defragmenter.open_datagrams(), 0U);
  }
  EXPECT_GT(complete, 300U);
}

// A pcap file read with nothing but this: native byte order, one link type.
std::vector<std::pair<Bytes, Timestamp>> read_pcap(const std::filesystem::path& path,
                                                   LinkType* link) {
  std::ifstream in(path, std::ios::binary);
  const std::string file((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto word = [&](std::size_t at) { return load_native<std::uint32_t>(file.data() + at); };
  std::vector<std::pair<Bytes, Timestamp>> frames;
  if (file.size() < 24 || word(0) != 0xa1b2c3d4) return frames;
  *link = link_type_from_number(word(20));
  for (std::size_t at = 24; at + 16 <= file.size();) {
    const std::size_t captured = word(at + 8);
    if (at + 16 + captured > file.size()) break;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(file.data()) + at + 16;
    const std::int64_t ns = std::int64_t{word(at)} * 1'000'000'000 + word(at + 4) * 1000;
    frames.emplace_back(Bytes(bytes, bytes + captured), Timestamp{Duration{ns}});
    at += 16 + captured;
  }
  return frames;
}

TEST(DefragmenterProperty, FragmentsOfRealCapturesHaveGoodTcpChecksums) {
  const char* folder = std::getenv("FLOWLOOM_CAPTURES");
  if (folder == nullptr) return; // no real captures here: the made ones above must do
  std::map<std::string, int> good;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    LinkType link = LinkType::Unknown;
    Feeder feeder;
    for (const auto& [frame, clock] : read_pcap(entry.path(), &link)) {
      Packet packet = packet_of(frame, link);
      packet.clock = clock;
      decode(packet, {});
      if (packet.verdict != Verdict::Fragment || !feeder.take(packet).datagram) continue;
      Packet whole = feeder.last_packet;
      decode(whole, {});
      if (whole.verdict != Verdict::Tcp) continue;
      EXPECT_EQ(check_tcp_checksum(whole), ChecksumResult::Good) << entry.path();
      ++good[entry.path().filename().string()];
    }
  }
  int sum = 0;
  for (const auto& [name, count] : good) sum += count;
  RecordProperty("reassembled_segments", sum);
  RecordProperty("captures", static_cast<int>(good.size()));
}

}  // namespace
}  // namespace flowloom::test
