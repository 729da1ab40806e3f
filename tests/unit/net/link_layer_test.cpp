// Every link type with IPv4 and IPv6 behind it, what else its frames may carry, and every
// truncation of all of them.
#include <gtest/gtest.h>

#include <array>
#include <span>
#include <string>
#include <vector>

#include "frame_bytes.hpp"
#include "net/decode.hpp"
#include "net/ieee80211.hpp"
#include "net/ip.hpp"
#include "net/tcp_checksum.hpp"
#include "net/tcp_header.hpp"

namespace flowloom::test {
namespace {

struct LinkCase {
  std::string name;
  LinkType link;
  Bytes header4;  ///< before an IPv4 datagram
  Bytes header6;  ///< before an IPv6 datagram
  Bytes trailer{};
};

Bytes snap(std::uint16_t type) {
  return join({{0xaa, 0xaa, 3, 0, 0, 0}, be16(type)});
}

Bytes sll(std::uint16_t protocol) {
  return join({be16(0), be16(1), be16(6), zeros(8), be16(protocol)});
}

Bytes sll2(std::uint16_t protocol) {
  return join({be16(protocol), be16(0), be32(3), be16(1), {0, 6}, zeros(8)});
}

Bytes tlv_little(std::uint8_t type, const Bytes& value) {
  const auto length = static_cast<std::uint8_t>(4 + value.size());
  return join({{length, 0, type, 0}, value, zeros((4 - value.size() % 4) % 4)});
}

Bytes tlv_big(std::uint8_t type, const Bytes& value) {
  const auto length = static_cast<std::uint8_t>(4 + value.size());
  return join({{0, length, 0, type}, value, zeros((4 - value.size() % 4) % 4)});
}

// The length of the attribute that holds the datagrams of these tests.
std::uint8_t nflog_payload(std::uint8_t family) {
  return family == 2 ? 4 + 45 : 4 + 65;
}

Bytes nflog_little(std::uint8_t family) {
  return join({{family, 0, 0, 5},
               tlv_little(1, zeros(4)),
               tlv_little(10, text("p")),
               {nflog_payload(family), 0, 9, 0}});
}

Bytes nflog_big(std::uint8_t family) {
  return join({{family, 0, 0, 5},
               tlv_big(1, zeros(4)),
               tlv_big(4, be32(7)),
               {0, nflog_payload(family), 0, 9}});
}

struct WifiSpec {
  std::uint8_t type_and_subtype = 0x08;
  std::uint8_t flags = 0x01;
  std::uint16_t sequence_control = 0x1230;
};

Bytes wifi(const WifiSpec& spec, const Bytes& more) {
  return join({{spec.type_and_subtype, spec.flags, 0, 0},
               zeros(18),
               {static_cast<std::uint8_t>(spec.sequence_control),
                static_cast<std::uint8_t>(spec.sequence_control >> 8)},
               more});
}

// Presence word, timestamp, flags, rate.
Bytes radiotap(std::uint8_t flags) {
  return join({{0, 0, 18, 0, 0x07, 0, 0, 0}, zeros(8), {flags, 2}});
}

Bytes prism() {
  return join({{0x44, 0, 0, 0, 144, 0, 0, 0}, zeros(136)});
}
Bytes avs() {
  return join({be32(0x80211001), be32(64), zeros(56)});
}

Bytes radiotap_two_words() {
  return join({{0, 0, 25, 0, 0x03, 0, 0, 0x80, 0, 0, 0, 0}, zeros(4), zeros(8), {0x10}});
}

Bytes fddi(std::uint16_t type) {
  return join({{0x51}, kMacs, snap(type)});
}
Bytes ring(std::uint16_t type) {
  return join({{0x10, 0x40}, kMacs, snap(type)});
}

Bytes routed_ring(std::uint16_t type) {
  Bytes macs = kMacs;
  macs[6] |= 0x80;
  return join({{0x10, 0x40}, macs, {0x06, 0x10, 0, 1, 0, 2}, snap(type)});
}

constexpr std::uint16_t k4 = 0x0800;
constexpr std::uint16_t k6 = 0x86dd;

std::vector<LinkCase> ethernet_cases() {
  const Bytes mpls2 = join({be32(100 << 12 | 64), be32(200 << 12 | 0x100 | 64)});
  return {
      {"ethernet", LinkType::Ethernet, ethernet(k4, {}), ethernet(k6, {})},
      {"vlan", LinkType::Ethernet, ethernet(0x8100, join({be16(0x6005), be16(k4)})),
       ethernet(0x8100, join({be16(5), be16(k6)}))},
      {"qinq", LinkType::Ethernet,
       ethernet(0x88a8, join({be16(7), be16(0x8100), be16(8), be16(k4)})),
       ethernet(0x88a8, join({be16(7), be16(0x8100), be16(8), be16(k6)}))},
      {"three_tags", LinkType::Ethernet,
       ethernet(0x9100, join({be16(1), be16(0x8100), be16(2), be16(0x8100), be16(3), be16(k4)})),
       ethernet(0x9100, join({be16(1), be16(0x8100), be16(2), be16(0x8100), be16(3), be16(k6)}))},
      {"llc_snap", LinkType::Ethernet, ethernet(100, snap(k4)), ethernet(100, snap(k6))},
      {"vlan_llc_snap", LinkType::Ethernet, ethernet(0x8100, join({be16(5), be16(99), snap(k4)})),
       ethernet(0x8100, join({be16(5), be16(99), snap(k6)}))},
      {"pppoe", LinkType::Ethernet, ethernet(0x8864, {0x11, 0, 0, 9, 0, 99, 0, 0x21}),
       ethernet(0x8864, {0x11, 0, 0, 9, 0, 99, 0, 0x57})},
      {"mpls", LinkType::Ethernet, ethernet(0x8847, mpls2), ethernet(0x8848, mpls2)},
      {"mpls_control_word", LinkType::Ethernet,
       ethernet(0x8847, join({mpls2, be32(0), ethernet(k4, {})})),
       ethernet(0x8847, join({mpls2, be32(9), ethernet(k6, {})}))},
      {"mpls_ethernet", LinkType::Ethernet, ethernet(0x8847, join({mpls2, ethernet(k4, {})})),
       ethernet(0x8847, join({mpls2, ethernet(0x8100, join({be16(5), be16(k6)}))}))},
  };
}

std::vector<LinkCase> other_wired_cases() {
  return {
      {"null_little", LinkType::Null, {2, 0, 0, 0}, {30, 0, 0, 0}},
      {"null_big", LinkType::Null, {0, 0, 0, 2}, {0, 0, 0, 28}},
      {"loop", LinkType::Loop, {0, 0, 0, 2}, {0, 0, 0, 24}},
      {"loop_linux", LinkType::Loop, {0, 0, 0, 2}, {10, 0, 0, 0}},
      {"raw", LinkType::Raw, {}, {}},
      {"ip", LinkType::Ipv4, {}, {}},
      {"sll", LinkType::LinuxSll, sll(k4), sll(k6)},
      {"sll_vlan", LinkType::LinuxSll, join({sll(0x8100), be16(6), be16(k4)}),
       join({sll(0x8100), be16(6), be16(k6)})},
      {"sll2", LinkType::LinuxSll2, sll2(k4), sll2(k6)},
      {"sll2_llc", LinkType::LinuxSll2, join({sll2(4), snap(k4)}), join({sll2(4), snap(k6)})},
      {"ppp", LinkType::Ppp, {0xff, 3, 0, 0x21}, {0xff, 3, 0, 0x57}},
      {"ppp_short", LinkType::Ppp, {0x21}, {0, 0x57}},
      {"ppp_serial", LinkType::PppSerial, {0xff, 3, 0, 0x21}, {0xff, 3, 0, 0x57}},
      {"ppp_cisco", LinkType::PppSerial, {0x0f, 0, 8, 0}, {0x8f, 0, 0x86, 0xdd}},
      {"ppp_as_cisco", LinkType::Ppp, {0x0f, 0, 8, 0}, {0x8f, 0, 0x86, 0xdd}},
      {"ppp_ether",
       LinkType::PppEther,
       {0x11, 0, 0, 9, 0, 99, 0, 0x21},
       {0x11, 0, 0, 9, 0, 99, 0, 0x57}},
      {"ppp_mpls", LinkType::Ppp, join({{0xff, 3, 2, 0x81}, be32(0x100 | 5 << 12)}),
       join({{0xff, 3, 2, 0x83}, be32(0x100 | 5 << 12)})},
      {"hdlc", LinkType::CiscoHdlc, {0x0f, 0, 8, 0}, {0x8f, 0, 0x86, 0xdd}},
      {"ipoib", LinkType::Ipoib, join({zeros(40), be16(k4), be16(0)}),
       join({zeros(40), be16(k6), be16(0)})},
      {"slip", LinkType::Slip, join({{0, 0x45}, zeros(14)}), join({{1, 0x60}, zeros(14)})},
      {"fddi", LinkType::Fddi, fddi(k4), fddi(k6)},
      {"ring", LinkType::TokenRing, ring(k4), ring(k6)},
      {"ring_routed", LinkType::TokenRing, routed_ring(k4), routed_ring(k6)},
      {"frame_relay", LinkType::FrameRelay, {0x18, 0x41, 3, 0xcc}, {0x18, 0x41, 3, 0x8e}},
      {"frame_relay_snap",
       LinkType::FrameRelay,
       {0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0},
       {0x18, 0x40, 0x40, 0x41, 3, 0x80, 0, 0, 0, 0x86, 0xdd}},
      {"frame_relay_cisco", LinkType::FrameRelay, {0x18, 0x41, 8, 0}, {0x18, 0x41, 0x86, 0xdd}},
      {"atm", LinkType::AtmRfc1483, snap(k4), {}},
      {"sun_atm", LinkType::SunAtm, {2, 0, 0, 5}, join({{0x82, 0, 0, 5}, snap(k6)})},
      {"pppd", LinkType::PppPppd, {0, 0xff, 3, 0, 0x21}, {1, 0, 0x57}},
      {"enc", LinkType::Enc, join({be32(2), zeros(8)}), join({{24, 0, 0, 0}, zeros(8)})},
      {"pflog", LinkType::Pflog, join({{61, 2}, zeros(62)}), join({{61, 24}, zeros(62)})},
      {"ipnet", LinkType::Ipnet, join({{1, 2}, zeros(22)}), join({{1, 26}, zeros(22)})},
      {"ppi_ethernet", LinkType::Ppi, join({{0, 0, 8, 0, 1, 0, 0, 0}, ethernet(k4, {})}),
       join({{0, 0, 12, 0, 1, 0, 0, 0}, zeros(4), ethernet(k6, {})})},
      {"pktap", LinkType::Pktap,
       join({{108, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}, zeros(96), ethernet(k4, {})}),
       join({{108, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0}, zeros(96)})},
      {"broadcom", LinkType::BroadcomTag, join({kMacs, be32(0x00000008), be16(k4)}),
       join({kMacs, be32(0x00000008), be16(k6)})},
      {"broadcom_first", LinkType::BroadcomTagFirst, join({be32(8), ethernet(k4, {})}),
       join({be32(8), ethernet(k6, {})})},
      {"dsa", LinkType::DsaTag, join({kMacs, be32(0xc0100000), be16(k4)}),
       join({kMacs, be32(0xe0100005), be16(k6)})},
      {"edsa", LinkType::EdsaTag, join({kMacs, be32(0xdada0000), be32(0x00100000), be16(k4)}),
       join({kMacs, be32(0xdada0000), be32(0x20100005), be16(k6)})},
      {"nflog_little", LinkType::Nflog, nflog_little(2), nflog_little(10)},
      {"nflog_big", LinkType::Nflog, nflog_big(2), nflog_big(10)},
  };
}

std::vector<LinkCase> wireless_cases() {
  const auto both = [](const std::string& name, LinkType link, const Bytes& before,
                       const Bytes& trailer = {}) {
    return LinkCase{name, link, join({before, snap(k4)}), join({before, snap(k6)}), trailer};
  };
  const Bytes subframe = join({kMacs, be16(99)});
  return {
      both("wifi", LinkType::Ieee80211, wifi({}, {})),
      both("wifi_qos", LinkType::Ieee80211, wifi({.type_and_subtype = 0x88}, {0, 0})),
      both("wifi_qos_ht", LinkType::Ieee80211,
           wifi({.type_and_subtype = 0x88, .flags = 0x81}, {0, 0, 1, 2, 3, 4})),
      both("wifi_four_addresses", LinkType::Ieee80211, wifi({.flags = 0x03}, zeros(6))),
      both("wifi_four_addresses_qos", LinkType::Ieee80211,
           wifi({.type_and_subtype = 0x88, .flags = 0x03}, zeros(8))),
      both("wifi_amsdu", LinkType::Ieee80211,
           wifi({.type_and_subtype = 0x88}, join({{0x80, 0}, subframe}))),
      both("radiotap", LinkType::Radiotap, join({radiotap(0), wifi({}, {})})),
      both("radiotap_fcs", LinkType::Radiotap, join({radiotap(0x10), wifi({}, {})}), zeros(4)),
      both("radiotap_padded", LinkType::Radiotap,
           join({radiotap(0x20), wifi({.type_and_subtype = 0x88}, {0, 0, 0xee, 0xee})})),
      both("radiotap_two_words", LinkType::Radiotap, join({radiotap_two_words(), wifi({}, {})}),
           zeros(4)),
      both("prism", LinkType::Prism, join({prism(), wifi({}, {})})),
      both("avs", LinkType::Prism, join({avs(), wifi({}, {})})),
  };
}

std::vector<LinkCase> all_cases() {
  std::vector<LinkCase> all = ethernet_cases();
  for (const auto& more : {other_wired_cases(), wireless_cases()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

class LinkLayerTest : public testing::TestWithParam<LinkCase> {};

void expect_tcp(const Bytes& frame, LinkType link, std::size_t ip_offset, std::uint32_t ip_bytes) {
  Packet packet = packet_of(frame, link);
  decode(packet, {});
  ASSERT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(packet.ip_offset, ip_offset);
  EXPECT_EQ(packet.tcp_offset, ip_offset + ip_bytes);
  EXPECT_EQ(packet.payload_length, 5U);
  EXPECT_EQ(packet.has(packet_flags::kIpv6), ip_bytes == 40);
  EXPECT_FALSE(packet.has(packet_flags::kSnapped));
  EXPECT_EQ(packet.encapsulation & 1U, ip_bytes == 40 ? 1U : 0U);
  EXPECT_EQ(ip_length_of(packet), ip_bytes + 25);
  EXPECT_EQ(check_tcp_checksum(packet), ChecksumResult::Good);
  const ByteView payload = captured_payload(packet);
  EXPECT_EQ(std::string(payload.begin(), payload.end()), "hello");
}

// case: M06
TEST_P(LinkLayerTest, FindsIpv4) {
  const LinkCase& c = GetParam();
  const Bytes frame = join({c.header4, tcp4(), zeros(3), c.trailer});
  expect_tcp(frame, c.link, c.header4.size(), 20);
}

TEST_P(LinkLayerTest, FindsIpv6) {
  const LinkCase& c = GetParam();
  const Bytes frame = join({c.header6, tcp6(), zeros(3), c.trailer});
  expect_tcp(frame, c.link == LinkType::Ipv4 ? LinkType::Ipv6 : c.link, c.header6.size(), 40);
}

TEST_P(LinkLayerTest, EveryTruncationHasAnAnswer) {
  const LinkCase& c = GetParam();
  const Bytes whole = join({c.header4, tcp4()});
  const std::size_t headers_end = c.header4.size() + 40;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    Packet packet = packet_of(cut, c.link);
    packet.wire_length = static_cast<std::uint32_t>(whole.size());
    decode(packet, {});
    if (n >= headers_end) {
      EXPECT_EQ(packet.verdict, Verdict::Tcp) << n;
      EXPECT_TRUE(packet.has(packet_flags::kSnapped)) << n;
      EXPECT_EQ(packet.payload_length, 5U) << n;
      EXPECT_EQ(captured_payload(packet).size(), n - headers_end) << n;
    } else {
      EXPECT_NE(packet.verdict, Verdict::Tcp) << n;
    }
  }
}

// A datagram without a length reaches to the end of the wire, but not into the FCS.
TEST_P(LinkLayerTest, ZeroTotalLengthMeansTheRestOfTheWire) {
  const LinkCase& c = GetParam();
  const Bytes frame = join({c.header4, tcp4({}, {.total_length = 0}), c.trailer});
  Packet packet = packet_of(frame, c.link);
  decode(packet, {});
  ASSERT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(packet.payload_length, 5U);
}

INSTANTIATE_TEST_SUITE_P(All, LinkLayerTest, testing::ValuesIn(all_cases()),
                         [](const auto& row) { return row.param.name; });

struct RefusedCase {
  std::string name;
  LinkType link;
  Bytes frame;
  Verdict verdict;
};

class RefusedTest : public testing::TestWithParam<RefusedCase> {};

TEST_P(RefusedTest, HasItsVerdict) {
  Packet packet = packet_of(GetParam().frame, GetParam().link);
  packet.flags = 0xff;
  decode(packet, {});
  EXPECT_EQ(packet.verdict, GetParam().verdict);
  EXPECT_EQ(packet.ip_offset, 0);
  EXPECT_EQ(packet.tcp_offset, 0);
  EXPECT_EQ(packet.payload_length, 0U);
  constexpr int kOfTheSource =
      packet_flags::kChecksumGood | packet_flags::kChecksumBad | packet_flags::kSubframe;
  EXPECT_EQ(packet.flags, kOfTheSource);
}

Bytes many_tags(std::size_t count) {
  Bytes tags;
  for (std::size_t i = 0; i < count; ++i) tags = join({tags, be16(1), be16(0x8100)});
  return ethernet(0x8100, join({tags, be16(1), be16(k4), tcp4()}));
}

Bytes many_labels(std::size_t count) {
  Bytes labels;
  for (std::size_t i = 0; i < count; ++i) labels = join({labels, be32(16 << 12)});
  return ethernet(0x8847, join({labels, be32(16 << 12 | 0x100), tcp4()}));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedTest,
    testing::Values(
        RefusedCase{"unknown", LinkType::Unknown, tcp4(), Verdict::UnknownLink},
        RefusedCase{"beyond_table", static_cast<LinkType>(200), tcp4(), Verdict::UnknownLink},
        RefusedCase{"empty", LinkType::Ethernet, {}, Verdict::TruncatedLink},
        RefusedCase{"arp", LinkType::Ethernet, ethernet(0x0806, zeros(46)), Verdict::NotIp},
        RefusedCase{"no_type_no_length", LinkType::Ethernet, ethernet(1501, tcp4()),
                    Verdict::NotIp},
        RefusedCase{"novell", LinkType::Ethernet, ethernet(60, Bytes(60, 0xff)), Verdict::NotIp},
        RefusedCase{"discovery", LinkType::Ethernet, ethernet(0x8863, zeros(46)), Verdict::NotIp},
        RefusedCase{"lcp", LinkType::Ppp, {0xff, 3, 0xc0, 0x21, 1, 1, 0, 4}, Verdict::NotIp},
        RefusedCase{"cdp", LinkType::Ethernet,
                    ethernet(60, join({{0xaa, 0xaa, 3, 0, 0, 12, 8, 0}, tcp4()})), Verdict::NotIp},
        RefusedCase{"seventeen_tags", LinkType::Ethernet, many_tags(16), Verdict::TooManyTags},
        RefusedCase{"seventeen_labels", LinkType::Ethernet, many_labels(16), Verdict::TooManyTags},
        RefusedCase{"endless_labels", LinkType::Ethernet,
                    ethernet(0x8847, join({be32(16 << 12), be32(16 << 12)})),
                    Verdict::TruncatedLink},
        RefusedCase{"channel", LinkType::Ethernet,
                    ethernet(0x8847, join({be32(16 << 12 | 0x100), be32(0x10000021), zeros(40)})),
                    Verdict::NotIp},
        RefusedCase{"version_4_in_6", LinkType::Ethernet, ethernet(k6, tcp4()),
                    Verdict::BadIpHeader},
        RefusedCase{"version_6_in_4", LinkType::Ethernet, ethernet(k4, tcp6()),
                    Verdict::BadIpHeader},
        RefusedCase{"raw_other", LinkType::Raw, Bytes(60, 0x55), Verdict::NotIp},
        RefusedCase{"beacon", LinkType::Ieee80211, join({{0x80, 0}, zeros(60)}), Verdict::NotIp},
        RefusedCase{"ack", LinkType::Ieee80211, join({{0xd4, 0}, zeros(8)}), Verdict::NotIp},
        RefusedCase{"null_data", LinkType::Ieee80211, join({{0x48, 1}, zeros(22)}), Verdict::NotIp},
        RefusedCase{"protected", LinkType::Radiotap, join({radiotap(0), {0x88, 0x41}, zeros(60)}),
                    Verdict::EncryptedLink},
        RefusedCase{"later_fragment", LinkType::Ieee80211,
                    join({wifi({.sequence_control = 0x1231}, {}), snap(k4), tcp4()}),
                    Verdict::NotIp},
        RefusedCase{"radiotap_too_long",
                    LinkType::Radiotap,
                    {0, 0, 200, 0, 0, 0, 0, 0, 8, 1},
                    Verdict::TruncatedLink},
        RefusedCase{"nflog_zero_length",
                    LinkType::Nflog,
                    {2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0},
                    Verdict::TruncatedLink},
        RefusedCase{"ppi_in_ppi", LinkType::Ppi, join({{0, 0, 8, 0, 192, 0, 0, 0}, zeros(60)}),
                    Verdict::UnknownLink},
        RefusedCase{"ppi_too_short", LinkType::Ppi, join({{0, 0, 4, 0, 1, 0, 0, 0}, zeros(60)}),
                    Verdict::TruncatedLink},
        RefusedCase{"frame_relay_endless", LinkType::FrameRelay, zeros(60), Verdict::NotIp},
        RefusedCase{"frame_relay_other", LinkType::FrameRelay,
                    join({{0x18, 0x41, 3, 0x81}, zeros(60)}), Verdict::NotIp},
        RefusedCase{"pktap_other_record", LinkType::Pktap,
                    join({{108, 0, 0, 0, 2, 0, 0, 0}, zeros(120)}), Verdict::NotIp},
        RefusedCase{"family_other", LinkType::Null, join({{7, 0, 0, 0}, tcp4()}), Verdict::NotIp},
        RefusedCase{"fddi_smt", LinkType::Fddi, join({{0x41}, kMacs, snap(k4), tcp4()}),
                    Verdict::NotIp}),
    [](const auto& row) { return row.param.name; });

TEST(TagLimit, SixteenAreFollowed) {
  for (const Bytes& frame : {many_tags(15), many_labels(15)}) {
    Packet packet = packet_of(frame, LinkType::Ethernet);
    decode(packet, {});
    EXPECT_EQ(packet.verdict, Verdict::Tcp);
    EXPECT_EQ(list_encapsulation(packet).count, 16U);
  }
}

// Offsets that Packet cannot hold are refused, not wrapped.
TEST(OffsetLimit, CaptureHeaderBeyond64K) {
  Bytes frame = join({{2, 0, 0, 0}, {0xfc, 0xff, 1, 0}, zeros(0xfffc - 4), {99, 0, 9, 0}, tcp4()});
  Packet packet = packet_of(frame, LinkType::Nflog);
  decode(packet, {});
  EXPECT_EQ(packet.verdict, Verdict::TooManyLayers);
}

Packet decoded(const Bytes& frame, const DecodeOptions& options = {}) {
  Packet packet = packet_of(frame, LinkType::Ethernet);
  decode(packet, options);
  return packet;
}

Bytes tagged(std::uint16_t outer, std::uint16_t inner) {
  return ethernet(0x88a8, join({be16(outer), be16(0x8100), be16(inner), be16(k4), tcp4()}));
}

TEST(Encapsulation, VlansAreIdentityInTheirOrder) {
  const Bytes frames[] = {tagged(1, 2), tagged(2, 1), tagged(1, 3), tagged(0, 1),
                          ethernet(k4, tcp4())};
  std::vector<std::uint32_t> seen;
  for (const Bytes& frame : frames) {
    const Packet packet = decoded(frame);
    ASSERT_EQ(packet.verdict, Verdict::Tcp);
    for (const std::uint32_t other : seen) EXPECT_NE(packet.encapsulation, other);
    seen.push_back(packet.encapsulation);
  }
  EXPECT_EQ(seen.back(), 0U);
}

// Marvell's tag stands in the place of the VLAN tag.
TEST(Encapsulation, VlanOfASwitchTag) {
  const Bytes frame = join({kMacs, be32(0xe0106007), be16(k4), tcp4()});
  Packet packet = packet_of(frame, LinkType::DsaTag);
  decode(packet, {});
  ASSERT_EQ(list_encapsulation(packet).count, 1U);
  EXPECT_EQ(list_encapsulation(packet).layers[0].id, 7U);
  const Bytes tagged_frame = ethernet(0x8100, join({be16(7), be16(k4), tcp4()}));
  EXPECT_EQ(packet.encapsulation, decoded(tagged_frame).encapsulation);
}

// case: J03
TEST(Encapsulation, PriorityBitsAndPriorityTagsAreNot) {
  EXPECT_EQ(decoded(tagged(0xe005, 6)).encapsulation, decoded(tagged(5, 6)).encapsulation);
  const Packet priority = decoded(tagged(0, 0xa000));
  EXPECT_EQ(priority.encapsulation, 0U);
  EXPECT_FALSE(priority.has(packet_flags::kEncapsulated));
  EXPECT_EQ(list_encapsulation(priority).count, 0U);
}

TEST(Encapsulation, LabelsAreListedButNotIdentity) {
  const Bytes there = ethernet(0x8847, join({be32(16 << 12), be32(17 << 12 | 0x100), tcp4()}));
  const Bytes back = ethernet(0x8847, join({be32(99 << 12 | 0x100), tcp4()}));
  const Packet a = decoded(there);
  EXPECT_EQ(a.encapsulation, decoded(back).encapsulation);
  const EncapsulationList list = list_encapsulation(a);
  ASSERT_EQ(list.count, 2U);
  EXPECT_EQ(list.layers[0].kind, EncapsulationLayer::Kind::Mpls);
  EXPECT_EQ(list.layers[0].id, 16U);
  EXPECT_EQ(list.layers[1].id, 17U);
}

TEST(Encapsulation, ListsTagsOutermostFirst) {
  const Bytes frame = tagged(4094, 7);
  const Packet packet = decoded(frame);
  EXPECT_TRUE(packet.has(packet_flags::kEncapsulated));
  const EncapsulationList list = list_encapsulation(packet);
  ASSERT_EQ(list.count, 2U);
  EXPECT_EQ(list.layers[0].kind, EncapsulationLayer::Kind::Vlan);
  EXPECT_EQ(list.layers[0].id, 4094U);
  EXPECT_EQ(list.layers[1].id, 7U);
}

TEST(Encapsulation, DependsOnTheSeed) {
  const Bytes frame = tagged(1, 2);
  EXPECT_NE(decoded(frame, {.seed = {1, 2}}).encapsulation,
            decoded(frame, {.seed = {3, 4}}).encapsulation);
}

TEST(Amsdu, IsSplitIntoEthernetFrames) {
  const auto subframe = [](const Bytes& datagram) {
    const Bytes body = join({snap(k4), datagram});
    return join({kMacs, be16(static_cast<std::uint32_t>(body.size())), body,
                 zeros((4 - (14 + body.size()) % 4) % 4)});
  };
  const Bytes one = subframe(tcp4({.payload = text("one")}));
  const Bytes two = subframe(tcp4({.payload = text("second")}));
  const Bytes frame = join({radiotap(0), wifi({.type_and_subtype = 0x88}, {0x80, 0}), one, two});
  const Packet packet = packet_of(frame, LinkType::Radiotap);
  std::array<Packet, kMaxAmsduSubframes> parts{};
  ASSERT_EQ(split_amsdu(packet, parts), 2U);
  std::string all;
  for (Packet& part : std::span(parts).first(2)) {
    decode(part, {});
    ASSERT_EQ(part.verdict, Verdict::Tcp);
    const ByteView payload = captured_payload(part);
    all.append(payload.begin(), payload.end());
  }
  EXPECT_EQ(all, "onesecond");
  EXPECT_EQ(split_amsdu(packet, std::span(parts).first(1)), 1U);
  const Bytes plain = join({wifi({}, {}), snap(k4), tcp4()});
  EXPECT_EQ(split_amsdu(packet_of(plain, LinkType::Ieee80211), parts), 0U);
}

TEST(LinkTypes, NumbersAndNames) {
  EXPECT_EQ(link_type_from_number(1), LinkType::Ethernet);
  EXPECT_EQ(link_type_from_number(276), LinkType::LinuxSll2);
  EXPECT_EQ(link_type_from_number(12), LinkType::Raw);
  EXPECT_EQ(link_type_from_number(14), LinkType::Raw);
  EXPECT_EQ(link_type_from_number(163), LinkType::Prism);
  EXPECT_EQ(link_type_from_number(147), LinkType::Unknown);
  EXPECT_EQ(link_type_name(LinkType::Ethernet), "EN10MB");
  EXPECT_EQ(link_type_name(LinkType::Unknown), "unknown");
  EXPECT_EQ(link_type_number(LinkType::LinuxSll), 113U);
}

}  // namespace
}  // namespace flowloom::test
