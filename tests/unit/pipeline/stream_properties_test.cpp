// What must hold for any traffic: delivered bytes and announced gaps tile each stream, the bytes
// are the true ones, burst size and arrival order change nothing, memory comes back, the ledger
// balances.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "support/random_conversations.hpp"
#include "support/recording_consumer.hpp"
#include "support/shard_runner.hpp"

namespace flowloom::test {
namespace {

const Timestamp kBase = from_nanoseconds(1'700'000'000'000'000'000);

struct Outcome {
  std::string log;
  std::string violations;
  Ledger ledger;
  std::vector<ConnectionLog> connections;
  bool memory_returned = false;
};

Outcome run(const std::vector<Frame>& frames, const ShardConfig& config, std::uint32_t burst) {
  RecordingConsumer consumer;
  ShardRunner runner(config, consumer, burst);
  for (const Frame& frame : frames) runner.feed(frame);
  runner.finish();
  return {consumer.text(kBase), consumer.violations(), runner.ledger(), consumer.connections(),
          runner.shard().memory_in_use() == Shard::MemoryInUse{}};
}

/// What holds for every run.
void expect_sound(const Outcome& outcome) {
  EXPECT_EQ(outcome.violations, "");
  EXPECT_TRUE(outcome.ledger.balances());
  EXPECT_TRUE(outcome.memory_returned);
  for (const ConnectionLog& connection : outcome.connections) EXPECT_TRUE(connection.closed);
}

std::uint64_t fate(const Outcome& outcome, Fate f) {
  return outcome.ledger.tcp.fates[static_cast<std::size_t>(f)];
}

/// Holds one delivered side to the truth. `complete`: every captured byte must be there, and the
/// gaps are exactly what was not captured.
enum class Demand : std::uint8_t { Complete, Sound };
void expect_true(const StreamTruth& truth, const ConnectionLog::Side& side, Demand demand) {
  std::vector<bool> missing(truth.bytes.size(), false);
  for (const Gap& gap : side.gaps) {
    ASSERT_LE(static_cast<std::size_t>(gap.offset + gap.length), truth.bytes.size());
    for (StreamOffset i = gap.offset; i < gap.offset + gap.length; ++i) {
      missing[static_cast<std::size_t>(i)] = true;
    }
  }
  std::string expected;
  for (std::size_t i = 0; i < truth.bytes.size(); ++i) {
    if (!missing[i]) expected += truth.bytes[i];
    if (demand == Demand::Complete) {
      ASSERT_EQ(missing[i], !truth.captured[i]) << "byte " << i;
    } else {
      ASSERT_TRUE(missing[i] || truth.captured[i]) << "byte " << i << " from nowhere";
    }
  }
  ASSERT_EQ(static_cast<std::size_t>(side.end), truth.bytes.size()); // tiled up to the FIN
  ASSERT_TRUE(side.bytes == expected);
  ASSERT_TRUE(side.ended);
}

void expect_conversations(const Outcome& outcome, const std::vector<Conversation>& conversations,
                          Demand demand) {
  std::map<Endpoint, const Conversation*> by_originator;
  for (const Conversation& c : conversations) by_originator[c.originator] = &c;
  ASSERT_EQ(outcome.connections.size(), conversations.size());
  for (const ConnectionLog& log : outcome.connections) {
    const auto it = by_originator.find(log.record.sides[0].endpoint);
    ASSERT_NE(it, by_originator.end()) << "roles are reversed";
    SCOPED_TRACE("conversation " + std::to_string(it->second->number));
    for (unsigned i = 0; i < 2; ++i) expect_true(it->second->streams[i], log.sides[i], demand);
    EXPECT_EQ(log.record.state, ConnState::SF);
    EXPECT_EQ(log.record.close, CloseReason::Fin);
  }
}

struct Case {
  const char* name;
  TrafficShape shape;
  Demand demand;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"clean", {.reorder_distance = 0, .repeat_percent = 0}, Demand::Complete},
      {"reordered", {.reorder_distance = 20, .repeat_percent = 0}, Demand::Complete},
      {"repeated", {.repeat_percent = 60}, Demand::Complete},
      {"tiny segments", {.stream_bytes_max = 400, .segment_bytes_max = 2}, Demand::Complete},
      {"large", {.stream_bytes_max = 60000, .segment_bytes_max = 3000}, Demand::Complete},
      {"lost, acks of what was seen", {.loss_percent = 15}, Demand::Complete},
      {"lost, any acks",
       {.loss_percent = 15, .acks = TrafficShape::Acks::OfWhatWasSent},
       Demand::Sound},
      {"lost with the SYN/ACK",
       {.loss_percent = 15, .handshake = TrafficShape::Handshake::WithoutSynAck},
       Demand::Complete},
      {"lost with the SYN/ACK, any acks",
       {.loss_percent = 15,
        .acks = TrafficShape::Acks::OfWhatWasSent,
        .handshake = TrafficShape::Handshake::WithoutSynAck},
       Demand::Sound},
      {"acks ahead of reordered data",
       {.reorder_distance = 5, .acks = TrafficShape::Acks::OfWhatWasSent},
       Demand::Sound}};
  return all;
}

TEST(StreamProperties, DeliveredBytesAndGapsTileTheTruth) {
  for (const Case& c : cases()) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      SCOPED_TRACE(std::string(c.name) + ", seed " + std::to_string(seed));
      std::mt19937_64 random(seed);
      const auto conversations = make_conversations(6, c.shape, random);
      const std::vector<Frame> frames =
          interleaved(conversations, std::chrono::milliseconds{1}, random);
      const Outcome outcome = run(frames, small_config(), 32);
      expect_sound(outcome);
      expect_conversations(outcome, conversations, c.demand);
      for (const std::uint32_t burst : {1U, 7U}) {
        ASSERT_EQ(run(frames, small_config(), burst).log, outcome.log) << "burst " << burst;
      }
      if (HasFailure()) return;
    }
  }
}

// Loss of a few milliseconds' order must not cost a byte: the ACK of reordered data comes first.
TEST(StreamProperties, AcksAheadOfTheirDataLoseNothing) {
  const TrafficShape shape = {.reorder_distance = 5, .acks = TrafficShape::Acks::OfWhatWasSent};
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const std::vector<Conversation> one = {make_conversation(1, shape, random)};
    const Outcome outcome =
        run(interleaved(one, std::chrono::microseconds{50}, random), small_config(), 32);
    expect_conversations(outcome, one, Demand::Complete);
    EXPECT_EQ(fate(outcome, Fate::Late), 0u);
    if (HasFailure()) return;
  }
}

TEST(StreamProperties, NothingIsInventedWhenPagesRunOut) {
  ShardConfig config = small_config();
  config.reorder_bytes = 1; // the smallest pool
  TrafficShape shape = {.stream_bytes_max = 60000, .segment_bytes_max = 1460,
                        .reorder_distance = 30, .loss_percent = 20};
  std::uint64_t cuts = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    using enum TrafficShape::Handshake;
    shape.handshake = seed % 2 == 0 ? WithoutSynAck : Captured;
    std::mt19937_64 random(seed);
    const auto conversations = make_conversations(8, shape, random);
    const std::vector<Frame> frames =
        interleaved(conversations, std::chrono::microseconds{100}, random);
    const Outcome outcome = run(frames, config, 32);
    expect_sound(outcome);
    expect_conversations(outcome, conversations, Demand::Sound);
    EXPECT_EQ(run(frames, config, 1).log, outcome.log);
    EXPECT_TRUE(outcome.ledger.limits[static_cast<std::size_t>(Limit::ReorderMemory)]);
    for (const ConnectionLog& log : outcome.connections) {
      for (const ConnectionLog::Side& side : log.sides) {
        for (const Gap& gap : side.gaps) cuts += gap.cause == GapCause::Cut ? 1 : 0;
      }
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(cuts, 0u); // else the pool was not small enough to test anything
}

TEST(StreamProperties, ManyConnectionsInASmallTable) {
  ShardConfig config = small_config();
  config.max_flows = 16;
  const TrafficShape shape = {.stream_bytes_max = 500};
  std::mt19937_64 random(5);
  const auto conversations = make_conversations(400, shape, random);
  const std::vector<Frame> frames =
      interleaved(conversations, std::chrono::milliseconds{1}, random);
  const Outcome outcome = run(frames, config, 32);
  expect_sound(outcome);
  EXPECT_GT(outcome.ledger.connections_closed[static_cast<std::size_t>(CloseReason::Evicted)], 0u);
  EXPECT_TRUE(outcome.ledger.limits[static_cast<std::size_t>(Limit::MaxFlows)]);
  EXPECT_EQ(run(frames, config, 1).log, outcome.log);
}

TEST(StreamProperties, TenThousandConnections) {
  ShardConfig config = small_config();
  config.max_flows = 12000;
  std::mt19937_64 random(6);
  const auto conversations = make_conversations(10000, {.stream_bytes_max = 200}, random);
  const std::vector<Frame> frames =
      interleaved(conversations, std::chrono::microseconds{1}, random);
  const Outcome outcome = run(frames, config, 32);
  expect_sound(outcome);
  expect_conversations(outcome, conversations, Demand::Complete);
}

/// A handshake and the frames of one direction for hand-made cases.
class OneDirection {
 public:
  OneDirection() {
    add("S", 0, "", endpoint4(1, 40000), 0);
    add("S.", 0, "", endpoint4(2, 80), 1);
    ack(1); // the first whose window is scaled: a gigabyte
  }
  void data(std::uint32_t seq, std::string_view bytes) {
    add("P.", seq, bytes, endpoint4(1, 40000), 1);
  }
  void ack(std::uint32_t value) { add(".", 1, "", endpoint4(2, 80), value); }
  std::vector<Frame> frames;

 private:
  void add(std::string_view flags, std::uint32_t seq, std::string_view bytes, const Endpoint& from,
           std::uint32_t ack) {
    PacketBuilder packet;
    packet.from(from).to(from.port == 80 ? endpoint4(1, 40000) : endpoint4(2, 80));
    if (flags.find('S') != std::string_view::npos) packet.window_scale(14);
    frames.push_back(packet.flags(flags).seq(seq).ack(ack).payload(bytes).build(now_ += kStep));
  }
  static constexpr Duration kStep = std::chrono::microseconds{10};
  Timestamp now_ = kBase;
};

// Recursion or anything quadratic would show: with n the number of segments, n * n is 10^10.
// case: L03
TEST(StreamProperties, HundredThousandBytesBackwards) {
  constexpr std::uint32_t kBytes = 100'000;
  OneDirection made;
  for (std::uint32_t i = kBytes; i >= 1; --i) {
    made.data(i, std::string(1, static_cast<char>('a' + i % 26)));
  }
  made.ack(kBytes + 1);
  const auto started = std::chrono::steady_clock::now();
  const Outcome outcome = run(made.frames, small_config(), 32);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds{10});
  expect_sound(outcome);
  const ConnectionLog::Side& side = outcome.connections.at(0).sides[0];
  ASSERT_EQ(side.bytes.size(), kBytes);
  EXPECT_TRUE(side.gaps.empty());
  for (std::uint32_t i = 1; i <= kBytes; ++i) {
    ASSERT_EQ(side.bytes[i - 1], static_cast<char>('a' + i % 26));
  }
}

// Every second byte only: one hole per byte, until the cap makes them gaps.
// case: L02
TEST(StreamProperties, HundredThousandHoles) {
  constexpr std::uint32_t kHoles = 100'000;
  OneDirection made;
  for (std::uint32_t i = 1; i <= kHoles; ++i) made.data(2 * i, "x");
  const auto started = std::chrono::steady_clock::now();
  const Outcome outcome = run(made.frames, small_config(), 32);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds{20});
  expect_sound(outcome);
  const ConnectionLog::Side& side = outcome.connections.at(0).sides[0];
  EXPECT_EQ(side.bytes.size(), kHoles);
  EXPECT_EQ(side.gaps.size(), kHoles);
}

TEST(StreamProperties, OneByteTwoGigabytesAheadCostsNothing) {
  OneDirection made;
  made.data(1, "abcd");
  for (std::uint32_t i = 0; i < 1000; ++i) made.data(0x7fff0000u + i * 7, "Z");
  made.data(5, "efgh");
  const auto started = std::chrono::steady_clock::now();
  const Outcome outcome = run(made.frames, small_config(), 32);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds{2});
  expect_sound(outcome);
  EXPECT_EQ(outcome.connections.at(0).sides[0].bytes, "abcdefgh");
  EXPECT_TRUE(outcome.connections.at(0).sides[0].gaps.empty());
  EXPECT_EQ(fate(outcome, Fate::OutOfWindow), 1000u);
}

// More than 2^32 bytes pass by, mostly as announced gaps: offsets are 64 bits wide.
// case: B02
TEST(StreamProperties, OffsetsGoOnBeyondFourGigabytes) {
  constexpr std::uint32_t kStride = 900'000'000;
  constexpr std::uint32_t kSteps = 11;
  OneDirection made;
  made.data(1, "x");
  for (std::uint32_t i = 1; i <= kSteps; ++i) {
    made.ack(1 + i * kStride); // modulo 2^32, as on the wire
    made.data(1 + i * kStride, "x");
    for (int more = 0; more < 40; ++more) made.ack(2 + i * kStride);
  }
  const Outcome outcome = run(made.frames, small_config(), 32);
  expect_sound(outcome);
  const ConnectionLog::Side& side = outcome.connections.at(0).sides[0];
  EXPECT_EQ(side.end, StreamOffset{kStride} * kSteps + 1);
  EXPECT_EQ(side.bytes, std::string(kSteps + 1, 'x'));
}

}  // namespace
}  // namespace flowloom::test
