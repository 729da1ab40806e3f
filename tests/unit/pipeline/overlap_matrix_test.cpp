// Overlap policies with whole packets: all 13 pairs and all 409 triples of segments through a
// Shard, under every policy, after a handshake and picked up mid-stream, behind a hole that is
// filled last and without one; against the list model of each system's queue.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/recording_consumer.hpp"
#include "support/segment_overlap_model.hpp"
#include "support/shard_runner.hpp"

namespace flowloom::test {
namespace {

constexpr int kNobody = SegmentOverlapModel::kNobody;
constexpr int kFiller = 14;  // its bytes differ from those of any chunk

char byte_of(int owner, int at) { return static_cast<char>(owner * 15 + at % 15 + 1); }

/// How a direction begins.
enum class Start : std::uint8_t {
  Handshake,
  Acknowledged,  ///< mid-stream, and the peer has just acknowledged the first byte
  Grace          ///< mid-stream, nothing known: everything waits for the pick-up grace
};

struct Case {
  std::vector<Chunk> chunks;
  Start start;
  int unit;   ///< bytes of one position
  int hole;   ///< positions that are missing in front, and come last
};

/// One connection: the chunks of a case, sent by the originator.
class Sender {
 public:
  Sender(ShardRunner& runner, std::uint16_t port, std::uint32_t origin, Timestamp& now)
      : runner_(runner), port_(port), origin_(origin), now_(now) {}

  void begin(Start start) {
    if (start == Start::Handshake) {
      runner_.feed(forth().seq(origin_ - 1).ack(0).flags("S").build(tick()));
      runner_.feed(back().seq(kPeer - 1).ack(origin_).flags("S.").build(tick()));
    }
    if (start != Start::Grace) runner_.feed(back().seq(kPeer).ack(origin_).build(tick()));
  }
  void send(Chunk bytes, int owner) {
    std::string payload;
    for (int at = bytes.begin; at < bytes.end; ++at) payload += byte_of(owner, at);
    const std::uint32_t seq = origin_ + static_cast<std::uint32_t>(bytes.begin);
    runner_.feed(forth().seq(seq).ack(kPeer).payload(payload).build(tick()));
  }

 private:
  static constexpr std::uint32_t kPeer = 77'000;

  PacketBuilder forth() const {
    return PacketBuilder().from(endpoint4(1, port_)).to(endpoint4(2, 80));
  }
  PacketBuilder back() const {
    return PacketBuilder().from(endpoint4(2, 80)).to(endpoint4(1, port_));
  }
  Timestamp tick() { return now_ = saturating_add(now_, Duration{1000}); }

  ShardRunner& runner_;
  std::uint16_t port_;
  std::uint32_t origin_;
  Timestamp& now_;
};

std::vector<Case> all_cases(Start start, int unit) {
  std::vector<Case> cases;
  for (const std::size_t count : {2U, 3U}) {
    for (const std::vector<Chunk>& chunks : all_configurations(count)) {
      for (const int hole : {0, 1}) cases.push_back({shifted(chunks, hole), start, unit, hole});
    }
  }
  return cases;
}

/// Whose byte is delivered at each position; a hole in front is filled last.
std::vector<int> expected_owners(const std::string& algorithm, const Case& c) {
  SegmentOverlapModel model(algorithm);
  // In the grace nothing is delivered: as if the byte before the first were missing throughout.
  const int ahead = c.start == Start::Grace ? 1 : 0;
  int size = 0;
  for (std::size_t i = 0; i < c.chunks.size(); ++i) {
    model.add({c.chunks[i].begin + ahead, c.chunks[i].end + ahead}, static_cast<int>(i));
    size = std::max(size, c.chunks[i].end);
  }
  std::vector<int> owners = model.owners(size + ahead);
  owners.erase(owners.begin(), owners.begin() + ahead);
  for (int at = 0; at < c.hole; ++at) owners[static_cast<std::size_t>(at)] = kFiller;
  return owners;
}

/// A byte of a conflict, as text: where, both versions, who won.
std::string conflict_byte(StreamOffset at, char held, char arrived, bool arrived_wins) {
  return std::to_string(at) + ":" + std::to_string(held) + (arrived_wins ? "<" : ">") +
         std::to_string(arrived) + " ";
}

/// All conflicts, byte by byte: what a segment meets that is held, or was delivered and stays.
std::string expected_conflicts(const std::string& algorithm, const Case& c) {
  SegmentOverlapModel model(algorithm);
  const int ahead = c.start == Start::Grace ? 1 : 0;
  std::string text;
  int sent = 0;
  for (std::size_t i = 0; i < c.chunks.size(); ++i) {
    const Chunk chunk{c.chunks[i].begin + ahead, c.chunks[i].end + ahead};
    const std::vector<int> before = model.owners(64);
    const int delivered_before = model.delivered();
    model.add(chunk, static_cast<int>(i));
    const std::vector<int> after = model.owners(64);
    sent = std::max(sent, chunk.end);
    // One byte again, the last that was sent: a keep-alive, whose byte means nothing.
    const bool keeps_alive = (chunk.end - chunk.begin) * c.unit == 1 && chunk.end == sent &&
                             chunk.begin < delivered_before;
    if (keeps_alive) continue;
    for (int at = chunk.begin * c.unit; at < chunk.end * c.unit; ++at) {
      const auto p = static_cast<std::size_t>(at / c.unit);
      if (before[p] == kNobody) continue;
      const int byte = at - ahead * c.unit;
      text += conflict_byte(byte, byte_of(before[p], byte), byte_of(static_cast<int>(i), byte),
                            after[p] == static_cast<int>(i));
    }
  }
  return text;
}

std::string told_conflicts(const ConnectionLog& log, StreamOffset first) {
  std::string text;
  for (const ToldConflict& told : log.conflicts_of(Direction::OriginatorToResponder)) {
    const StreamOffset offset = told.conflict.position - log.record.sides[0].origin + first;
    for (std::size_t i = 0; i < told.held.size(); ++i) {
      text += conflict_byte(offset + static_cast<StreamOffset>(i), told.held[i], told.arrived[i],
                            told.conflict.winner == Conflict::Winner::Arrived);
    }
  }
  return text;
}

/// Where a stream begins whose first bytes nobody sent: at the lowest, if it is mid-stream.
int first_position(const Case& c) {
  if (c.start != Start::Grace || c.hole > 0) return 0;
  int first = c.chunks.front().begin;
  for (const Chunk& chunk : c.chunks) first = std::min(first, chunk.begin);
  return first * c.unit;
}

std::string describe(const std::string& algorithm, const Case& c) {
  return algorithm + to_text(c.chunks) + " start " + std::to_string(static_cast<int>(c.start)) +
         " unit " + std::to_string(c.unit);
}

/// Delivered bytes by position; holes are zero.
std::string delivered(const std::vector<StreamEvent>& events, std::size_t connection) {
  std::string bytes;
  for (const StreamEvent& e : events) {
    if (e.connection != connection || e.kind != StreamEvent::Kind::Data) continue;
    bytes.resize(static_cast<std::size_t>(e.offset), '\0');
    bytes += e.bytes;
  }
  return bytes;
}

void expect_owners(const std::string& algorithm, const Case& c, const std::string& bytes) {
  const std::vector<int> owners = expected_owners(algorithm, c);
  std::string wanted;
  for (std::size_t p = 0; p < owners.size(); ++p) {
    for (int i = 0; i < c.unit; ++i) {
      const int at = static_cast<int>(p) * c.unit + i;
      wanted += owners[p] == kNobody ? '\0' : byte_of(owners[p], at);
    }
  }
  if (c.start == Start::Grace) wanted.erase(0, wanted.find_first_not_of('\0'));
  ASSERT_TRUE(bytes == wanted) << describe(algorithm, c);
}

void run(const std::string& algorithm, Start start, int unit) {
  const std::vector<Case> cases = all_cases(start, unit);
  ASSERT_EQ(cases.size(), (13U + 409U) * 2);
  ShardConfig config = small_config();
  config.max_flows = 1024;
  config.reorder_bytes = std::uint64_t{64} << 20;
  config.tcp.overlap = overlap_policy_from_name(algorithm).value();
  RecordingConsumer consumer;
  ShardRunner runner(config, consumer);
  Timestamp now{Duration{1}};
  std::uint64_t held = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    const std::uint32_t origin = i % 2 == 0 ? 1000 : 0xfffffffd;  // the sequence numbers wrap
    Sender sender(runner, static_cast<std::uint16_t>(10'000 + i), origin, now);
    sender.begin(start);
    for (std::size_t k = 0; k < c.chunks.size(); ++k) {
      sender.send({c.chunks[k].begin * unit, c.chunks[k].end * unit}, static_cast<int>(k));
    }
    if (c.hole > 0) sender.send({0, c.hole * unit}, kFiller);
  }
  runner.finish();
  EXPECT_EQ(consumer.violations(), "");
  EXPECT_TRUE(runner.ledger().balances());
  ASSERT_EQ(consumer.connections().size(), cases.size());
  std::vector<std::vector<StreamEvent>> events(cases.size());
  for (const StreamEvent& e : consumer.events()) events[e.connection].push_back(e);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    held += consumer.connections()[i].record.sides[0].overlap_conflicts;
    expect_owners(algorithm, cases[i], delivered(events[i], i));
    ASSERT_EQ(told_conflicts(consumer.connections()[i], first_position(cases[i])),
              expected_conflicts(algorithm, cases[i]))
        << describe(algorithm, cases[i]);
    if (::testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(held, 100U);
}

class OverlapMatrix : public ::testing::TestWithParam<std::string> {};

TEST_P(OverlapMatrix, AfterAHandshake) {
  run(GetParam(), Start::Handshake, 1);
  run(GetParam(), Start::Handshake, 700);
}

TEST_P(OverlapMatrix, MidStreamAfterAnAcknowledgement) {
  run(GetParam(), Start::Acknowledged, 1);
}

TEST_P(OverlapMatrix, MidStreamInTheGrace) {
  run(GetParam(), Start::Grace, 1);
  run(GetParam(), Start::Grace, 700);
}

INSTANTIATE_TEST_SUITE_P(Algorithms, OverlapMatrix, ::testing::ValuesIn(kOverlapAlgorithms),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace flowloom::test
