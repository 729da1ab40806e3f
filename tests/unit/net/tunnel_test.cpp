// Every tunnel with IPv4 and IPv6 in it: what is found, listed and identified; every truncation;
// nesting; and what only looks like a tunnel.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frame_bytes.hpp"
#include "net/decode.hpp"
#include "net/tcp_checksum.hpp"
#include "net/tcp_header.hpp"
#include "support/tunnel_builder.hpp"

namespace flowloom::test {
namespace {

const Bytes kInner4 = ethernet(0x0800, tcp4());
const Bytes kInner6 = ethernet(0x86dd, tcp6());

Packet decoded(const Bytes& frame) {
  Packet packet = packet_of(frame, LinkType::Ethernet);
  decode(packet, {});
  return packet;
}

std::string payload_of(const Packet& packet) {
  const ByteView payload = captured_payload(packet);
  return {payload.begin(), payload.end()};
}

std::string listed(const Packet& packet) {
  std::string text;
  const EncapsulationList list = list_encapsulation(packet);
  for (std::uint32_t i = 0; i < list.count; ++i) {
    const EncapsulationKind& kind = kind_of(list.layers[i]);
    if (i > 0) text += ' ';
    text += kind.name;
    if (kind.id == EncapsulationId::Shown) text += ':' + std::to_string(list.layers[i].id);
  }
  return text;
}

class TunnelTest : public testing::TestWithParam<Tunnel> {};

void expect_carried(const Packet& packet, bool ipv6) {
  ASSERT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(payload_of(packet), "hello");
  EXPECT_EQ(packet.has(packet_flags::kIpv6), ipv6);
  EXPECT_TRUE(packet.has(packet_flags::kEncapsulated));
  EXPECT_FALSE(packet.has(packet_flags::kSnapped));
  EXPECT_EQ(check_tcp_checksum(packet), ChecksumResult::Good);
}

TEST_P(TunnelTest, CarriesBothVersions) {
  const Bytes four = GetParam().wrap(kInner4);
  const Bytes six = GetParam().wrap(kInner6);
  expect_carried(decoded(four), false);
  expect_carried(decoded(six), true);
  EXPECT_EQ(list_encapsulation(decoded(four)).count, GetParam().layers);
  if (!GetParam().record.empty()) {
    EXPECT_EQ(listed(decoded(four)).substr(0, GetParam().record.size()), GetParam().record);
  }
}

// Padding of the outer frame never becomes payload.
TEST_P(TunnelTest, PaddingIsLeftOut) {
  const Bytes frame = join({GetParam().wrap(kInner4), zeros(40)});
  expect_carried(decoded(frame), false);
}

// The frame lies at the end of its allocation, so ASan sees every step outside.
TEST_P(TunnelTest, EveryTruncation) {
  const Bytes whole = GetParam().wrap(kInner4);
  const std::size_t payload_at = whole.size() - 5;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    Packet snapped = packet_of(part, LinkType::Ethernet);
    snapped.wire_length = static_cast<std::uint32_t>(whole.size());
    decode(snapped, {});
    ASSERT_EQ(snapped.verdict == Verdict::Tcp, size >= payload_at) << size;
    if (size >= payload_at) {
      EXPECT_TRUE(snapped.has(packet_flags::kSnapped));
      EXPECT_EQ(snapped.payload_length, 5U);
      EXPECT_EQ(payload_of(snapped), std::string("hello").substr(0, size - payload_at));
    }
    // Cut on the wire: a host drops what is shorter than it says. Shims below IP say nothing.
    Packet cut = packet_of(part, LinkType::Ethernet);
    decode(cut, {});
    EXPECT_NE(cut.verdict, Verdict::Tcp) << size;
  }
}

// Whatever byte is damaged: consistent, and inside.
TEST_P(TunnelTest, EveryDamagedByte) {
  const Bytes whole = GetParam().wrap(kInner6);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned mask : {0x01U, 0x80U, 0x40U, 0xffU}) {
      Bytes damaged = whole;
      damaged[at] = static_cast<std::uint8_t>(damaged[at] ^ mask);
      const Packet packet = decoded(damaged);
      if (packet.verdict != Verdict::Tcp) continue;
      ASSERT_LE(packet.tcp_offset + 20U, packet.captured);
      ASSERT_EQ(packet.has(packet_flags::kSnapped),
                captured_payload(packet).size() < packet.payload_length);
      (void)list_encapsulation(packet);
    }
  }
}

TEST_P(TunnelTest, IsPartOfTheIdentityAsItsRowSays) {
  const Bytes frame = GetParam().wrap(kInner4);
  const Packet packet = decoded(frame);
  const EncapsulationList list = list_encapsulation(packet);
  bool counts = false;
  for (std::uint32_t i = 0; i < list.count; ++i) {
    counts |= kind_of(list.layers[i]).identity != EncapsulationIdentity::Nothing;
  }
  EXPECT_EQ(packet.encapsulation != 0, counts);
}

INSTANTIATE_TEST_SUITE_P(All, TunnelTest, testing::ValuesIn(all_tunnels()),
                         [](const auto& row) { return row.param.name; });

TEST(IpInIp, IsNamedByBothVersions) {
  const Bytes four = datagram_of(kInner4);
  const Bytes six = datagram_of(kInner6);
  const Bytes frames[] = {outer_ipv4(4, four), outer_ipv4(41, six), outer_ipv6(4, four),
                          outer_ipv6(41, six)};
  EXPECT_EQ(listed(decoded(frames[0])), "ipip");
  EXPECT_EQ(listed(decoded(frames[1])), "6in4");
  EXPECT_EQ(listed(decoded(frames[2])), "4in6");
  EXPECT_EQ(listed(decoded(frames[3])), "6in6");
}

TEST(Teredo, WithAndWithoutItsHeaders) {
  const Bytes authentication = join({{0, 1, 2, 3}, zeros(5), zeros(8), {0}});
  const Bytes origin = join({{0, 0}, zeros(6)});
  for (const Bytes& before : {Bytes{}, authentication, origin, join({authentication, origin})}) {
    const Bytes frame = outer_udp(3544, join({before, datagram_of(kInner6)}));
    expect_carried(decoded(frame), true);
    EXPECT_EQ(listed(decoded(frame)), "teredo");
    const Bytes back = outer_udp(40000, join({before, datagram_of(kInner6)}), 3544);
    EXPECT_EQ(decoded(back).verdict, Verdict::Tcp);
  }
  EXPECT_EQ(decoded(outer_udp(3544, datagram_of(kInner4))).verdict, Verdict::Udp);
}

TEST(TunnelNesting, EightOfEachAreFollowedAndNoMore) {
  for (const Tunnel& tunnel : all_tunnels()) {
    const bool over_ip = tunnel.wrap(kInner4)[13] == 0x00 || tunnel.wrap(kInner4)[13] == 0xdd;
    if (tunnel.layers > 1 || !over_ip) continue;  // these are tags as well, or nothing but tags
    Bytes frame = kInner4;
    for (std::uint32_t i = 0; i < kMaxTunnels; ++i) frame = tunnel.wrap(frame);
    const Packet packet = decoded(frame);
    ASSERT_EQ(packet.verdict, Verdict::Tcp) << tunnel.name;
    EXPECT_EQ(list_encapsulation(packet).count, kMaxTunnels) << tunnel.name;
    EXPECT_EQ(payload_of(packet), "hello");
  }
}

TEST(TunnelNesting, NinthTunnelHasAVerdictOfItsOwn) {
  for (const Bytes& innermost : {kInner4, kInner6}) {
    Bytes frame = innermost;
    for (std::uint32_t i = 0; i <= kMaxTunnels; ++i) frame = keyed_gre(i, frame);
    EXPECT_EQ(decoded(frame).verdict, Verdict::TooManyTunnels);
  }
}

TEST(TunnelNesting, DeepestWithTagsBetween) {
  Bytes frame = kInner4;
  for (std::uint32_t i = 0; i < kMaxTunnels; ++i) {
    const Bytes tagged = ethernet(0x8100, join({be16(i + 1), be16(0x0800), datagram_of(frame)}));
    frame = vxlan(i, tagged);
  }
  const Packet packet = decoded(frame);
  ASSERT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(list_encapsulation(packet).count, kMaxEncapsulationLayers);
  const Bytes one_more = ethernet(0x8100, join({be16(9), be16(0x0800), datagram_of(frame)}));
  EXPECT_EQ(decoded(one_more).verdict, Verdict::TooManyTags);
}

TEST(TunnelIdentity, NetworksAreDirectionsAreNot) {
  const auto of = [](const Bytes& frame) { return decoded(frame).encapsulation; };
  EXPECT_NE(of(vxlan(1, kInner4)), of(vxlan(2, kInner4)));
  EXPECT_NE(of(vxlan(1, kInner4)), of(kInner4));
  EXPECT_NE(of(nvgre(1, 0, kInner4)), of(nvgre(2, 0, kInner4)));
  EXPECT_EQ(of(nvgre(1, 0, kInner4)), of(nvgre(1, 255, kInner4)));  // spreads load, per direction
  EXPECT_NE(of(keyed_gre(1, kInner4)), of(keyed_gre(2, kInner4)));
  EXPECT_EQ(of(gtp(1, kInner4)), of(gtp(2, kInner4)));
  EXPECT_NE(of(gtp(1, kInner4)), of(kInner4));
  EXPECT_EQ(decoded(gtp(1, kInner6)).encapsulation & 1, 1U);
}

// A NIC that does not look into tunnels has verified the checksum of the outer UDP header.
TEST(TunnelChecksum, ReceiversSayNothingOfTheInnerSegment) {
  Bytes inner = tcp4();
  inner.back() ^= 1;
  const Bytes frame = vxlan(1, ethernet(0x0800, inner));
  for (const std::uint8_t flag : {packet_flags::kChecksumGood, packet_flags::kChecksumBad}) {
    Packet packet = packet_of(frame, LinkType::Ethernet);
    packet.flags = flag;
    decode(packet, {});
    EXPECT_FALSE(packet.has(flag));
    EXPECT_EQ(check_tcp_checksum(packet), ChecksumResult::Bad);
  }
}

struct NoTunnel {
  std::string name;
  Bytes frame;
  Verdict verdict;
};

class NoTunnelTest : public testing::TestWithParam<NoTunnel> {};

TEST_P(NoTunnelTest, IsWhatItIs) {
  EXPECT_EQ(decoded(GetParam().frame).verdict, GetParam().verdict);
}

std::uint32_t size_of(const Bytes& bytes) {
  return static_cast<std::uint32_t>(bytes.size());
}

Bytes gre_frame(std::uint16_t flags, std::uint16_t type, const Bytes& rest) {
  return outer_ipv4(47, join({be16(flags), be16(type), rest}));
}

std::vector<NoTunnel> no_tunnels() {
  const Bytes ip = datagram_of(kInner4);
  const Bytes number = be32(42 << 8);
  Bytes too_long = ip;
  put16(too_long, 2, 1000);
  Bytes short_udp = outer_udp(4789, join({{8, 0, 0, 0}, number, kInner4}));
  put16(short_udp, 38, 20);
  Bytes long_udp = outer_udp(4789, join({{8, 0, 0, 0}, number, kInner4}));
  put16(long_udp, 38, 2000);
  return {
      {"other_port", outer_udp(53, join({{8, 0, 0, 0}, number, kInner4})), Verdict::Udp},
      {"vxlan_without_number", outer_udp(4789, join({{0, 0, 0, 0}, number, kInner4})),
       Verdict::Udp},
      {"vxlan_arp", outer_udp(4789, join({{8, 0, 0, 0}, number, ethernet(0x806, zeros(46))})),
       Verdict::Udp},
      {"vxlan_inner_too_long",
       outer_udp(4789, join({{8, 0, 0, 0}, number, ethernet(0x0800, too_long)})), Verdict::Udp},
      {"udp_length_cuts_inner", short_udp, Verdict::Udp},
      {"udp_length_beyond_ip", long_udp, Verdict::Udp},
      {"gpe_oam", outer_udp(4790, join({{0x0d, 0, 0, 1}, number, ip})), Verdict::Udp},
      {"gpe_without_protocol", outer_udp(4790, join({{0x08, 0, 0, 1}, number, ip})),
       Verdict::Udp},
      {"geneve_version", outer_udp(6081, join({{0x40, 0, 8, 0}, number, ip})), Verdict::Udp},
      {"geneve_control", outer_udp(6081, join({{0, 0x80, 8, 0}, number, ip})), Verdict::Udp},
      {"geneve_source_port", outer_udp(999, join({{0, 0, 8, 0}, number, ip}), 6081),
       Verdict::Udp},
      {"gtp_echo", outer_udp(2152, join({{0x30, 1}, be16(size_of(ip)), number, ip})), Verdict::Udp},
      {"gtp_prime", outer_udp(2152, join({{0x20, 255}, be16(size_of(ip)), number, ip})),
       Verdict::Udp},
      {"gtp_length", outer_udp(2152, join({{0x30, 255}, be16(size_of(ip) + 1), number, ip})),
       Verdict::Udp},
      {"gtp_extension_of_nothing",
       outer_udp(2152, join({{0x34, 255}, be16(size_of(ip) + 8), number, {0, 0, 0, 0x85},
                             {0, 0, 0, 0}, ip})),
       Verdict::Udp},
      {"l2tp_control", outer_udp(1701, join({{0x80, 2, 0, 1, 0, 2}, {0, 0x21}, ip})),
       Verdict::Udp},
      {"mpls_without_bottom", outer_udp(6635, join({be32(5 << 12), ip})), Verdict::Udp},
      {"mpls_garbage", outer_udp(6635, Bytes(60, 0x77)), Verdict::Udp},
      {"tzsp_version", outer_udp(37008, join({{2, 0, 0, 1, 1}, kInner4})), Verdict::Udp},
      {"dns_on_teredo", outer_udp(3544, Bytes(60, 0x11)), Verdict::Udp},
      {"gre_routed", gre_frame(0x4000, 0x0800, join({be32(0), be32(0), ip})),
       Verdict::OtherProtocol},
      {"gre_version_2", gre_frame(0x0002, 0x0800, ip), Verdict::OtherProtocol},
      {"gre_keepalive", gre_frame(0, 0, {}), Verdict::OtherProtocol},
      {"gre_too_short", outer_ipv4(47, {0, 0, 8}), Verdict::OtherProtocol},
      {"gre_fields_missing", gre_frame(0xb000, 0x0800, be32(0)), Verdict::OtherProtocol},
      {"pptp_acknowledgement", gre_frame(0x2081, 0x880b, join({be32(7), be32(1)})),
       Verdict::OtherProtocol},
      {"erspan_version", gre_frame(0x1000, 0x88be, join({be32(1), be32(7u << 28), be32(0),
                                                         kInner4})),
       Verdict::OtherProtocol},
      {"etherip_version", outer_ipv4(97, join({{0x20, 0}, kInner4})), Verdict::OtherProtocol},
      {"l2tp3_control", outer_ipv4(115, join({be32(0), kInner4})), Verdict::OtherProtocol},
      {"inner_version", outer_ipv4(4, datagram_of(kInner6)), Verdict::BadIpHeader},
      {"inner_longer_than_outer", outer_ipv4(4, too_long), Verdict::BadIpHeader},
      {"inner_nothing", outer_ipv4(4, {}), Verdict::TruncatedIp},
      {"nsh_oam", ethernet(0x894f, join({{0x2f, 0xc6, 1, 1}, zeros(20), ip})), Verdict::NotIp},
  };
}

INSTANTIATE_TEST_SUITE_P(All, NoTunnelTest, testing::ValuesIn(no_tunnels()),
                         [](const auto& row) { return row.param.name; });

// A mirroring switch cut the frame: its end was not captured, and the padding of the frame that
// carries the copy is not it.
TEST(Erspan, TruncatedByTheSwitchIsSnapped) {
  Bytes inner = kInner4;
  inner.resize(inner.size() - 2);
  const Bytes copy = join({be16(0x1000), be16(0x88be), be32(1), be32(1U << 28 | 0x0400 | 5),
                           be32(0), inner});
  const Bytes frame = join({outer_ipv4(47, copy), text("!!!!")});
  const Packet packet = decoded(frame);
  ASSERT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_TRUE(packet.has(packet_flags::kSnapped));
  EXPECT_EQ(packet.payload_length, 5U);
  EXPECT_EQ(payload_of(packet), "hel");
  EXPECT_EQ(listed(packet), "erspan:5");
}

// What one fragment was wrapped in speaks for the datagram.
TEST(Reassembled, GoesOnWhereTheFragmentStood) {
  Bytes whole = kInner4;
  const Bytes fragment = vxlan(42, fragments_of(whole, 24, 9).front());
  Packet packet = decoded(fragment);
  ASSERT_EQ(packet.verdict, Verdict::Fragment);
  Bytes header(kMaxReassembledHeaderBytes);
  header.resize(write_reassembled_header(packet, header.data()));
  const Bytes joined = join({header, datagram_of(vxlan(7, whole))});
  Packet again = packet_of(joined, LinkType::Reassembled);
  decode(again, {});
  ASSERT_EQ(again.verdict, Verdict::Tcp);
  EXPECT_EQ(payload_of(again), "hello");
  EXPECT_EQ(listed(again), "vxlan:42 vxlan:7");
  EXPECT_EQ(again.encapsulation, decoded(vxlan(42, vxlan(7, whole))).encapsulation);
  for (std::size_t size = 0; size < header.size(); ++size) {
    const Bytes part(joined.begin(), joined.begin() + static_cast<std::ptrdiff_t>(size));
    Packet cut = packet_of(part, LinkType::Reassembled);
    decode(cut, {});
    EXPECT_EQ(cut.verdict, Verdict::UnknownLink);
  }
}

TEST(Reassembled, DepthIsRemembered) {
  Bytes frame = fragments_of(kInner4, 24, 9).front();
  for (std::uint32_t i = 0; i < kMaxTunnels; ++i) frame = outer_ipv4(4, datagram_of(frame));
  const Packet packet = decoded(frame);
  ASSERT_EQ(packet.verdict, Verdict::Fragment);
  Bytes header(kMaxReassembledHeaderBytes);
  header.resize(write_reassembled_header(packet, header.data()));
  const Bytes joined = join({header, datagram_of(vxlan(7, kInner4))});
  Packet again = packet_of(joined, LinkType::Reassembled);
  decode(again, {});
  EXPECT_EQ(again.verdict, Verdict::TooManyTunnels);
}

}  // namespace
}  // namespace flowloom::test
