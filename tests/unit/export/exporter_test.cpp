// The exporter's messages: nothing of a connection gets lost between them, whatever the memory.
// A connection is told as random data, gaps and conflicts; a model remembers what was told.
#include "export/exporter.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace flowloom {
namespace {

constexpr auto kOrig = Direction::OriginatorToResponder;
constexpr auto kResp = Direction::ResponderToOriginator;

class FakeView final : public ConnectionView {
 public:
  std::uint32_t current = 0;
  [[nodiscard]] std::uint32_t handle() const override { return current; }
  void describe(ConnectionRecord& record) const override { describe_other(current, record); }
  void describe_other(std::uint32_t handle, ConnectionRecord& record) const override {
    record = ConnectionRecord{};
    record.first_packet = handle + 1; // tells connections apart in their messages
  }
};

/// A conflict as it was told, or as much of it as arrived.
struct ToldConflict {
  Conflict conflict;
  std::vector<std::uint8_t> held;
  std::vector<std::uint8_t> arrived;
};

/// Bytes at their offsets, gaps and conflicts of one direction.
struct Told {
  std::map<StreamOffset, std::uint8_t> bytes;
  std::vector<std::pair<StreamOffset, std::int64_t>> gaps;
  std::vector<ToldConflict> conflicts;
};
using Connection = std::array<Told, 2>;

/// What a writer makes of messages: the position runs from data_offset, jumping over gaps.
class Receiver {
 public:
  explicit Receiver(EarlyBytes early_bytes = EarlyBytes::No) : early_bytes_(early_bytes) {}
  void take(const StreamMessage& message) {
    if (message.kind == StreamMessage::Kind::Bytes) return take_early(message);
    const std::uint64_t id = message.record.first_packet;
    EXPECT_EQ(message.first, connections_.count(id) == 0) << "connection " << id;
    for (unsigned i = 0; i < 2; ++i) take(message, i, connections_[id][i]);
    take_conflicts(message.conflicts, connections_[id]);
    if (message.ticket != 0) join_early(message, connections_[id]);
    if (message.kind == StreamMessage::Kind::Close) ++closed_;
    ++messages_;
  }
  [[nodiscard]] const Connection& connection(std::uint32_t handle) {
    return connections_[handle + 1];
  }
  [[nodiscard]] std::size_t messages() const { return messages_; }
  [[nodiscard]] std::size_t closed() const { return closed_; }
  [[nodiscard]] std::size_t early() const { return early_count_; }

 private:
  void take_early(const StreamMessage& message) {
    EXPECT_NE(message.ticket, 0u);
    EXPECT_EQ(early_.count(message.ticket), 0u) << "ticket " << message.ticket << " is in use";
    EXPECT_EQ(message.gaps[0].bytes + message.gaps[1].bytes + message.conflicts.bytes, 0u);
    for (unsigned i = 0; i < 2; ++i) take(message, i, early_[message.ticket][i]);
    if (early_bytes_ == EarlyBytes::Named) names_[message.ticket] = message.record.first_packet;
    ++early_count_;
  }
  void join_early(const StreamMessage& message, Connection& told) {
    const auto early = early_.find(message.ticket);
    ASSERT_TRUE(early != early_.end()) << "ticket " << message.ticket;
    EXPECT_EQ(message.kind, StreamMessage::Kind::Close);
    for (unsigned i = 0; i < 2; ++i) {
      EXPECT_EQ(message.data[i].bytes, 0u);
      told[i].bytes = early->second[i].bytes;
    }
    early_.erase(early);
    if (early_bytes_ == EarlyBytes::Named) {
      EXPECT_EQ(message.record.first_packet, names_[message.ticket]);
    }
  }

  static std::vector<Gap> gaps_of(const BlockChain& chain) {
    std::vector<Gap> gaps;
    for (ExportBlock* block = chain.first; block != nullptr; block = block->next) {
      EXPECT_EQ(0u, block->used % sizeof(Gap)) << "a gap straddles two blocks";
      for (std::size_t at = 0; at + sizeof(Gap) <= block->used; at += sizeof(Gap)) {
        Gap gap;
        std::memcpy(&gap, block->data() + at, sizeof gap);
        gaps.push_back(gap);
      }
    }
    return gaps;
  }
  static void take(const StreamMessage& message, unsigned i, Told& told) {
    const std::vector<Gap> gaps = gaps_of(message.gaps[i]);
    auto gap = gaps.begin();
    StreamOffset position = message.data_offset[i];
    const auto jump = [&] {
      for (; gap != gaps.end() && gap->offset == position; ++gap) position += gap->length;
    };
    for (ExportBlock* block = message.data[i].first; block != nullptr; block = block->next) {
      for (const std::uint8_t byte : block->bytes()) {
        jump();
        EXPECT_TRUE(told.bytes.emplace(position, byte).second) << "two bytes at " << position;
        ++position;
      }
    }
    jump();
    EXPECT_TRUE(gap == gaps.end()) << "a gap at " << gap->offset << " is out of place";
    for (const Gap& g : gaps) told.gaps.emplace_back(g.offset, g.length);
  }

  static void take_conflicts(const BlockChain& chain, Connection& told) {
    std::vector<std::uint8_t> all;
    for (const ExportBlock* block = chain.first; block != nullptr; block = block->next) {
      all.insert(all.end(), block->bytes().begin(), block->bytes().end());
    }
    EXPECT_EQ(all.size(), chain.bytes);
    for (std::size_t at = 0; at < all.size();) {
      ConflictEntry entry;
      ASSERT_LE(sizeof entry, all.size() - at) << "an entry lies across messages";
      std::memcpy(&entry, all.data() + at, sizeof entry);
      at += sizeof entry;
      ASSERT_LE(2 * std::size_t{entry.copied}, all.size() - at);
      const auto held = all.begin() + static_cast<std::ptrdiff_t>(at);
      const auto arrived = held + entry.copied;
      told[static_cast<std::size_t>(entry.conflict.sender)].conflicts.push_back(
          {entry.conflict, {held, arrived}, {arrived, arrived + entry.copied}});
      at += 2 * std::size_t{entry.copied};
    }
  }

  std::map<std::uint64_t, Connection> connections_;
  EarlyBytes early_bytes_;
  std::map<std::uint32_t, Connection> early_;     // by ticket
  std::map<std::uint32_t, std::uint64_t> names_;  // first packets, by ticket
  std::size_t early_count_ = 0;
  std::size_t messages_ = 0;
  std::size_t closed_ = 0;
};

/// Tells an exporter of connections and remembers what was told.
class Teller {
 public:
  Teller(Exporter& exporter, std::uint32_t connections)
      : exporter_(exporter), slots_(connections), told_(connections), offsets_(connections) {}

  void data(std::uint32_t connection, Direction d, std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    StreamOffset& offset = offsets_[connection][index_of(d)];
    for (std::size_t i = 0; i < size; ++i) {
      bytes[i] = static_cast<std::uint8_t>(random_());
      told_[connection][index_of(d)].bytes[offset + static_cast<StreamOffset>(i)] = bytes[i];
    }
    view_.current = connection;
    exporter_.on_data(next_key(), view_, slots_[connection], d, offset, bytes);
    offset += static_cast<StreamOffset>(size);
  }
  void gap(std::uint32_t connection, Direction d, std::int64_t length) {
    StreamOffset& offset = offsets_[connection][index_of(d)];
    told_[connection][index_of(d)].gaps.emplace_back(offset, length);
    view_.current = connection;
    exporter_.on_gap(next_key(), view_, slots_[connection], d,
                     {offset, length, GapCause::CaptureLoss});
    offset += length;
  }
  void conflict(std::uint32_t connection, Direction d, std::size_t size) {
    std::vector<std::uint8_t> held(size);
    std::vector<std::uint8_t> arrived(size);
    for (std::uint8_t& byte : held) byte = static_cast<std::uint8_t>(random_());
    for (std::uint8_t& byte : arrived) byte = static_cast<std::uint8_t>(random_());
    const Conflict conflict{static_cast<StreamOffset>(random_()), static_cast<std::int64_t>(size),
                            static_cast<Conflict::Winner>(random_() % 2),
                            static_cast<KeySide>(index_of(d))};
    told_[connection][index_of(d)].conflicts.push_back({conflict, held, arrived});
    view_.current = connection;
    exporter_.on_conflict(next_key(), view_, slots_[connection], conflict, {held, arrived});
  }
  void end(std::uint32_t connection) {
    view_.current = connection;
    for (const Direction d : {kOrig, kResp}) {
      exporter_.on_end(next_key(), view_, slots_[connection], d);
    }
  }
  void close(std::uint32_t connection) {
    view_.current = connection;
    exporter_.on_close(next_key(), view_, slots_[connection]);
  }
  void close_all() {
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
      view_.current = i;
      exporter_.on_close(next_key(), view_, slots_[i]);
    }
    exporter_.finish();
  }
  [[nodiscard]] const Connection& told(std::uint32_t connection) const { return told_[connection]; }
  std::mt19937& random() { return random_; }

 private:
  EventKey next_key() { return {from_nanoseconds(0), ++number_, 0}; }

  Exporter& exporter_;
  FakeView view_;
  std::mt19937 random_{20240607};
  std::vector<ConsumerSlot> slots_;
  std::vector<Connection> told_;
  std::vector<std::array<StreamOffset, 2>> offsets_;
  std::uint64_t number_ = 0;
};

/// The writer's thread: receives until the exporter has finished.
void receive_all(Exporter& exporter, Receiver& receiver) {
  for (;;) {
    const bool finished = exporter.finished();
    StreamMessage* messages[16];
    const std::uint32_t count = exporter.receive(messages, 16);
    for (std::uint32_t i = 0; i < count; ++i) {
      receiver.take(*messages[i]);
      exporter.return_message(messages[i]);
    }
    if (count == 0 && finished) return;
    if (count == 0) std::this_thread::yield();
  }
}

void expect_same(const Connection& told, const Connection& received, std::uint32_t connection) {
  for (unsigned i = 0; i < 2; ++i) {
    SCOPED_TRACE("connection " + std::to_string(connection) + ", side " + std::to_string(i));
    EXPECT_EQ(told[i].gaps, received[i].gaps);
    EXPECT_TRUE(told[i].bytes == received[i].bytes);
  }
}

/// The first conflicts of a side all arrived, in order, with the first bytes of both copies; then
/// those whose bytes fitted. Returns how many bytes were copied.
std::size_t expect_conflicts(const Connection& told, const Connection& received) {
  std::size_t copied = 0;
  for (unsigned i = 0; i < 2; ++i) {
    const std::vector<ToldConflict>& sent = told[i].conflicts;
    const std::vector<ToldConflict>& got = received[i].conflicts;
    EXPECT_GE(got.size(), std::min<std::size_t>(sent.size(), kListedConflictsMax));
    std::size_t next = 0;
    for (std::size_t n = 0; n < got.size(); ++n) {
      while (next < sent.size() && sent[next].conflict.position != got[n].conflict.position) ++next;
      if (next == sent.size()) {
        ADD_FAILURE() << "conflict " << n << " was never told";
        return copied;
      }
      if (n < kListedConflictsMax) {
        EXPECT_EQ(next, n);
      }
      EXPECT_EQ(sent[next].conflict.length, got[n].conflict.length);
      EXPECT_EQ(sent[next].conflict.winner, got[n].conflict.winner);
      EXPECT_TRUE(std::equal(got[n].held.begin(), got[n].held.end(), sent[next].held.begin()));
      EXPECT_TRUE(
          std::equal(got[n].arrived.begin(), got[n].arrived.end(), sent[next].arrived.begin()));
      copied += got[n].held.size() + got[n].arrived.size();
      ++next;
    }
  }
  EXPECT_LE(copied, kEvidenceBytesMax);
  return copied;
}

struct Case {
  const char* name;
  std::uint64_t memory;
  std::uint32_t connections;
  std::uint32_t events;
  std::size_t data_max;
  unsigned gaps_in_ten;  ///< events that are gaps
  KeepEvidence evidence = KeepEvidence::No;
  std::uint64_t cached = 16 << 20;
};

class ExporterCase : public testing::TestWithParam<Case> {};

TEST_P(ExporterCase, EveryByteAndGapArrivesInItsPlace) {
  const Case& c = GetParam();
  ExporterConfig config;
  config.max_flows = c.connections;
  config.memory = c.memory;
  config.messages = 64;
  config.evidence = c.evidence;
  config.cached = c.cached;
  Exporter exporter(config);
  Receiver receiver;
  std::thread writer([&] { receive_all(exporter, receiver); });
  Teller teller(exporter, c.connections);
  std::mt19937& random = teller.random();
  for (std::uint32_t i = 0; i < c.events; ++i) {
    const auto connection = static_cast<std::uint32_t>(random() % c.connections);
    const Direction d = random() % 2 == 0 ? kOrig : kResp;
    if (random() % 10 < c.gaps_in_ten) {
      teller.gap(connection, d, 1 + static_cast<std::int64_t>(random() % 3000));
    } else {
      teller.data(connection, d, 1 + random() % c.data_max);
    }
    if (random() % 16 == 0) teller.conflict(connection, d, 1 + random() % c.data_max);
    if (i % 32 == 0) exporter.on_watermark({from_nanoseconds(0), i, 0});
    if (exporter.wants_expected_bytes()) {
      const ExpectedBytes guess{static_cast<ConsumerSlot>(random() % (c.connections + 1)), d, 1460};
      exporter.on_expected_bytes({&guess, 1}); // nothing but speed depends on it
    }
  }
  teller.close_all();
  writer.join();
  EXPECT_EQ(c.connections, receiver.closed());
  for (std::uint32_t i = 0; i < c.connections; ++i) {
    expect_same(teller.told(i), receiver.connection(i), i);
    const std::size_t copied = expect_conflicts(teller.told(i), receiver.connection(i));
    if (c.evidence == KeepEvidence::No) {
      EXPECT_EQ(copied, 0u);
    }
  }
}

// The scarce ones have less room than their connections, or a single one, want to gather: an
// exporter that waited for memory that only it holds would hang here.
INSTANTIATE_TEST_SUITE_P(
    Memory, ExporterCase,
    testing::Values(Case{"Plenty", 16 << 20, 20, 3000, 1460, 2},
                    Case{"BeyondTheCaches", 16 << 20, 20, 3000, 1460, 2, KeepEvidence::No,
                         64 << 10},
                    Case{"ScarceBeyondTheCaches", 64 << 10, 50, 4000, 1460, 1, KeepEvidence::No, 0},
                    Case{"MostlyGaps", 16 << 20, 3, 6000, 3, 9},
                    Case{"Scarce", 64 << 10, 50, 4000, 1460, 1},
                    Case{"ScarceAndGaps", 16 << 10, 40, 6000, 3, 9},
                    Case{"OneConnection", 8 << 10, 1, 400, 20000, 2},
                    Case{"NoMemoryToSpeakOf", 1, 10, 2000, 9000, 3},
                    Case{"Evidence", 16 << 20, 20, 6000, 1460, 2, KeepEvidence::Yes},
                    Case{"ScarceEvidence", 64 << 10, 50, 4000, 1460, 1, KeepEvidence::Yes},
                    Case{"EvidenceOfOne", 8 << 10, 1, 400, 20000, 2, KeepEvidence::Yes},
                    Case{"NoMemoryForEvidence", 1, 10, 2000, 9000, 3, KeepEvidence::Yes}),
    [](const auto& values) { return std::string(values.param.name); });

class ExporterEarly : public ::testing::TestWithParam<EarlyBytes> {};

// Connections of which every third has a gap, every fifth is contradicted after its end, and every
// seventh is longer than a message. They close long after they ended.
TEST_P(ExporterEarly, BytesOfAnEndedConnectionGoAhead) {
  constexpr std::uint32_t kConnections = 105;
  constexpr std::uint32_t kLinger = 40;
  ExporterConfig config;
  config.max_flows = kConnections;
  config.messages = 64;
  config.early_bytes = GetParam();
  Exporter exporter(config);
  Receiver receiver(GetParam());
  std::thread writer([&] { receive_all(exporter, receiver); });
  Teller teller(exporter, kConnections);
  std::uint32_t plain = 0;
  for (std::uint32_t i = 0; i < kConnections + kLinger; ++i) {
    if (i >= kLinger) teller.close(i - kLinger);
    if (i >= kConnections) continue;
    teller.data(i, kOrig, 200);
    if (i % 3 == 0) teller.gap(i, kResp, 10);
    for (std::uint32_t n = 0; n < (i % 7 == 0 ? 60U : 2U); ++n) teller.data(i, kResp, 1460);
    plain += i % 3 != 0 && i % 7 != 0 ? 1 : 0;
    teller.end(i);
    if (i % 5 == 0) teller.conflict(i, kResp, 9);
  }
  exporter.finish();
  writer.join();
  EXPECT_EQ(kConnections, receiver.closed());
  EXPECT_EQ(plain, receiver.early());
  for (std::uint32_t i = 0; i < kConnections; ++i) {
    expect_same(teller.told(i), receiver.connection(i), i);
    expect_conflicts(teller.told(i), receiver.connection(i));
  }
  exporter.on_watermark({}); // takes home what the writer is done with
  EXPECT_EQ(0u, exporter.levels().bytes);
}

INSTANTIATE_TEST_SUITE_P(Names, ExporterEarly,
                         ::testing::Values(EarlyBytes::Bare, EarlyBytes::Named));

// Sixty-four blocks of gaps used to be the end of the list.
TEST(Exporter, ListsEveryGapOfAConnectionWithMany) {
  ExporterConfig config;
  config.max_flows = 1;
  config.memory = std::uint64_t{16} << 20;
  Exporter exporter(config);
  Teller teller(exporter, 1);
  constexpr std::uint32_t kGaps = 20'000;
  for (std::uint32_t i = 0; i < kGaps; ++i) {
    teller.data(0, kOrig, 1);
    teller.gap(0, kOrig, 10);
  }
  teller.close_all();
  Receiver receiver;
  receive_all(exporter, receiver);
  ASSERT_EQ(kGaps, receiver.connection(0)[0].gaps.size());
  expect_same(teller.told(0), receiver.connection(0), 0);
}

// Both copies of what fits, the beginning of what does not, and only numbers afterwards.
TEST(Exporter, KeepsEvidenceUpToItsLimit) {
  ExporterConfig config;
  config.max_flows = 1;
  config.evidence = KeepEvidence::Yes;
  Exporter exporter(config);
  Teller teller(exporter, 1);
  constexpr std::size_t kEach = 10'000;
  for (int i = 0; i < 30; ++i) teller.conflict(0, kOrig, kEach);
  teller.close_all();
  Receiver receiver;
  receive_all(exporter, receiver);
  EXPECT_EQ(receiver.messages(), 1u);
  const std::vector<ToldConflict>& got = receiver.connection(0)[0].conflicts;
  ASSERT_EQ(got.size(), kListedConflictsMax);
  EXPECT_EQ(got[2].held.size(), kEach);
  EXPECT_EQ(got[3].held.size(), kEvidenceBytesMax / 2 - 3 * kEach);
  EXPECT_EQ(got[4].held.size(), 0u);
  EXPECT_EQ(expect_conflicts(teller.told(0), receiver.connection(0)), kEvidenceBytesMax);
}

TEST(Exporter, AConnectionThatFitsIsOneMessage) {
  ExporterConfig config;
  config.max_flows = 1;
  Exporter exporter(config);
  Teller teller(exporter, 1);
  for (int i = 0; i < 10; ++i) {
    teller.data(0, kOrig, 1460);
    teller.gap(0, kResp, 5);
  }
  teller.close_all();
  Receiver receiver;
  receive_all(exporter, receiver);
  EXPECT_EQ(1u, receiver.messages());
  EXPECT_FALSE(exporter.was_pressed());
  expect_same(teller.told(0), receiver.connection(0), 0);
}

}  // namespace
}  // namespace flowloom
