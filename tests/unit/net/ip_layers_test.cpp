// Length rules, options, checksums and extension headers of both IP versions, and the TCP header.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "frame_bytes.hpp"
#include "net/decode.hpp"
#include "net/ip.hpp"
#include "net/tcp_checksum.hpp"
#include "net/tcp_header.hpp"

namespace flowloom::test {
namespace {

Packet decoded(const Bytes& datagram, const DecodeOptions& options = {}) {
  Packet packet = packet_of(datagram, LinkType::Raw);
  decode(packet, options);
  return packet;
}

Packet snapped(const Bytes& datagram, std::uint32_t wire_length) {
  Packet packet = packet_of(datagram, LinkType::Raw);
  packet.wire_length = wire_length;
  decode(packet, {});
  return packet;
}

Verdict verdict(const Bytes& datagram) {
  return decoded(datagram).verdict;
}

TEST(Ipv4, PaddingIsNoPayload) {
  const Bytes frame = join({tcp4({.payload = text("ab")}), Bytes(30, 0xaa)});
  const Packet packet = decoded(frame);
  EXPECT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(packet.payload_length, 2U);
  EXPECT_EQ(ip_length_of(packet), 42U);
  EXPECT_EQ(check_tcp_checksum(packet), ChecksumResult::Good);
}

TEST(Ipv4, SourceRoutesAreRefused) {
  const Bytes loose = {131, 7, 4, 10, 0, 0, 5, 0};
  const Bytes strict = {1, 137, 7, 8, 10, 0, 0, 5};  // its pointer is at the end
  const Bytes record = {7, 7, 4, 10, 0, 0, 5, 0};
  const Bytes hidden = {131 - 128, 4, 131, 137, 0, 131, 7, 4};  // inside another; behind the end
  EXPECT_EQ(verdict(tcp4({}, {.options = loose})), Verdict::SourceRouted);
  EXPECT_EQ(verdict(tcp4({}, {.options = strict})), Verdict::SourceRouted);
  EXPECT_EQ(verdict(tcp4({}, {.options = record})), Verdict::Tcp);
  EXPECT_EQ(verdict(tcp4({}, {.options = hidden})), Verdict::Tcp);
  EXPECT_EQ(verdict(tcp4({}, {.options = loose, .fragment = 0x2000})), Verdict::SourceRouted);
  EXPECT_EQ(verdict(ipv4(zeros(20), {.options = loose, .protocol = 17})), Verdict::Udp);
  EXPECT_EQ(verdict(ipv4(tcp4(), {.options = loose, .protocol = 4})), Verdict::Tcp);
}

TEST(Ipv4, TimeToLiveZeroIsRefused) {
  const auto with_ttl = [](Bytes datagram, std::uint8_t ttl) {
    datagram[8] = ttl;
    fix_ipv4_checksum(datagram);
    return verdict(datagram);
  };
  EXPECT_EQ(with_ttl(tcp4(), 0), Verdict::BadIpHeader);
  EXPECT_EQ(with_ttl(tcp4(), 1), Verdict::Tcp);
  EXPECT_EQ(with_ttl(tcp4({}, {.fragment = 0x2000}), 0), Verdict::BadIpHeader);
  EXPECT_EQ(with_ttl(ipv4(zeros(20), {.protocol = 17}), 0), Verdict::Udp);
  EXPECT_EQ(with_ttl(ipv4(tcp4(), {.protocol = 4}), 0), Verdict::Tcp);
}

TEST(Ipv4, AddressesThatAreNoHosts) {
  struct Row {
    Bytes address;
    Verdict as_source;
    Verdict as_destination;
  };
  const std::vector<Row> rows = {
      {{224, 0, 0, 0}, Verdict::BadAddress, Verdict::BadAddress},
      {{239, 255, 255, 255}, Verdict::BadAddress, Verdict::BadAddress},
      {{255, 255, 255, 255}, Verdict::BadAddress, Verdict::BadAddress},
      {{223, 255, 255, 255}, Verdict::Tcp, Verdict::Tcp},
      {{240, 0, 0, 0}, Verdict::Tcp, Verdict::Tcp},  // what anonymising leaves
      {{255, 255, 255, 254}, Verdict::Tcp, Verdict::Tcp},
      {{127, 0, 0, 1}, Verdict::Tcp, Verdict::Tcp},
      {{0, 0, 0, 0}, Verdict::BadAddress, Verdict::Tcp},
      {{0, 0, 0, 1}, Verdict::Tcp, Verdict::Tcp},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(verdict(tcp4({}, {.source = row.address})), row.as_source) << int{row.address[0]};
    EXPECT_EQ(verdict(tcp4({}, {.destination = row.address})), row.as_destination);
    const Bytes ethernet_frame = ethernet(0x0800, tcp4({}, {.source = row.address}));
    Packet fast = packet_of(ethernet_frame, LinkType::Ethernet);
    decode(fast, {});
    EXPECT_EQ(fast.verdict, row.as_source);
  }
  const Bytes group = {224, 0, 0, 5};
  EXPECT_EQ(verdict(tcp4({}, {.destination = group, .fragment = 0x2000})), Verdict::BadAddress);
  EXPECT_EQ(verdict(ipv4(zeros(20), {.destination = group, .protocol = 17})), Verdict::Udp);
}

TEST(Ipv4, Accessors) {
  const Bytes frame = tcp4();
  const Packet packet = decoded(frame);
  EXPECT_EQ(to_string(source_address(packet)), "10.0.0.1");
  EXPECT_EQ(to_string(destination_address(packet)), "10.0.0.2");
  EXPECT_EQ(ttl_of(packet), 64);
  const TcpHeader tcp = tcp_header_of(packet);
  EXPECT_EQ(tcp.source_port(), 1025);
  EXPECT_EQ(tcp.destination_port(), 80);
  EXPECT_EQ(tcp.seq(), SeqNum{0x01020304});
  EXPECT_EQ(tcp.ack(), SeqNum{0x0a0b0c0d});
  EXPECT_EQ(tcp.flags(), kPsh | kAck);
  EXPECT_TRUE(tcp.flags().has_all(kPsh | kAck));
  EXPECT_FALSE(tcp.flags().has_all(kSyn | kAck));
  EXPECT_TRUE(tcp.flags().has_any(kSyn | kAck));
  EXPECT_FALSE(tcp.flags().has_any(kSyn | kFin));
  EXPECT_EQ(tcp.window(), 0x2000);
  EXPECT_EQ(tcp.urgent_pointer(), 7);
  EXPECT_EQ(captured_options(packet).size(), 0U);
}

TEST(Ipv4, ZeroTotalLengthTakesTheWire) {
  const Bytes frame = tcp4({.payload = Bytes(2000, 'x')}, {.total_length = 0});
  EXPECT_EQ(decoded(frame).payload_length, 2000U);
  const Packet cut = snapped(frame, 3040);
  EXPECT_EQ(cut.verdict, Verdict::Tcp);
  EXPECT_EQ(cut.payload_length, 3000U);
  EXPECT_TRUE(cut.has(packet_flags::kSnapped));
  EXPECT_EQ(snapped(frame, 0xffffffff).verdict, Verdict::BadIpHeader);
}

TEST(Ipv4, LongerThanItsFrame) {
  const Bytes frame = tcp4({}, {.total_length = 1500});
  EXPECT_EQ(verdict(frame), Verdict::BadIpHeader);
  const Packet cut = snapped(frame, 100);  // cut when captured: the length is believed
  EXPECT_EQ(cut.verdict, Verdict::Tcp);
  EXPECT_EQ(cut.payload_length, 1460U);
  EXPECT_TRUE(cut.has(packet_flags::kSnapped));
}

TEST(Ipv4, WireLengthBelowCapturedIsTakenAsCaptured) {
  const Bytes frame = tcp4();
  const Packet packet = snapped(frame, 10);
  EXPECT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_FALSE(packet.has(packet_flags::kSnapped));
}

TEST(Ipv4, SnappedPaddingIsNotSnappedPayload) {
  const Bytes frame = tcp4();
  EXPECT_FALSE(snapped(frame, 60).has(packet_flags::kSnapped));
}

TEST(Ipv4, HeaderLengths) {
  EXPECT_EQ(verdict(tcp4({}, {.total_length = 19})), Verdict::BadIpHeader);
  EXPECT_EQ(verdict(tcp4({}, {.total_length = 39})), Verdict::TruncatedTcp);
  Bytes short_header = tcp4();
  short_header[0] = 0x44;
  EXPECT_EQ(verdict(short_header), Verdict::BadIpHeader);
  Bytes long_header = ipv4({});
  long_header[0] = 0x4f;
  EXPECT_EQ(verdict(long_header), Verdict::TruncatedIp);
}

TEST(Ipv4, Options) {
  const Bytes timestamp = join({{68, 36, 5, 0}, zeros(32), {1, 1, 1, 0}});
  const Bytes with_options = tcp4({}, {.options = timestamp});
  const Packet packet = decoded(with_options);
  EXPECT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(packet.tcp_offset, 60);
  EXPECT_EQ(check_tcp_checksum(packet), ChecksumResult::Good);
  EXPECT_EQ(verdict(tcp4({}, {.options = {7, 1, 0, 0}})), Verdict::BadIpHeader);
  EXPECT_EQ(verdict(tcp4({}, {.options = {7, 5, 0, 0}})), Verdict::BadIpHeader);
  EXPECT_EQ(verdict(tcp4({}, {.options = {1, 1, 1, 7}})), Verdict::BadIpHeader);
  EXPECT_EQ(verdict(tcp4({}, {.options = {0, 7, 77, 7}})), Verdict::Tcp);
}

TEST(Ipv4, HeaderChecksum) {
  Bytes wrong = tcp4();
  wrong[8] ^= 0x10;
  EXPECT_EQ(decoded(wrong).verdict, Verdict::BadIpChecksum);
  EXPECT_EQ(decoded(wrong, {.seed = {}, .header_checksum = HeaderChecksum::Ignore}).verdict,
            Verdict::Tcp);
  Bytes left_to_hardware = tcp4();
  put16(left_to_hardware, 10, 0);
  EXPECT_EQ(decoded(left_to_hardware).verdict, Verdict::Tcp);
  EXPECT_EQ(
      decoded(left_to_hardware, {.seed = {}, .header_checksum = HeaderChecksum::Verify}).verdict,
      Verdict::BadIpChecksum);
}

TEST(Ipv4, Fragments) {
  for (const std::uint16_t field :
       std::to_array<std::uint16_t>({0x2000, 1, 0x1fff, 0x3fff, 0x6000})) {
    const Bytes frame = tcp4({}, {.fragment = field});
    const Packet packet = decoded(frame);
    EXPECT_EQ(packet.verdict, Verdict::Fragment) << field;
    EXPECT_EQ(packet.tcp_offset, packet.ip_offset + 20);
  }
  EXPECT_EQ(verdict(tcp4({}, {.fragment = 0x8000})), Verdict::Tcp);
}

TEST(Ipv4, Protocols) {
  const auto of = [](std::uint8_t protocol) {
    return verdict(ipv4(zeros(40), {.protocol = protocol}));
  };
  EXPECT_EQ(of(17), Verdict::Udp);
  EXPECT_EQ(of(1), Verdict::Icmp);
  EXPECT_EQ(of(47), Verdict::OtherProtocol);
  EXPECT_EQ(of(4), Verdict::BadIpHeader);  // a tunnel with something else than IP in it
  EXPECT_EQ(of(41), Verdict::BadIpHeader);
  EXPECT_EQ(of(59), Verdict::OtherProtocol);
}

TEST(Tcp, HeaderLengths) {
  Bytes frame = tcp4();
  frame[32] = 0x40;
  EXPECT_EQ(verdict(frame), Verdict::BadTcpHeader);
  frame[32] = 0x70;  // 28 bytes of the 25 that there are
  EXPECT_EQ(verdict(frame), Verdict::BadTcpHeader);
  const Bytes options = join({{1, 1, 8, 10}, be32(1), be32(2)});
  const Bytes whole = tcp4({.options = options});
  EXPECT_EQ(decoded(whole).payload_length, 5U);
  const Bytes cut(whole.begin(), whole.begin() + 50);
  const Packet inside_the_options = snapped(cut, 57);
  EXPECT_EQ(inside_the_options.verdict, Verdict::Tcp);
  EXPECT_EQ(inside_the_options.payload_length, 5U);
  EXPECT_TRUE(inside_the_options.has(packet_flags::kSnapped));
  EXPECT_TRUE(captured_payload(inside_the_options).empty());
  EXPECT_TRUE(captured_options(inside_the_options).empty());
  EXPECT_EQ(check_tcp_checksum(inside_the_options), ChecksumResult::NotCaptured);
  EXPECT_EQ(captured_options(decoded(whole)).size(), 12U);
  const Bytes cut_early(whole.begin(), whole.begin() + 39);
  EXPECT_EQ(snapped(cut_early, 57).verdict, Verdict::TruncatedTcp);
}

Bytes extension(std::uint8_t next, std::size_t bytes) {
  return join({{next, static_cast<std::uint8_t>(bytes / 8 - 1)}, {1, 4}, zeros(bytes - 4)});
}

Bytes with_extensions(std::uint8_t first, const Bytes& extensions) {
  return ipv6(with_tcp_checksum(tcp_segment({}), kAddressA6, kAddressB6), first, extensions);
}

TEST(Ipv6, ExtensionHeadersAreWalked) {
  const Bytes chain = join({{43, 0, 1, 4, 0, 0, 0, 0},
                            {60, 2, 200, 0},  // all stations were visited
                            zeros(20),
                            extension(135, 8),
                            extension(139, 40),
                            extension(140, 8),
                            extension(51, 8),
                            {6, 4},
                            zeros(22)});  // AH counts words of 4 bytes, less 2
  const Packet packet = decoded(with_extensions(0, chain));
  EXPECT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(packet.tcp_offset, 40U + chain.size());
  const Bytes frame = with_extensions(0, chain);
  EXPECT_EQ(check_tcp_checksum(decoded(frame)), ChecksumResult::Good);
}

// A routing header of 24 bytes: one station, `left` still to be visited.
Bytes routing_header(std::uint8_t type, std::uint8_t left, const Bytes& station) {
  return join({{6, 2, type, left, 0, 0, 0, 0}, station});
}

TEST(Ipv6, RoutingHeadersThatHostsRefuse) {
  const auto of = [](std::uint8_t type, std::uint8_t left) {
    return verdict(with_extensions(43, routing_header(type, left, kAddressA6)));
  };
  EXPECT_EQ(of(0, 1), Verdict::SourceRouted);
  EXPECT_EQ(of(0, 0), Verdict::Tcp);
  EXPECT_EQ(of(1, 1), Verdict::SourceRouted);
  EXPECT_EQ(of(2, 1), Verdict::Tcp);
  EXPECT_EQ(of(4, 1), Verdict::Tcp);
  EXPECT_EQ(of(200, 1), Verdict::SourceRouted);
  Bytes tunnel = routing_header(0, 1, kAddressA6);
  tunnel[0] = 4;  // what a tunnel brings is not routed
  EXPECT_EQ(verdict(ipv6(tcp4(), 43, tunnel)), Verdict::Tcp);
  Bytes fragmented = routing_header(0, 1, kAddressA6);
  fragmented[0] = 44;
  const Bytes first = {6, 0, 0, 1, 0, 0, 0, 9};
  EXPECT_EQ(verdict(with_extensions(43, join({fragmented, first}))), Verdict::SourceRouted);
}

TEST(Ipv6, TheChecksumIsThatOfTheFinalDestination) {
  Bytes last = kAddressB6;
  last[15] = 0x77;
  const Bytes segment = with_tcp_checksum(tcp_segment({}), kAddressA6, last);
  for (const std::uint8_t type : std::to_array<std::uint8_t>({2, 4})) {
    const Bytes frame = ipv6(segment, 43, routing_header(type, 1, last));
    EXPECT_EQ(check_tcp_checksum(decoded(frame)), ChecksumResult::Good);
    const Bytes arrived = ipv6(segment, 43, routing_header(type, 0, last));
    EXPECT_EQ(check_tcp_checksum(decoded(arrived)), ChecksumResult::Bad);
    const Bytes elsewhere = ipv6(segment, 43, routing_header(type, 1, kAddressA6));
    EXPECT_EQ(check_tcp_checksum(decoded(elsewhere)), ChecksumResult::Bad);
  }
}

TEST(Ipv6, AddressesThatAreNoHosts) {
  const auto from = [](std::size_t at, const Bytes& address) {
    Bytes frame = tcp6();
    std::copy(address.begin(), address.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
    return verdict(frame);
  };
  const Bytes group = join({{0xff, 2}, zeros(13), {5}});
  EXPECT_EQ(from(8, group), Verdict::BadAddress);
  EXPECT_EQ(from(24, group), Verdict::BadAddress);
  EXPECT_EQ(from(8, zeros(16)), Verdict::BadAddress);
  EXPECT_EQ(from(24, zeros(16)), Verdict::Tcp);
  EXPECT_EQ(from(8, join({zeros(15), {1}})), Verdict::Tcp);
  Bytes hops_used_up = tcp6();
  hops_used_up[7] = 0;  // RFC 8200, 3: the destination takes it
  EXPECT_EQ(verdict(hops_used_up), Verdict::Tcp);
}

TEST(Ipv6, TooManyExtensions) {
  Bytes chain;
  for (int i = 0; i < 7; ++i) chain = join({chain, extension(60, 8)});
  EXPECT_EQ(verdict(with_extensions(60, join({chain, extension(6, 8)}))), Verdict::Tcp);
  EXPECT_EQ(verdict(with_extensions(60, join({chain, extension(60, 8), extension(6, 8)}))),
            Verdict::TooManyExtensions);
}

TEST(Ipv6, ChainsThatEndElsewhere) {
  EXPECT_EQ(verdict(ipv6(zeros(40), 17)), Verdict::Udp);
  EXPECT_EQ(verdict(ipv6(zeros(40), 58)), Verdict::Icmp);
  EXPECT_EQ(verdict(ipv6(zeros(40), 50)), Verdict::OtherProtocol);
  EXPECT_EQ(verdict(ipv6({}, 59)), Verdict::Ipv6NoNext);
  EXPECT_EQ(verdict(with_extensions(60, extension(0, 8))), Verdict::BadIpHeader);
  EXPECT_EQ(verdict(ipv6(zeros(4), 60)), Verdict::BadIpHeader);
  EXPECT_EQ(verdict(ipv6(join({{6, 200}, zeros(30)}), 60)), Verdict::BadIpHeader);
  const Bytes cut_chain = ipv6({}, 60, {}, 200);
  EXPECT_EQ(snapped(cut_chain, 240).verdict, Verdict::TruncatedIp);
  const Bytes whole = with_extensions(60, extension(6, 24));
  const Bytes cut_inside(whole.begin(), whole.begin() + 56);
  EXPECT_EQ(snapped(cut_inside, static_cast<std::uint32_t>(whole.size())).verdict,
            Verdict::TruncatedIp);
}

TEST(Ipv6, Fragments) {
  const Bytes atomic = {6, 0, 0, 0, 1, 2, 3, 4};
  const Bytes whole = with_extensions(44, atomic);
  EXPECT_EQ(decoded(whole).verdict, Verdict::Tcp);
  EXPECT_EQ(check_tcp_checksum(decoded(whole)), ChecksumResult::Good);
  for (const std::uint8_t field : std::to_array<std::uint8_t>({0x01, 0x08, 0x09})) {
    const Packet packet =
        decoded(with_extensions(60, join({extension(44, 8), {6, 0, 0, field, 1, 2, 3, 4}})));
    EXPECT_EQ(packet.verdict, Verdict::Fragment);
    EXPECT_EQ(packet.tcp_offset, 48);  // the fragment header
    EXPECT_TRUE(packet.has(packet_flags::kIpv6));
  }
}

// case: I26
TEST(Ipv6, PayloadLengthZero) {
  const Bytes segment = tcp_segment({.payload = Bytes(2000, 'x')});
  EXPECT_EQ(decoded(ipv6(segment, 6, {}, 0)).payload_length, 2000U);
  const Bytes large = tcp_segment({.payload = Bytes(100000, 'x')});
  const auto jumbo = [&](std::uint32_t length) {
    return ipv6(large, 0, join({{6, 0, 0xc2, 4}, be32(length)}), 0);
  };
  const Bytes right = jumbo(static_cast<std::uint32_t>(large.size() + 8));
  const Packet packet = decoded(join({right, zeros(9)}));
  EXPECT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(packet.payload_length, 100000U);
  EXPECT_EQ(verdict(jumbo(200000)), Verdict::BadIpHeader);
  EXPECT_EQ(verdict(jumbo(0xffffffff)), Verdict::BadIpHeader);
}

TEST(Ipv6, Lengths) {
  EXPECT_EQ(verdict(ipv6(tcp_segment({}), 6, {}, 26)), Verdict::BadIpHeader);
  EXPECT_EQ(verdict(ipv6(tcp_segment({}), 6, {}, 19)), Verdict::TruncatedTcp);
  EXPECT_EQ(decoded(join({tcp6(), zeros(20)})).payload_length, 5U);
}

TEST(TcpChecksum, Results) {
  for (const bool v6 : {false, true}) {
    Bytes frame = v6 ? tcp6() : tcp4();
    const std::size_t field = (v6 ? 40 : 20) + 16;
    EXPECT_EQ(check_tcp_checksum(decoded(frame)), ChecksumResult::Good);
    frame.back() ^= 1;
    EXPECT_EQ(check_tcp_checksum(decoded(frame)), ChecksumResult::Bad);
    const Bytes addresses = v6 ? join({kAddressA6, kAddressB6}) : join({kAddressA4, kAddressB4});
    put16(frame, field, naive_sum(join({addresses, be16(6), be16(25)})));
    EXPECT_EQ(check_tcp_checksum(decoded(frame)), ChecksumResult::Offloaded);
    put16(frame, field, naive_sum(join({addresses, be16(6)})));
    EXPECT_EQ(check_tcp_checksum(decoded(frame)), ChecksumResult::Offloaded);
    put16(frame, field, 0);
    EXPECT_EQ(check_tcp_checksum(decoded(frame)), ChecksumResult::Offloaded);
    put16(frame, field, 0x1234);
    Packet by_receiver = decoded(frame);
    EXPECT_EQ(check_tcp_checksum(by_receiver), ChecksumResult::Bad);
    by_receiver.flags |= packet_flags::kChecksumGood;
    EXPECT_EQ(check_tcp_checksum(by_receiver), ChecksumResult::Good);
    const Bytes cut(frame.begin(), frame.end() - 1);
    EXPECT_EQ(check_tcp_checksum(snapped(cut, static_cast<std::uint32_t>(frame.size()))),
              ChecksumResult::NotCaptured);
  }
}

TEST(Flags, ReceiverResultsSurviveOthersAreSetAnew) {
  const Bytes frame = ethernet(0x0800, tcp4());
  for (auto* run : {&decode, &decode_by_layers}) {
    Packet packet = packet_of(frame, LinkType::Ethernet);
    packet.flags = 0xff;
    (*run)(packet, {});
    constexpr int kOfTheSource =
        packet_flags::kChecksumGood | packet_flags::kChecksumBad | packet_flags::kSubframe;
    EXPECT_EQ(packet.flags, kOfTheSource);
  }
}

}  // namespace
}  // namespace flowloom::test
