// What the defragmenter makes of single datagrams: headers, named refusals, keys, duplicates,
// time-outs, and the memory of completed datagrams.
#include "ip/defragmenter.hpp"

#include <gtest/gtest.h>

#include "fragment_builder.hpp"
#include "net/checksum.hpp"
#include "net/ip.hpp"
#include "net/tcp_checksum.hpp"

namespace flowloom::test {
namespace {

// A TCP segment of so many bytes, header included.
Bytes tcp_bytes(std::size_t count) {
  Bytes payload;
  for (std::size_t i = 20; i < count; ++i) payload.push_back(static_cast<std::uint8_t>(i * 7));
  return with_tcp_checksum(tcp_segment({.payload = payload}), kAddressA4, kAddressB4);
}

Bytes tcp_bytes6(std::size_t count) {
  Bytes payload(count - 20, 'v');
  return with_tcp_checksum(tcp_segment({.payload = payload}), kAddressA6, kAddressB6);
}

class Datagram4 {
 public:
  explicit Datagram4(std::size_t bytes, Ipv4FragmentSpec spec = {})
      : data(tcp_bytes(bytes)), spec_(std::move(spec)) {}
  explicit Datagram4(Bytes bytes, Ipv4FragmentSpec spec = {})
      : data(std::move(bytes)), spec_(std::move(spec)) {}

  [[nodiscard]] Bytes fragment(Span span) const {
    return ipv4_fragment(slice(data, span.offset, span.length), span.offset, span.more, spec_);
  }
  /// The same bytes, never fragmented.
  [[nodiscard]] Bytes whole() const { return ipv4_fragment(data, 0, More::No, spec_); }

  Bytes data;

 private:
  Ipv4FragmentSpec spec_;
};

TEST(Defragmenter, TinyFragmentsInReverseWithASplitTcpHeader) {
  const Datagram4 d(40);
  Feeder feeder;
  EXPECT_TRUE(feeder.add(d.fragment({16, 24, More::No})).held());
  EXPECT_TRUE(feeder.add(d.fragment({0, 8, More::Yes})).held());
  const Outcome outcome = feeder.add(d.fragment({8, 8, More::Yes}));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, d.whole());
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 0U);
  EXPECT_EQ(feeder.defragmenter.counters().reassembled, 1U);
  EXPECT_EQ(feeder.defragmenter.counters().overlaps, 0U);
}

TEST(Defragmenter, ForgetsADatagramByItsKey) {
  const Datagram4 d(40);
  Feeder feeder;
  EXPECT_TRUE(feeder.add(d.fragment({0, 8, More::Yes})).held());
  FragmentKey key{};
  key.source = IpAddress::v4(kAddressA4.data());
  key.destination = IpAddress::v4(kAddressB4.data());
  key.identification = 8;
  key.version = 4;
  key.protocol = 6;
  feeder.defragmenter.forget(key);
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 1U);
  key.identification = 7;
  feeder.defragmenter.forget(key);
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 0U);
  EXPECT_EQ(feeder.defragmenter.counters().discarded, 1U);
  EXPECT_TRUE(feeder.add(d.fragment({8, 32, More::No})).held());
}

TEST(Defragmenter, CountsThePiecesThatAFragmentLiesOver) {
  const Datagram4 d(80);
  Feeder feeder;
  for (const std::uint32_t at : {0U, 16U, 32U}) {
    EXPECT_TRUE(feeder.add(d.fragment({at, 16, More::Yes})).held());
    EXPECT_EQ(feeder.defragmenter.overlapped_pieces(), 0U);
  }
  EXPECT_TRUE(feeder.add(d.fragment({8, 32, More::Yes})).held());
  EXPECT_EQ(feeder.defragmenter.overlapped_pieces(), 3U);
  EXPECT_TRUE(feeder.add(d.fragment({56, 8, More::Yes})).held());
  EXPECT_EQ(feeder.defragmenter.overlapped_pieces(), 0U);
}

TEST(Defragmenter, DatagramIsDecodedLikeAnUnfragmentedOne) {
  const Datagram4 d(200, {.options = {7, 7, 4, 0, 0, 0, 0, 0}, .flags = 0x4000});
  Feeder feeder;
  ASSERT_TRUE(feeder.add(d.fragment({0, 96, More::Yes})).held());
  const Outcome outcome = feeder.add(d.fragment({96, 104, More::No}));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, d.whole());  // options and DF are kept
  Packet packet = feeder.last_packet;
  DecodeOptions options;
  options.header_checksum = HeaderChecksum::Verify;
  decode(packet, options);
  ASSERT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(packet.payload_length, 180U);
  EXPECT_EQ(check_tcp_checksum(packet), ChecksumResult::Good);
}

TEST(Defragmenter, TakesThePlaceOfItsLastFragmentTagsIncluded) {
  const Datagram4 d(40);
  const auto frame = [&](Span span) {
    return ethernet(0x88a8, join({be16(3), be16(0x8100), be16(4), be16(0x0800), d.fragment(span),
                                  zeros(6)}));  // padding
  };
  Feeder feeder;
  ASSERT_TRUE(feeder.add_frame(frame({0, 24, More::Yes}), LinkType::Ethernet).held());
  const Bytes last = frame({24, 16, More::No});
  Packet fragment = packet_of(last, LinkType::Ethernet);
  fragment.number = 42;
  fragment.stamp = at_seconds(3);
  fragment.flags = packet_flags::kChecksumBad;
  decode(fragment, {});
  ASSERT_TRUE(feeder.take(fragment).datagram);
  Packet packet = feeder.last_packet;
  EXPECT_EQ(packet.number, 42U);
  EXPECT_EQ(packet.stamp, at_seconds(3));
  EXPECT_EQ(packet.flags, 0);
  decode(packet, {});
  ASSERT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(packet.encapsulation, fragment.encapsulation);
  EXPECT_TRUE(packet.has(packet_flags::kEncapsulated));
  EXPECT_FALSE(packet.has(packet_flags::kSnapped));
  const EncapsulationList tags = list_encapsulation(packet);
  ASSERT_EQ(tags.count, 2U);
  EXPECT_EQ(tags.layers[0].id, 3U);
  EXPECT_EQ(tags.layers[1].id, 4U);
}

TEST(Defragmenter, LinkHeaderTooLongToKeepLeavesARawDatagram) {
  const Datagram4 d(40);
  const Bytes radiotap = join({{0, 0}, {0x2c, 1}, zeros(296)});  // 300 bytes
  const Bytes mac = join({{0x08, 1, 0, 0}, zeros(20), {0xaa, 0xaa, 3, 0, 0, 0, 8, 0}});
  Feeder feeder;
  const auto frame = [&](Span span) { return join({radiotap, mac, d.fragment(span)}); };
  ASSERT_TRUE(feeder.add_frame(frame({0, 24, More::Yes}), LinkType::Radiotap).held());
  ASSERT_TRUE(feeder.add_frame(frame({24, 16, More::No}), LinkType::Radiotap).datagram);
  Packet packet = feeder.last_packet;
  EXPECT_EQ(packet.link, LinkType::Raw);
  decode(packet, {});
  EXPECT_EQ(packet.verdict, Verdict::Tcp);
}

TEST(Defragmenter, Ipv6LosesItsFragmentHeaderBehindExtensions) {
  const Bytes segment = tcp_bytes6(100);
  const Bytes hop_by_hop = {60, 0, 1, 4, 0, 0, 0, 0};
  const Bytes options_to_fragment = {44, 0, 1, 4, 0, 0, 0, 0};
  const Bytes options_to_tcp = {6, 0, 1, 4, 0, 0, 0, 0};
  const auto fragment = [&](Span span) {
    return ipv6(
        slice(segment, span.offset, span.length), 0,
        join({hop_by_hop, options_to_fragment, fragment_header6(span.offset, span.more, 9)}));
  };
  Feeder feeder;
  ASSERT_TRUE(feeder.add(fragment({64, 36, More::No})).held());
  const Outcome outcome = feeder.add(fragment({0, 64, More::Yes}));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, ipv6(segment, 0, join({hop_by_hop, options_to_tcp})));
  Packet packet = feeder.last_packet;
  decode(packet, {});
  ASSERT_EQ(packet.verdict, Verdict::Tcp);
  EXPECT_EQ(check_tcp_checksum(packet), ChecksumResult::Good);
}

TEST(Defragmenter, FirstFragmentSaysWhatAnIpv6DatagramCarries) {
  const Bytes segment = tcp_bytes6(48);
  Feeder feeder;
  const Bytes last =
      ipv6(join({fragment_header6(24, More::No, 9, 17), slice(segment, 24, 24)}), 44);  // says UDP
  ASSERT_TRUE(feeder.add(last).held());
  const Outcome outcome = feeder.add(ipv6_fragment(slice(segment, 0, 24), 0, More::Yes, 9));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, ipv6(segment));
}

TEST(Defragmenter, SumOfLengthsIsNotCompleteness) {
  const Datagram4 d(64);
  Feeder feeder;
  EXPECT_TRUE(feeder.add(d.fragment({0, 24, More::Yes})).held());
  EXPECT_TRUE(feeder.add(d.fragment({16, 24, More::Yes})).held());
  EXPECT_TRUE(feeder.add(d.fragment({48, 16, More::No})).held());
  const Outcome outcome = feeder.add(d.fragment({40, 8, More::Yes}));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, d.whole());
  EXPECT_EQ(feeder.defragmenter.counters().overlaps, 1U);
  EXPECT_EQ(feeder.defragmenter.counters().overlap_conflicts, 0U);
}

TEST(Defragmenter, AllTheBytesOfIp) {
  const Datagram4 d(65515);
  Feeder feeder;
  ASSERT_TRUE(feeder.add(d.fragment({32000, 33515, More::No})).held());
  const Outcome outcome = feeder.add(d.fragment({0, 32000, More::Yes}));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, d.whole());
}

// Its length field does not count the fixed header.
TEST(Defragmenter, AllTheBytesOfIpv6AndNotOneMore) {
  const Bytes segment = tcp_bytes6(65535);
  Feeder feeder;
  ASSERT_TRUE(feeder.add(ipv6_fragment(slice(segment, 0, 32000), 0, More::Yes)).held());
  EXPECT_EQ(feeder.add(ipv6_fragment(Bytes(8, 'v'), 65528, More::No)).reject,
            FragmentReject::TooLarge);
  const Outcome outcome = feeder.add(ipv6_fragment(slice(segment, 32000, 33535), 32000, More::No));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, ipv6(segment));
}

TEST(Defragmenter, ConflictIsCountedAndTheDatagramSaysSo) {
  Datagram4 d(44);
  Feeder feeder;
  ASSERT_TRUE(feeder.add(d.fragment({0, 24, More::Yes})).held());
  ASSERT_TRUE(feeder.add(d.fragment({24, 8, More::Yes})).held());
  const Bytes good = d.whole();
  d.data[25] ^= 1;
  ASSERT_TRUE(feeder.add(d.fragment({24, 8, More::Yes})).held());
  const Outcome outcome = feeder.add(d.fragment({32, 12, More::No}));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, good);
  EXPECT_EQ(outcome.conflicts, 1U);
  EXPECT_EQ(feeder.defragmenter.counters().overlap_conflicts, 1U);
}

struct RefusalCase {
  const char* name;
  std::vector<Span> held;
  Span refused;
  FragmentReject reason;
  enum class Datagram : std::uint8_t { NeverOpened, Kept, Dropped } datagram;
};

void PrintTo(const RefusalCase& c, std::ostream* out) {
  *out << c.name;
}

class Refusal : public testing::TestWithParam<RefusalCase> {};

TEST_P(Refusal, Ipv4) {
  const RefusalCase& c = GetParam();
  const Datagram4 d(Bytes(66000, 'x'));
  Feeder feeder;
  for (const Span& span : c.held) EXPECT_TRUE(feeder.add(d.fragment(span)).held());
  EXPECT_EQ(feeder.add(d.fragment(c.refused)).reject, c.reason);
  EXPECT_EQ(feeder.rejected(c.reason), 1U);
  const bool kept = c.datagram == RefusalCase::Datagram::Kept;
  const bool dropped = c.datagram == RefusalCase::Datagram::Dropped;
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), kept ? 1U : 0U);
  EXPECT_EQ(feeder.defragmenter.counters().discarded, dropped ? 1U : 0U);
  EXPECT_TRUE(feeder.balances());
}

using Fate = RefusalCase::Datagram;
INSTANTIATE_TEST_SUITE_P(
    Defragmenter, Refusal,
    testing::Values(
        RefusalCase{
            "oversize", {}, {65528, 100, More::No}, FragmentReject::TooLarge, Fate::NeverOpened},
        RefusalCase{"one byte too many",
                    {},
                    {65504, 12, More::No},
                    FragmentReject::TooLarge,
                    Fate::NeverOpened},
        RefusalCase{"empty", {}, {8, 0, More::Yes}, FragmentReject::Empty, Fate::NeverOpened},
        RefusalCase{"unaligned",
                    {{24, 8, More::Yes}},
                    {8, 13, More::Yes},
                    FragmentReject::Unaligned,
                    Fate::Kept},
        RefusalCase{"end inside what is there",
                    {{0, 32, More::Yes}},
                    {24, 4, More::No},
                    FragmentReject::InconsistentEnd,
                    Fate::Dropped},
        RefusalCase{"two ends, the later one first",
                    {{48, 16, More::No}},
                    {32, 16, More::No},
                    FragmentReject::InconsistentEnd,
                    Fate::Dropped},
        RefusalCase{"two ends, the later one last",
                    {{32, 16, More::No}},
                    {32, 32, More::No},
                    FragmentReject::InconsistentEnd,
                    Fate::Dropped},
        RefusalCase{"same unit, other byte",
                    {{32, 12, More::No}},
                    {32, 13, More::No},
                    FragmentReject::InconsistentEnd,
                    Fate::Dropped},
        RefusalCase{"beyond the end",
                    {{32, 16, More::No}},
                    {48, 8, More::Yes},
                    FragmentReject::BeyondEnd,
                    Fate::Dropped},
        RefusalCase{"over the end",
                    {{32, 12, More::No}},
                    {40, 8, More::Yes},
                    FragmentReject::BeyondEnd,
                    Fate::Dropped}),
    [](const auto& row) { return "Case" + std::to_string(row.index); });

TEST(Defragmenter, FragmentThatWasNotCapturedWholeIsRefused) {
  const Datagram4 d(64);
  Bytes frame = d.fragment({0, 32, More::Yes});
  const auto wire = static_cast<std::uint32_t>(frame.size());
  frame.pop_back();
  Packet packet = packet_of(frame, LinkType::Raw);
  packet.wire_length = wire;
  decode(packet, {});
  ASSERT_EQ(packet.verdict, Verdict::Fragment);
  Feeder feeder;
  EXPECT_EQ(feeder.take(packet).reject, FragmentReject::NotCaptured);
}

TEST(Defragmenter, FragmentWithoutALengthIsRefused) {
  const Datagram4 d(64);
  Bytes frame = d.fragment({0, 32, More::Yes});
  put16(frame, 2, 0);
  fix_ipv4_checksum(frame);
  Feeder feeder;
  EXPECT_EQ(feeder.add(frame).reject, FragmentReject::NoLength);
}

// The header that comes with the first fragment may be longer than that of the others.
TEST(Defragmenter, HeaderOfTheFirstFragmentCanMakeItTooLong) {
  const Bytes data(65512, 'x');
  Feeder feeder;
  ASSERT_TRUE(feeder.add(ipv4_fragment(slice(data, 8, 65504), 8, More::No)).held());
  const Bytes first =
      ipv4_fragment(slice(data, 0, 8), 0, More::Yes, {.options = {1, 1, 1, 1, 1, 1, 1, 0}});
  EXPECT_EQ(feeder.add(first).reject, FragmentReject::TooLarge);
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 0U);
}

TEST(Defragmenter, Ipv6OverlapDiscardsWhatIsStillToCome) {
  const Bytes segment = tcp_bytes6(64);
  Feeder feeder;
  ASSERT_TRUE(feeder.add(ipv6_fragment(slice(segment, 0, 32), 0, More::Yes)).held());
  EXPECT_EQ(feeder.add(ipv6_fragment(Bytes(8, 'E'), 24, More::Yes)).reject,
            FragmentReject::Overlap);
  EXPECT_EQ(feeder.add(ipv6_fragment(slice(segment, 32, 32), 32, More::No)).reject,
            FragmentReject::OfDiscarded);
  EXPECT_EQ(feeder.add(ipv6_fragment(slice(segment, 0, 32), 0, More::Yes)).reject,
            FragmentReject::OfDiscarded);
  EXPECT_EQ(feeder.defragmenter.counters().discarded, 1U);
  // With its time it is forgotten, and it is not counted a second time.
  feeder.defragmenter.expire(at_seconds(60));
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 0U);
  EXPECT_EQ(feeder.defragmenter.counters().expired, 0U);
  EXPECT_TRUE(feeder.balances());
}

TEST(Defragmenter, Ipv6ExactDuplicatesAreTolerated) {
  const Bytes segment = tcp_bytes6(64);
  const Bytes first = ipv6_fragment(slice(segment, 0, 32), 0, More::Yes);
  Feeder feeder;
  ASSERT_TRUE(feeder.add(first).held());
  ASSERT_TRUE(feeder.add(first).held());
  const Outcome outcome = feeder.add(ipv6_fragment(slice(segment, 32, 32), 32, More::No));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, ipv6(segment));
}

// Same extent with another byte, part of one, two at once: none is an exact duplicate.
TEST(Defragmenter, Ipv6DuplicatesThatAreNotExactDiscard) {
  const Bytes segment = tcp_bytes6(64);
  Bytes other = slice(segment, 0, 32);
  other[31] ^= 1;
  const std::vector<Bytes> repeats = {ipv6_fragment(other, 0, More::Yes),
                                      ipv6_fragment(slice(segment, 0, 24), 0, More::Yes),
                                      ipv6_fragment(slice(segment, 8, 24), 8, More::Yes),
                                      ipv6_fragment(slice(segment, 0, 48), 0, More::Yes)};
  for (const Bytes& repeat : repeats) {
    Feeder feeder;
    ASSERT_TRUE(feeder.add(ipv6_fragment(slice(segment, 0, 32), 0, More::Yes)).held());
    ASSERT_TRUE(feeder.add(ipv6_fragment(slice(segment, 32, 16), 32, More::Yes)).held());
    EXPECT_EQ(feeder.add(repeat).reject, FragmentReject::Overlap);
  }
}

TEST(Defragmenter, Ipv6FirstFragmentHasAllHeaders) {
  const Bytes segment = tcp_bytes6(64);
  const Bytes tiny = ipv6_fragment(slice(segment, 0, 16), 0, More::Yes);
  const Bytes rest = ipv6_fragment(slice(segment, 16, 48), 16, More::No);
  Feeder strict;
  EXPECT_EQ(strict.add(tiny).reject, FragmentReject::IncompleteChain);
  // Options before TCP: the chain goes on inside the fragment.
  const Bytes options = join(
      {fragment_header6(0, More::Yes, 8, 60), {6, 0, 1, 4, 0, 0, 0, 0}, slice(segment, 0, 16)});
  EXPECT_EQ(strict.add(ipv6(options, 44)).reject, FragmentReject::IncompleteChain);
  Feeder lenient({.ipv6_chain = Ipv6HeaderChain::Any});
  EXPECT_TRUE(lenient.add(tiny).held());
  EXPECT_TRUE(lenient.add(rest).datagram);
}

TEST(Defragmenter, Ipv6HeadersBeforeTheFragmentHeaderAreLimited) {
  const auto with_options = [](std::uint8_t units) {
    const std::size_t bytes = 8U * (units + 1U);
    Bytes options = zeros(bytes);
    options[0] = 44;
    options[1] = units;
    return ipv6(join({options, fragment_header6(0, More::Yes, 5), tcp_bytes6(64)}), 60);
  };
  Feeder feeder;
  EXPECT_TRUE(feeder.add(with_options(26)).held());  // 40 + 216 bytes
  EXPECT_EQ(feeder.add(with_options(27)).reject, FragmentReject::HeaderTooLong);
  feeder.defragmenter.finish();
  EXPECT_TRUE(feeder.balances());
}

TEST(Defragmenter, IdReusedAtOnceBeginsAnother) {
  const Datagram4 a(tcp_bytes(24));
  const Datagram4 b(Bytes(24, 'b'));
  Feeder feeder;
  ASSERT_TRUE(feeder.add(a.fragment({0, 16, More::Yes})).held());
  EXPECT_EQ(feeder.add(a.fragment({16, 8, More::No})).datagram, a.whole());
  ASSERT_TRUE(feeder.add(b.fragment({16, 8, More::No})).held());
  EXPECT_EQ(feeder.add(b.fragment({0, 16, More::Yes})).datagram, b.whole());
  EXPECT_EQ(feeder.defragmenter.counters().overlaps, 0U);
}

TEST(Defragmenter, WhatComesAfterCompletionExpiresAlone) {
  const Datagram4 d(48);
  Feeder feeder;
  ASSERT_TRUE(feeder.add(d.fragment({0, 24, More::Yes})).held());
  ASSERT_TRUE(feeder.add(d.fragment({24, 24, More::No})).datagram);
  EXPECT_TRUE(feeder.add(d.fragment({24, 24, More::No})).held());
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 1U);
  feeder.defragmenter.expire(at_seconds(30));
  EXPECT_EQ(feeder.defragmenter.counters().expired, 1U);
  EXPECT_EQ(feeder.defragmenter.counters().reassembled, 1U);
}

TEST(Defragmenter, KeyHasProtocolAddressesAndTags) {
  const Bytes data = tcp_bytes(48);
  const auto first = [&](const Ipv4FragmentSpec& spec) {
    return ipv4_fragment(slice(data, 0, 24), 0, More::Yes, spec);
  };
  Feeder feeder;
  ASSERT_TRUE(feeder.add(first({})).held());
  ASSERT_TRUE(feeder.add(first({.protocol = 17})).held());
  ASSERT_TRUE(feeder.add(first({.source = {10, 0, 0, 9}})).held());
  ASSERT_TRUE(feeder.add(first({.id = 8})).held());
  for (const std::uint32_t vlan : {5U, 6U}) {
    const Bytes tagged = ethernet(0x8100, join({be16(vlan), be16(0x0800), first({})}));
    ASSERT_TRUE(feeder.add_frame(tagged, LinkType::Ethernet).held());
  }
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 6U);
  ASSERT_TRUE(feeder.add(ipv4_fragment(slice(data, 24, 24), 24, More::No)).datagram);
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 5U);
}

TEST(Defragmenter, TimeoutIsExactAndNeverExtended) {
  const Datagram4 d(72);
  const auto run = [&](Timestamp last) {
    Feeder feeder;
    EXPECT_TRUE(feeder.add(d.fragment({0, 24, More::Yes}), at_seconds(1)).held());
    EXPECT_TRUE(feeder.add(d.fragment({0, 24, More::Yes}), at_seconds(29)).held());
    EXPECT_TRUE(feeder.add(d.fragment({24, 24, More::Yes}), at_seconds(30)).held());
    const bool complete = feeder.add(d.fragment({48, 24, More::No}), last).datagram.has_value();
    EXPECT_EQ(feeder.defragmenter.counters().expired, complete ? 0U : 1U);
    EXPECT_TRUE(feeder.balances());
    return complete;
  };
  EXPECT_TRUE(run(at_seconds(31) - Duration{1}));
  EXPECT_FALSE(run(at_seconds(31)));
}

TEST(Defragmenter, Ipv6WaitsLonger) {
  const Bytes segment = tcp_bytes6(64);
  for (const bool late : {false, true}) {
    Feeder feeder;
    ASSERT_TRUE(feeder.add(ipv6_fragment(slice(segment, 0, 32), 0, More::Yes)).held());
    const Timestamp clock = at_seconds(60) - Duration{late ? 0 : 1};
    EXPECT_EQ(feeder.add(ipv6_fragment(slice(segment, 32, 32), 32, More::No), clock).held(), late);
  }
}

// However many are due at once: a lookup never meets one past its time.
TEST(Defragmenter, LookupMeetsNoneThatIsDue) {
  const Datagram4 d(48);
  Feeder feeder;
  for (std::uint16_t id = 0; id < 5000; ++id) {
    const Datagram4 one(48, {.id = id});
    ASSERT_TRUE(feeder.add(one.fragment({0, 24, More::Yes}), at_seconds(0)).held());
  }
  const Datagram4 latest(48, {.id = 4999});
  EXPECT_TRUE(feeder.add(latest.fragment({24, 24, More::No}), at_seconds(30)).held());
  EXPECT_TRUE(feeder.balances());
  feeder.defragmenter.finish();
  EXPECT_EQ(feeder.defragmenter.counters().expired, 5001U);
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 0U);
}

TEST(Defragmenter, ClockAtTheEndOfTimeIsSurvived) {
  const Datagram4 d(48);
  Feeder feeder;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(feeder.add(d.fragment({0, 24, More::Yes}), kTimeMax).held());
  }
  EXPECT_TRUE(feeder.balances());
}

TEST(Defragmenter, CompletedDatagramsStayUntilReleased) {
  const Datagram4 d(60000);
  const Bytes first = d.fragment({0, 32000, More::Yes});
  const Bytes last = d.fragment({32000, 28000, More::No});
  Defragmenter defragmenter({.completed_bytes = 256 << 10});
  const auto add = [&](const Bytes& bytes) {
    Packet packet = packet_of(bytes, LinkType::Raw);
    decode(packet, {});
    return defragmenter.add(packet);
  };
  std::vector<CompleteDatagram> whole;
  const Bytes expected = d.whole();
  for (;;) {
    const bool room = defragmenter.can_complete();
    add(first);
    const Defragmenter::Result result = add(last);
    const auto* complete = std::get_if<CompleteDatagram>(&result);
    EXPECT_TRUE(complete != nullptr || !room);
    if (complete == nullptr) {
      EXPECT_EQ(std::get<FragmentReject>(result), FragmentReject::NoRoom);
      break;
    }
    whole.push_back(*complete);
  }
  EXPECT_GE(whole.size(), 3U);
  for (const CompleteDatagram& w : whole) {
    EXPECT_TRUE(std::equal(w.bytes.begin(), w.bytes.end(), expected.begin(), expected.end()));
  }
  EXPECT_TRUE(defragmenter.reached_limit());
  for (const CompleteDatagram& w : whole) defragmenter.release(w.handle);
  EXPECT_TRUE(defragmenter.can_complete());
  add(first);
  EXPECT_TRUE(std::holds_alternative<CompleteDatagram>(add(last)));
}

TEST(Defragmenter, RefusalsHaveTheirNames) {
  EXPECT_EQ(kFragmentRejectNames[static_cast<std::size_t>(FragmentReject::TooLarge)],
            "frag_oversize");
  EXPECT_EQ(kFragmentRejectNames[static_cast<std::size_t>(FragmentReject::NoRoom)], "frag_no_room");
}

}  // namespace
}  // namespace flowloom::test
