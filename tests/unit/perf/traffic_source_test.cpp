// Made traffic read back by a naive parser of its own: what the generator says of itself must be
// what stands in the frames.
#include "perf/traffic/traffic_source.hpp"

#include "perf/traffic/frame_writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

namespace flowloom::traffic {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::uint32_t number_at(const Bytes& b, std::size_t at, std::size_t bytes) {
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < bytes; ++i) v = v << 8 | b.at(at + i);
  return v;
}

/// One's complement sum, octet pair by octet pair (RFC 1071); 0xffff where a checksum is right.
std::uint32_t naive_sum(const Bytes& bytes, std::uint32_t start = 0) {
  std::uint32_t sum = start;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

struct Segment {
  std::tuple<std::uint32_t, std::uint32_t, std::uint32_t> sender;  // source, destination, ports
  std::tuple<std::uint32_t, std::uint32_t, std::uint32_t> receiver;
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint8_t flags = 0;
  Bytes payload;
};

/// IPv4 and TCP of one frame; a fragment waits for its other half.
class NaiveParser {
 public:
  std::optional<Segment> parse(const Packet& p) {
    EXPECT_GE(p.captured, 60U);
    EXPECT_EQ(p.captured, p.wire_length);
    EXPECT_EQ(p.link, LinkType::Ethernet);
    const Bytes frame(p.frame, p.frame + p.captured);
    EXPECT_EQ(number_at(frame, 12, 2), 0x0800U);
    EXPECT_EQ(number_at(frame, 14, 1), 0x45U);
    const std::uint32_t total = number_at(frame, 16, 2);
    EXPECT_LE(14 + total, frame.size());
    EXPECT_EQ(std::max(60U, 14 + total), frame.size()) << "only short frames are padded";
    EXPECT_EQ(naive_sum(Bytes(frame.begin() + 14, frame.begin() + 34)), 0xffffU);
    EXPECT_EQ(number_at(frame, 23, 1), 6U);
    const Bytes body(frame.begin() + 34, frame.begin() + 14 + total);
    const std::uint32_t field = number_at(frame, 20, 2);
    if (field == 0x4000) return segment_of(frame, body);
    ++fragments;
    const auto key =
        std::tuple(number_at(frame, 26, 4), number_at(frame, 30, 4), number_at(frame, 18, 2));
    auto [half, is_first] = halves_.try_emplace(key, field, body);
    if (is_first) return std::nullopt;
    auto [other_field, other] = half->second;
    halves_.erase(half);
    const bool more = (field & 0x2000) != 0;
    EXPECT_NE(more, (other_field & 0x2000) != 0);
    Bytes whole = more ? body : other;
    EXPECT_EQ((more ? other_field : field) * 8, whole.size());
    whole.insert(whole.end(), (more ? other : body).begin(), (more ? other : body).end());
    return segment_of(frame, whole);
  }
  [[nodiscard]] bool complete() const { return halves_.empty(); }

  std::uint64_t fragments = 0;

 private:
  static Segment segment_of(const Bytes& frame, const Bytes& tcp) {
    std::uint32_t sum = 6 + static_cast<std::uint32_t>(tcp.size());
    sum = naive_sum(Bytes(frame.begin() + 26, frame.begin() + 34), sum);
    EXPECT_EQ(naive_sum(tcp, sum), 0xffffU) << "TCP checksum";
    EXPECT_EQ(number_at(tcp, 12, 1), 0x50U);
    const std::uint32_t from = number_at(frame, 26, 4);
    const std::uint32_t to = number_at(frame, 30, 4);
    const std::uint32_t ports = number_at(tcp, 0, 4);
    return {.sender = {from, to, ports},
            .receiver = {to, from, ports << 16 | ports >> 16},
            .seq = number_at(tcp, 4, 4),
            .ack = number_at(tcp, 8, 4),
            .flags = static_cast<std::uint8_t>(number_at(tcp, 13, 1)),
            .payload = Bytes(tcp.begin() + 20, tcp.end())};
  }

  std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>, std::pair<std::uint32_t, Bytes>>
      halves_;
};

/// One sender: where it stands, and all that it ever sent.
struct Side {
  std::uint32_t iss = 0;
  std::uint32_t next = 0;                                      // highest offset seen
  std::uint32_t acked = 0;                                     // by the peer
  std::set<std::pair<std::uint32_t, std::uint32_t>> segments;  // (offset, bytes)
  bool fin = false;
};

class Oracle {
 public:
  void see(const Packet& packet) {
    ++packets;
    EXPECT_EQ(packet.number, packets);
    EXPECT_GT(packet.stamp, last_stamp);
    last_stamp = packet.stamp;
    EXPECT_EQ(packet.clock, packet.stamp);
    const auto segment = parser.parse(packet);
    if (segment) see(*segment);
  }

  void see(const Segment& s) {
    constexpr std::uint8_t kSynAck = tcp_bits::kSyn | tcp_bits::kAck;
    if ((s.flags & kSynAck) == tcp_bits::kSyn) {
      ++connections;
      EXPECT_FALSE(sides.contains(s.sender)) << "a tuple came twice";
      EXPECT_FALSE(sides.contains(s.receiver));
    } else {
      ASSERT_TRUE(sides.contains(s.receiver)) << "a segment before its handshake";
    }
    Side& side = sides[s.sender];
    if ((s.flags & tcp_bits::kSyn) != 0) {
      side.iss = s.seq;
      side.next = 1;
    }
    if ((s.flags & tcp_bits::kAck) != 0) {
      Side& peer = sides[s.receiver];
      const std::uint32_t acked = s.ack - peer.iss;
      EXPECT_GE(acked, peer.acked) << "an acknowledgement went back";
      peer.acked = acked;
    }
    take_payload(side, s);
    if ((s.flags & tcp_bits::kFin) != 0) {
      EXPECT_EQ(s.seq - side.iss, side.next);
      EXPECT_FALSE(side.fin);
      side.fin = true;
      ++side.next;
      ++fins;
    }
  }

  void take_payload(Side& side, const Segment& s) {
    if (s.payload.empty()) return;
    const auto bytes = static_cast<std::uint32_t>(s.payload.size());
    const std::uint32_t offset = s.seq - side.iss;
    payload_bytes += bytes;
    EXPECT_EQ(number_at(s.payload, 0, 4), s.seq) << "stamp";
    EXPECT_TRUE(std::all_of(s.payload.begin() + 6, s.payload.end(),
                            [](std::uint8_t b) { return b == kPayloadByte; }));
    if (!side.segments.emplace(offset, bytes).second) duplicate_bytes += bytes;
    if (offset != side.next) ++out_of_order;
    side.next = std::max(side.next, offset + bytes);
  }

  /// Bytes below what was acknowledged that never came, as the ledger of an engine counts them.
  [[nodiscard]] std::uint64_t gap_bytes() const {
    std::uint64_t gaps = 0;
    for (const auto& [sender, side] : sides) {
      std::uint32_t at = 1;
      for (const auto& [offset, bytes] : side.segments) {
        EXPECT_GE(offset, at) << "segments overlap";
        gaps += offset - at;
        at = offset + bytes;
      }
      if (side.acked > at + (side.fin ? 1 : 0)) gaps += side.acked - at;
    }
    return gaps;
  }

  NaiveParser parser;
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>, Side> sides;
  std::uint64_t packets = 0;
  std::uint64_t connections = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t duplicate_bytes = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t fins = 0;
  Timestamp last_stamp = kTimeMin;
};

struct Outcome {
  Oracle oracle;
  TrafficTruth truth;
};

Outcome run(const TrafficConfig& config, std::uint32_t burst_limit = 32) {
  Outcome result;
  TrafficSource source(config);
  Burst burst;
  burst.limit = burst_limit;
  while (true) {
    const bool setup = source.in_setup();
    if (source.receive(burst) != SourceState::Packets) break;
    EXPECT_GT(burst.size, 0U);
    EXPECT_LE(burst.size, burst_limit);
    if (setup) {
      EXPECT_LE(result.oracle.packets + burst.size, source.setup_packets());
    }
    for (std::uint32_t i = 0; i < burst.size; ++i) result.oracle.see(burst.packets[i]);
    source.release(burst);
  }
  result.truth = source.truth();
  return result;
}

void expect_truth(const Outcome& r) {
  EXPECT_EQ(r.truth.packets, r.oracle.packets);
  EXPECT_EQ(r.truth.payload_bytes, r.oracle.payload_bytes);
  EXPECT_EQ(r.truth.duplicate_bytes, r.oracle.duplicate_bytes);
  EXPECT_EQ(r.truth.connections, r.oracle.connections);
  EXPECT_EQ(r.truth.fragments, r.oracle.parser.fragments);
  EXPECT_EQ(r.truth.gap_bytes, r.oracle.gap_bytes());
  EXPECT_TRUE(r.oracle.parser.complete());
}

class EveryKind : public testing::TestWithParam<TrafficKind> {};

TEST_P(EveryKind, IsWhatItsTruthSays) {
  for (const std::uint32_t flows : {1U, 2U, 100U, 129U}) {
    SCOPED_TRACE(flows);
    expect_truth(run({.kind = GetParam(), .flows = flows, .packets = 40'000}));
  }
}

TEST_P(EveryKind, DependsNeitherOnBurstsNorOnPreparing) {
  const TrafficConfig config{.kind = GetParam(), .flows = 50, .packets = 3'000};
  std::vector<Bytes> plain;
  std::vector<Bytes> sevens;
  std::vector<Bytes> prepared;
  const auto collect = [](TrafficSource& source, std::uint32_t limit, std::vector<Bytes>& into) {
    Burst burst;
    burst.limit = limit;
    while (source.receive(burst) == SourceState::Packets) {
      for (std::uint32_t i = 0; i < burst.size; ++i) {
        const Packet& p = burst.packets[i];
        into.emplace_back(p.frame, p.frame + p.captured);
        EXPECT_EQ(p.number, into.size());
      }
      source.release(burst);
    }
  };
  TrafficSource a(config);
  collect(a, 32, plain);
  TrafficSource b(config);
  collect(b, 7, sevens);
  TrafficSource c(config);
  while (c.prepare(777) > 0) collect(c, 32, prepared);
  ASSERT_EQ(plain.size(), a.truth().packets);
  EXPECT_EQ(plain, sevens);
  EXPECT_EQ(plain, prepared);
}

INSTANTIATE_TEST_SUITE_P(Traffic, EveryKind,
                         testing::Values(TrafficKind::Small, TrafficKind::Bulk, TrafficKind::Http,
                                         TrafficKind::Reorder, TrafficKind::Loss,
                                         TrafficKind::SynFlood, TrafficKind::Fragments),
                         [](const auto& row) { return std::string(traffic_name(row.param)); });

TEST(TrafficSource, SmallIsInOrderAndVisitsEveryConnectionOncePerLap) {
  constexpr std::uint32_t kFlows = 1'000;
  constexpr std::uint32_t kLaps = 20;
  const Outcome r = run({.kind = TrafficKind::Small, .flows = kFlows, .packets = kFlows * kLaps});
  expect_truth(r);
  EXPECT_EQ(r.oracle.out_of_order, 0U);
  EXPECT_EQ(r.oracle.connections, kFlows);
  EXPECT_EQ(r.truth.frame_bytes, 60 * r.truth.packets);
  for (const auto& [sender, side] : r.oracle.sides) {
    EXPECT_EQ(side.segments.size(), kLaps / 2) << "the sides take turns";
  }
}

TEST(TrafficSource, VisitingOrderIsAPermutationThatChanges) {
  for (const std::uint32_t count : {1U, 2U, 3U, 64U, 1'000U, 65'537U}) {
    VisitingOrder order(count, 7);
    std::vector<std::uint32_t> first(count);
    for (auto& v : first) v = order.next();
    EXPECT_EQ(order.lap(), 0U);
    std::vector<std::uint32_t> second(count);
    for (auto& v : second) v = order.next();
    EXPECT_EQ(order.lap(), 1U);
    std::uint32_t neighbours = 0;
    for (std::uint32_t i = 1; i < count; ++i) neighbours += first[i] == first[i - 1] + 1 ? 1U : 0U;
    EXPECT_LE(neighbours, count / 16 + 2);
    if (count >= 64) {
      EXPECT_NE(first, second);
    }
    std::vector<std::uint32_t> all(count);
    std::iota(all.begin(), all.end(), 0U);
    std::sort(first.begin(), first.end());
    std::sort(second.begin(), second.end());
    EXPECT_EQ(first, all);
    EXPECT_EQ(second, all);
  }
}

TEST(TrafficSource, SequenceNumbersWrapWithoutARepetition) {
  // One connection moves 2.9 MB; the seed is sought that starts it 1 MB below the wrap.
  std::uint32_t wrapped = 0;
  for (std::uint64_t seed = 1; seed <= 100'000 && wrapped == 0; ++seed) {
    const std::uint32_t iss = conversation_of(0, scatter(seed)).server_iss;
    if (iss < 0xffff'ffff - 1'000'000) continue;
    ++wrapped;
    const Outcome r = run({.kind = TrafficKind::Bulk, .flows = 1, .packets = 3'000, .seed = seed});
    expect_truth(r);
    EXPECT_EQ(r.oracle.out_of_order, 0U);
  }
  EXPECT_EQ(wrapped, 1U);
}

TEST(TrafficSource, BulkConnectionsAreNotInStep) {
  constexpr std::uint32_t kFlows = 2'300;
  constexpr std::uint32_t kLaps = 40;
  const Outcome r =
      run({.kind = TrafficKind::Bulk, .flows = kFlows, .packets = 3 * kFlows * kLaps});
  std::map<std::size_t, std::uint32_t> connections;  // by data segments that they have sent
  for (const auto& [sender, side] : r.oracle.sides) {
    if (!side.segments.empty()) ++connections[side.segments.size()];
  }
  EXPECT_GE(connections.size(), 23U) << "as many as fit 64 KiB in pairs of segments";
  for (const auto& [segments, count] : connections) EXPECT_LE(count, kFlows / 10) << segments;
}

TEST(TrafficSource, HttpConnectionsOpenAndClose) {
  const Outcome r = run({.kind = TrafficKind::Http, .flows = 40, .packets = 20'000});
  EXPECT_NEAR(static_cast<double>(r.oracle.connections), 2'000, 50);
  EXPECT_NEAR(static_cast<double>(r.oracle.fins), 4'000, 100);
  EXPECT_EQ(r.oracle.out_of_order, 0U);
}

TEST(TrafficSource, DisturbsAsManySegmentsAsItsNamePromises) {
  const auto data_segments = [](const Outcome& r) {
    return static_cast<double>(r.truth.payload_bytes) / kLargestSegment;
  };
  const Outcome reordered = run({.kind = TrafficKind::Reorder, .flows = 100, .packets = 90'000});
  // A swapped or late segment breaks the order more than once: before it, and after it.
  const double share =
      static_cast<double>(reordered.oracle.out_of_order) / data_segments(reordered);
  EXPECT_GT(share, 0.02);
  EXPECT_LT(share, 0.08);
  EXPECT_EQ(reordered.truth.duplicate_bytes, 0U);

  const Outcome lossy = run({.kind = TrafficKind::Loss, .flows = 100, .packets = 90'000});
  const double lost = static_cast<double>(lossy.truth.gap_bytes) / kLargestSegment;
  EXPECT_NEAR(lost / data_segments(lossy), 0.0025, 0.0008);
  const double twice = static_cast<double>(lossy.truth.duplicate_bytes) / kLargestSegment;
  EXPECT_NEAR(twice / data_segments(lossy), 0.0025, 0.0008);

  const Outcome cut = run({.kind = TrafficKind::Fragments, .flows = 100, .packets = 90'000});
  EXPECT_NEAR(static_cast<double>(cut.truth.fragments) / 2 / data_segments(cut), 0.01, 0.002);
}

TEST(TrafficSource, SynFloodNeverRepeatsASourceAndKeepsItsTransfersGoing) {
  const Outcome r = run({.kind = TrafficKind::SynFlood, .flows = 10, .packets = 160'000});
  expect_truth(r);
  EXPECT_EQ(r.oracle.connections, 10 + 150'000U);
  EXPECT_EQ(r.oracle.payload_bytes, 10'000 * kSmallestSegment);
}

TEST(TrafficSource, QueuesMakeDisjointConnections) {
  const Outcome a = run({.kind = TrafficKind::Http, .flows = 20, .packets = 2'000, .queue = 0});
  const Outcome b = run({.kind = TrafficKind::Http, .flows = 20, .packets = 2'000, .queue = 1});
  for (const auto& [sender, side] : a.oracle.sides) EXPECT_FALSE(b.oracle.sides.contains(sender));
}

TEST(TrafficSource, FramesLiveUntilTheyAreReleased) {
  TrafficSource source({.kind = TrafficKind::Small, .flows = 100, .frame_slots = 64});
  Burst first;
  Burst second;
  Burst third;
  ASSERT_EQ(source.receive(first), SourceState::Packets);
  const Bytes kept(first.packets[0].frame, first.packets[0].frame + 60);
  ASSERT_EQ(source.receive(second), SourceState::Packets);
  EXPECT_EQ(source.receive(third), SourceState::Idle);
  EXPECT_EQ(kept, Bytes(first.packets[0].frame, first.packets[0].frame + 60));
  source.release(first);
  EXPECT_EQ(source.receive(third), SourceState::Packets);
  EXPECT_EQ(third.packets[0].number, 65U);
}

TEST(TrafficSource, ReleasedFramesStayAsTheyAre) {
  struct Keeper final : FrameKeeper {
    void before_reuse(ByteView) override { FAIL() << "no frame is used again before its time"; }
  } keeper;
  constexpr std::size_t kKept = 150;
  TrafficSource source({.kind = TrafficKind::Small, .flows = 7, .ahead_max = 64});
  const ByteView memory = source.keep_released(kKept, keeper);
  struct Frame {
    ByteView where;
    Bytes bytes;
  };
  std::deque<Frame> kept;
  while (source.truth().packets < 5000) {
    ASSERT_LE(source.prepare(100), 64U);
    for (const Frame& frame : kept) {
      ASSERT_EQ(Bytes(frame.where.begin(), frame.where.end()), frame.bytes);
    }
    Burst burst;
    for (std::uint64_t seen = 0; seen < source.truth().packets;) {
      ASSERT_EQ(source.receive(burst), SourceState::Packets);
      for (std::uint32_t i = 0; i < burst.size; ++i) {
        const Packet& packet = burst.packets[i];
        ASSERT_TRUE(packet.frame >= memory.data() && packet.frame < memory.data() + memory.size());
        const ByteView where{packet.frame, packet.captured};
        kept.push_back({where, Bytes(where.begin(), where.end())});
        if (kept.size() > kKept) kept.pop_front();
        seen = packet.number;
      }
      source.release(burst);
    }
  }
}

TEST(TrafficSource, RewindHandsOutTheSamePackets) {
  TrafficSource source({.kind = TrafficKind::Http, .flows = 100});
  ASSERT_EQ(source.prepare(64), 64U);
  std::vector<Bytes> rounds[2];
  for (auto& round : rounds) {
    Burst burst;
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(source.receive(burst), SourceState::Packets);
      for (std::uint32_t k = 0; k < burst.size; ++k) {
        round.emplace_back(burst.packets[k].frame,
                           burst.packets[k].frame + burst.packets[k].captured);
      }
      source.release(burst);
    }
    source.rewind();
  }
  EXPECT_EQ(rounds[0], rounds[1]);
  EXPECT_EQ(source.truth().packets, 64U);
}

TEST(TrafficSource, NamesGoBothWays) {
  for (const auto name : kTrafficNames) {
    const auto kind = traffic_kind_from_name(name);
    ASSERT_TRUE(kind.has_value());
    EXPECT_EQ(traffic_name(*kind), name);
  }
  EXPECT_FALSE(traffic_kind_from_name("huge").has_value());
}

}  // namespace
}  // namespace flowloom::traffic
