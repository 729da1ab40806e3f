// Conversations inside tunnels, through both halves of the data path: the same bytes, gaps and
// histories as outside; connections that only a tunnel keeps apart; fragments in tunnels in
// fragments.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "net/packet_clock_rule.hpp"
#include "pipeline/front.hpp"
#include "pipeline/shard.hpp"
#include "support/packet_builder.hpp"
#include "support/recording_consumer.hpp"
#include "support/tunnel_builder.hpp"

namespace flowloom::test {
namespace {

const Timestamp kBase = from_nanoseconds(1'700'000'000'000'000'000);

/// Front and shard as a worker runs them, frames in and a log out.
class Path {
 public:
  Path() : front_(FrontSettings{}), shard_(config(), consumer_) {}

  void feed(const std::vector<Frame>& frames) {
    for (const Frame& frame : frames) feed(frame);
  }

  void feed(const Frame& frame) {
    Burst burst;
    burst.size = 1;
    Packet& packet = burst.packets[0];
    packet = Packet{};
    packet.frame = frame.bytes.data();
    packet.stamp = frame.stamp;
    packet.clock = rule_.advance(frame.stamp);
    packet.number = ++number_;
    packet.captured = static_cast<std::uint32_t>(frame.bytes.size());
    packet.wire_length = std::max(frame.wire_length, packet.captured);
    packet.link = LinkType::Ethernet;
    front_.run(burst);
    shard_.track(burst);
    front_.release(number_);
  }

  const std::vector<ConnectionLog>& finish() {
    shard_.finish();
    front_.finish();
    EXPECT_EQ(consumer_.violations(), "");
    EXPECT_TRUE(shard_.ledger().balances());
    EXPECT_EQ(shard_.ledger().received, number_);
    EXPECT_EQ(shard_.memory_in_use(), Shard::MemoryInUse{});
    EXPECT_FALSE(front_.crowded());
    return consumer_.connections();
  }

  [[nodiscard]] std::string text() const { return consumer_.text(kBase); }
  [[nodiscard]] const Ledger& ledger() const { return shard_.ledger(); }
  [[nodiscard]] const DefragmentCounters& datagrams() const { return front_.datagrams(); }
  [[nodiscard]] std::uint64_t verdicts(Verdict verdict) const {
    return ledger().verdicts[static_cast<std::size_t>(verdict)];
  }

 private:
  static ShardConfig config() {
    ShardConfig config;
    config.max_flows = 64;
    config.reorder_bytes = std::uint64_t{4} << 20;
    return config;
  }

  RecordingConsumer consumer_;
  Front front_;
  Shard shard_;
  PacketClockRule rule_;
  std::uint64_t number_ = 0;
};

Timestamp at_ms(int ms) { return kBase + std::chrono::milliseconds(ms); }

/// A whole connection: handshake, bytes both ways with one segment early, FINs.
std::vector<Frame> conversation(const Endpoint& a, const Endpoint& b, const std::string& said) {
  int ms = 0;
  std::vector<Frame> frames;
  const auto up = [&](PacketBuilder packet) {
    frames.push_back(packet.from(a).to(b).build(at_ms(++ms)));
  };
  const auto down = [&](PacketBuilder packet) {
    frames.push_back(packet.from(b).to(a).build(at_ms(++ms)));
  };
  const std::string first = said.substr(0, said.size() / 2);
  const std::string second = said.substr(first.size());
  const auto size = static_cast<std::uint32_t>(said.size());
  const auto half = static_cast<std::uint32_t>(first.size());
  up(PacketBuilder().flags("S").seq(100));
  down(PacketBuilder().flags("S.").seq(500).ack(101));
  up(PacketBuilder().flags(".").seq(101).ack(501));
  up(PacketBuilder().flags("P.").seq(101 + half).ack(501).payload(second));
  up(PacketBuilder().flags("P.").seq(101).ack(501).payload(first));
  down(PacketBuilder().flags("P.").seq(501).ack(101 + size).payload("answer to " + said));
  up(PacketBuilder().flags("F.").seq(101 + size).ack(511 + size));
  down(PacketBuilder().flags("F.").seq(511 + size).ack(102 + size));
  up(PacketBuilder().flags(".").seq(102 + size).ack(512 + size));
  return frames;
}

std::vector<Frame> wrapped(std::vector<Frame> frames, const Tunnel& tunnel) {
  for (Frame& frame : frames) {
    frame.bytes = tunnel.wrap(frame.bytes);
    frame.wire_length = 0;
  }
  return frames;
}

const std::string& bytes_of(const ConnectionLog& connection, Direction d) {
  return connection.side(d).bytes;
}

class TunnelStreamsTest : public testing::TestWithParam<Tunnel> {};

TEST_P(TunnelStreamsTest, CarriesTheSameConversation) {
  for (const auto& endpoint : {endpoint4, endpoint6}) {
    const std::vector<Frame> plain =
        conversation(endpoint(1, 40000), endpoint(2, 80), "what is said");
    Path outside;
    outside.feed(plain);
    outside.finish();
    Path inside;
    inside.feed(wrapped(plain, GetParam()));
    const std::vector<ConnectionLog>& found = inside.finish();
    EXPECT_EQ(inside.text(), outside.text());
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(bytes_of(found[0], Direction::OriginatorToResponder), "what is said");
    EXPECT_EQ(found[0].record.encapsulation.count, GetParam().layers);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TunnelStreamsTest, testing::ValuesIn(all_tunnels()),
                         [](const auto& row) { return row.param.name; });

// The same end points, ports and sequence numbers at the same time, kept apart by the network's
// number and nothing else.
TEST(TunnelIdentity, SameTupleOnTwoNetworksIsTwoConnections) {
  using Wrap = std::function<TunnelBytes(std::uint32_t, const TunnelBytes&)>;
  const Wrap wraps[] = {vxlan, [](std::uint32_t network, const TunnelBytes& frame) {
                          return nvgre(network, 1, frame);
                        }};
  for (const Wrap& wrap : wraps) {
    const auto one = conversation(endpoint4(1, 40000), endpoint4(2, 80), "on network one");
    const auto two = conversation(endpoint4(1, 40000), endpoint4(2, 80), "and on another");
    Path path;
    for (std::size_t i = 0; i < one.size(); ++i) {
      path.feed(Frame{one[i].stamp, wrap(1, one[i].bytes), 0});
      path.feed(Frame{two[i].stamp, wrap(2, two[i].bytes), 0});
      path.feed(Frame{two[i].stamp, one[i].bytes, 0});  // and once outside of both
    }
    const std::vector<ConnectionLog>& found = path.finish();
    ASSERT_EQ(found.size(), 3U);
    std::vector<std::string> said;
    for (const ConnectionLog& connection : found) {
      said.push_back(bytes_of(connection, Direction::OriginatorToResponder));
      EXPECT_EQ(connection.record.close, CloseReason::Fin);
      EXPECT_EQ(connection.record.side(Direction::OriginatorToResponder).duplicate_bytes, 0U);
    }
    EXPECT_EQ(said, (std::vector<std::string>{"on network one", "and on another",
                                              "on network one"}));
  }
}

// Numbers that each end chooses for itself do not tear the directions of a connection apart: that
// of GTP is no identity, and different keys of GRE meet by their handshake.
TEST(TunnelIdentity, NumbersOfOneDirectionAreNoIdentity) {
  using Wrap = std::function<TunnelBytes(std::uint32_t, const TunnelBytes&)>;
  const Wrap wraps[] = {gtp, keyed_gre};
  for (const Wrap& wrap : wraps) {
    Path path;
    for (const Frame& frame : conversation(endpoint4(1, 40000), endpoint4(2, 80), "both ways")) {
      const bool up = frame.bytes[14 + 15] == 1;  // last byte of the source address
      path.feed(Frame{frame.stamp, wrap(up ? 7 : 1234567, frame.bytes), 0});
    }
    const std::vector<ConnectionLog>& found = path.finish();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(bytes_of(found[0], Direction::OriginatorToResponder), "both ways");
    EXPECT_EQ(bytes_of(found[0], Direction::ResponderToOriginator), "answer to both ways");
    EXPECT_EQ(found[0].record.encapsulation.layers[0].id, 7U);
  }
}

// A mirror that tags by direction, and a balancer whose servers answer directly.
TEST(TunnelIdentity, DirectionsThatAreWrappedDifferentlyMeet) {
  using Wrap = std::function<TunnelBytes(const TunnelBytes&)>;
  const Wrap same = [](const TunnelBytes& frame) { return frame; };
  const Wrap network = [](const TunnelBytes& frame) { return vxlan(7, frame); };
  const Wrap balancer = [](const TunnelBytes& frame) {
    return outer_ipv4(4, datagram_of(frame));
  };
  const std::pair<Wrap, Wrap> mirrors[] = {
      {balancer, same}, {same, balancer}, {network, balancer}, {same, network}};
  for (const auto& [up, down] : mirrors) {
    Path path;
    for (const Frame& frame : conversation(endpoint4(1, 40000), endpoint4(2, 80), "both ways")) {
      const bool from_client = frame.bytes[14 + 15] == 1;
      path.feed(Frame{frame.stamp, (from_client ? up : down)(frame.bytes), 0});
    }
    const std::vector<ConnectionLog>& found = path.finish();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(bytes_of(found[0], Direction::OriginatorToResponder), "both ways");
    EXPECT_EQ(bytes_of(found[0], Direction::ResponderToOriginator), "answer to both ways");
    EXPECT_EQ(found[0].record.close, CloseReason::Fin);
    EXPECT_EQ(found[0].record.state, ConnState::SF);
  }
}

/// Cuts every IPv4 frame that is long enough; in a random order where there is a generator.
std::vector<TunnelBytes> cut(const std::vector<TunnelBytes>& frames, std::uint16_t& identification,
                             std::mt19937* random) {
  constexpr std::size_t kFragmentBytes = 48;
  std::vector<TunnelBytes> pieces;
  for (const TunnelBytes& frame : frames) {
    std::vector<TunnelBytes> parts = fragments_of(frame, kFragmentBytes, ++identification);
    if (random != nullptr) std::shuffle(parts.begin(), parts.end(), *random);
    pieces.insert(pieces.end(), parts.begin(), parts.end());
  }
  return pieces;
}

TunnelBytes ip_in_ip(const TunnelBytes& frame) { return outer_ipv4(4, datagram_of(frame)); }

// The inner datagram is cut, each piece is wrapped, and the result is cut again: `depth` times. All
// of it has to be put together from the outside in.
void expect_nested(std::uint32_t depth, std::mt19937* random) {
  const std::string said(300, 'x');
  Path path;
  std::uint16_t identification = 0;
  std::uint64_t fed = 0;
  for (const Frame& frame : conversation(endpoint4(1, 40000), endpoint4(2, 80), said)) {
    std::vector<TunnelBytes> pieces = cut({frame.bytes}, identification, random);
    for (std::uint32_t level = 0; level < depth; ++level) {
      for (TunnelBytes& piece : pieces) {
        piece = level % 2 == 0 ? vxlan(level, piece) : ip_in_ip(piece);
      }
      // Cutting every piece at every level would make too many of them.
      if (level < 2 || level + 1 == depth) pieces = cut(pieces, identification, random);
    }
    for (const TunnelBytes& piece : pieces) path.feed(Frame{frame.stamp, piece, 0});
    fed += pieces.size();
  }
  const std::vector<ConnectionLog>& found = path.finish();
  ASSERT_EQ(found.size(), 1U) << depth;
  EXPECT_EQ(bytes_of(found[0], Direction::OriginatorToResponder), said);
  EXPECT_EQ(bytes_of(found[0], Direction::ResponderToOriginator), "answer to " + said);
  EXPECT_EQ(found[0].record.encapsulation.count, depth);
  EXPECT_EQ(found[0].record.side(Direction::OriginatorToResponder).gap_bytes, 0U);
  EXPECT_EQ(path.verdicts(Verdict::Fragment), fed);
  EXPECT_EQ(path.datagrams().expired, 0U);
  EXPECT_EQ(path.datagrams().opened, path.datagrams().reassembled);
}

TEST(NestedFragments, ToTheDeepestTunnel) {
  for (std::uint32_t depth = 1; depth <= kMaxTunnels; ++depth) expect_nested(depth, nullptr);
}

TEST(NestedFragments, InAnyOrderOfTheirPieces) {
  std::mt19937 random(7);
  for (int i = 0; i < 5; ++i) expect_nested(3, &random);
}

// One piece of each datagram is cut again inside the next tunnel, eight times, and what comes of it
// once more: the last fragment completes nine datagrams.
std::vector<TunnelBytes> cut_at_every_level(const TunnelBytes& frame,
                                            std::uint16_t& identification) {
  constexpr std::size_t kHeadersBytes = 14 + 20;
  std::vector<TunnelBytes> all;
  TunnelBytes hot = frame;
  for (std::uint32_t level = 0; level <= kMaxTunnels; ++level) {
    const std::size_t half = (hot.size() - kHeadersBytes) / 16 * 8;
    const auto parts = fragments_of(hot, std::max<std::size_t>(8, half), ++identification);
    all.insert(all.end(), parts.begin(), parts.end() - 1);
    hot = parts.back();
    if (level == kMaxTunnels) break;
    for (TunnelBytes& piece : all) piece = ip_in_ip(piece);
    hot = ip_in_ip(hot);
  }
  all.push_back(hot);
  return all;
}

TEST(NestedFragments, AtEveryLevelAtOnce) {
  std::uint16_t identification = 0;
  std::uint64_t fed = 0;
  Path path;
  const auto plain = conversation(endpoint4(1, 40000), endpoint4(2, 80), "cut nine times");
  for (const Frame& frame : plain) {
    for (const TunnelBytes& piece : cut_at_every_level(frame.bytes, identification)) {
      path.feed(Frame{frame.stamp, piece, 0});
      ++fed;
    }
  }
  const std::vector<ConnectionLog>& found = path.finish();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(bytes_of(found[0], Direction::OriginatorToResponder), "cut nine times");
  EXPECT_EQ(found[0].record.encapsulation.count, kMaxTunnels);
  EXPECT_EQ(found[0].record.close, CloseReason::Fin);
  EXPECT_EQ(path.datagrams().reassembled, plain.size() * (kMaxTunnels + 1));
  EXPECT_EQ(path.verdicts(Verdict::Fragment), fed);
}

// The same fragment numbers in two networks are two datagrams.
TEST(NestedFragments, KeyedByTheNetworkAroundThem) {
  const auto one = conversation(endpoint4(1, 40000), endpoint4(2, 80), "first network here");
  const auto two = conversation(endpoint4(1, 40000), endpoint4(2, 80), "other network here");
  Path path;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const auto number = static_cast<std::uint16_t>(i);
    const auto ones = fragments_of(one[i].bytes, 24, number);
    const auto twos = fragments_of(two[i].bytes, 24, number);
    for (std::size_t k = 0; k < ones.size(); ++k) {
      path.feed(Frame{one[i].stamp, vxlan(1, ones[k]), 0});
      path.feed(Frame{one[i].stamp, vxlan(2, twos[k]), 0});
    }
  }
  const std::vector<ConnectionLog>& found = path.finish();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(bytes_of(found[0], Direction::OriginatorToResponder), "first network here");
  EXPECT_EQ(bytes_of(found[1], Direction::OriginatorToResponder), "other network here");
  EXPECT_EQ(path.datagrams().overlaps, 0U);
}

// What a fragment brought is a tunnel too deep, or no packet at all: counted, and nothing leaks.
TEST(NestedFragments, BrokenInsidesKeepTheLedger) {
  const TunnelBytes deep = [] {
    TunnelBytes frame = PacketBuilder().payload("x").build(kBase).bytes;
    for (std::uint32_t i = 0; i <= kMaxTunnels; ++i) frame = ip_in_ip(frame);
    return frame;
  }();
  Path path;
  path.feed(Frame{kBase, deep, 0});
  for (const TunnelBytes& piece : fragments_of(deep, 64, 1)) path.feed(Frame{kBase, piece, 0});
  for (const TunnelBytes& piece : fragments_of(outer_ipv4(4, TunnelBytes(100, 0x99)), 64, 2)) {
    path.feed(Frame{kBase, piece, 0});
  }
  EXPECT_TRUE(path.finish().empty());
  EXPECT_EQ(path.verdicts(Verdict::TooManyTunnels), 1U);
  EXPECT_EQ(path.datagrams().reassembled, 2U);
}

// What the capture left out of an inner segment is snapped, and no byte behind it is taken for it.
TEST(TunnelStreams, SnappedInside) {
  Path path;
  auto frames = conversation(endpoint4(1, 40000), endpoint4(2, 80), "0123456789");
  for (Frame& frame : frames) {
    frame.bytes = vxlan(1, frame.bytes);
    frame.wire_length = static_cast<std::uint32_t>(frame.bytes.size());
    const std::size_t headers = 50 + 14 + 20 + 20;
    if (frame.bytes.size() > headers + 3) frame.bytes.resize(headers + 3);
  }
  path.feed(frames);
  const std::vector<ConnectionLog>& found = path.finish();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(bytes_of(found[0], Direction::OriginatorToResponder), "012567");
  EXPECT_EQ(found[0].record.side(Direction::OriginatorToResponder).gap_bytes, 4U);
}

}  // namespace
}  // namespace flowloom::test
