// An exporter that must not wait: whatever the writer does, each byte it was told of is passed on
// or lies in a gap of its connection's record, and what has no record is counted.
#include "export/exporter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace flowloom {
namespace {

constexpr std::uint32_t kOpen = 40;  // connections at a time

/// What one direction was told, or what arrived of it: a byte, or kMissing, at each offset.
using Stream = std::vector<int>;
constexpr int kMissing = -1;

/// A connection as it was told.
struct Told {
  std::uint64_t id = 0;
  ConsumerSlot slot = 0;
  Stream streams[2];
  std::uint64_t bytes[2] = {0, 0};
  std::uint64_t gap_count[2] = {0, 0};
};

std::uint64_t bytes_in(const Stream& stream) {
  return static_cast<std::uint64_t>(
      std::count_if(stream.begin(), stream.end(), [](int b) { return b != kMissing; }));
}

class View final : public ConnectionView {
 public:
  explicit View(std::vector<Told>& connections) : connections_(connections) {}
  std::uint32_t current = 0;
  [[nodiscard]] std::uint32_t handle() const override { return current; }
  void describe(ConnectionRecord& record) const override { describe_other(current, record); }
  void describe_other(std::uint32_t handle, ConnectionRecord& record) const override {
    const Told& told = connections_[handle];
    record = ConnectionRecord{};
    record.first_packet = told.id;
    for (unsigned i = 0; i < 2; ++i) {
      record.sides[i].stream_bytes = told.bytes[i];
      record.sides[i].gap_bytes = told.streams[i].size() - record.sides[i].stream_bytes;
      record.sides[i].gap_count = told.gap_count[i];
    }
  }

 private:
  std::vector<Told>& connections_;
};

/// What a writer makes of the messages.
class Receiver {
 public:
  struct Got {
    Stream streams[2];
    std::uint64_t gap_count[2] = {0, 0};
    bool closed = false;
    ConnectionRecord record;
  };

  void take(const StreamMessage& message) {
    const auto [place, is_new] = connections_.try_emplace(message.record.first_packet);
    Got& got = place->second;
    EXPECT_EQ(message.first, is_new);
    EXPECT_FALSE(got.closed);
    for (unsigned i = 0; i < 2; ++i) take(message, i, got);
    got.closed = message.kind == StreamMessage::Kind::Close;
    got.record = message.record;
  }
  [[nodiscard]] const std::map<std::uint64_t, Got>& connections() const { return connections_; }

 private:
  static std::string text_of(const BlockChain& chain) {
    std::string text;
    for (const ExportBlock* block = chain.first; block != nullptr; block = block->next) {
      text.append(reinterpret_cast<const char*>(block->data()), block->used);
    }
    return text;
  }
  static void take(const StreamMessage& message, unsigned i, Got& got) {
    Stream& stream = got.streams[i];
    const std::string bytes = text_of(message.data[i]);
    const std::string gaps = text_of(message.gaps[i]);
    if (bytes.empty() && gaps.empty()) return;
    ASSERT_EQ(stream.size(), static_cast<std::size_t>(message.data_offset[i]));
    std::size_t next_gap = 0;
    const auto jump = [&] {
      for (Gap gap; next_gap < gaps.size(); next_gap += sizeof gap) {
        std::memcpy(&gap, gaps.data() + next_gap, sizeof gap);
        if (gap.offset != static_cast<StreamOffset>(stream.size())) return;
        ASSERT_GT(gap.length, 0);
        stream.insert(stream.end(), static_cast<std::size_t>(gap.length), kMissing);
        ++got.gap_count[i];
      }
    };
    for (const char byte : bytes) {
      jump();
      stream.push_back(static_cast<unsigned char>(byte));
    }
    jump();
    EXPECT_EQ(next_gap, gaps.size()) << "a gap is out of place";
  }

  std::map<std::uint64_t, Got> connections_;
};

/// Random news of connections that come and go.
class Teller {
 public:
  Teller(Exporter& exporter, unsigned seed) : exporter_(exporter), random_(seed) {
    for (Told& told : open_) told.id = ++ids_;
  }
  void tell_something() {
    const auto handle = static_cast<std::uint32_t>(random_() % kOpen);
    const unsigned kind = static_cast<unsigned>(random_() % 20);
    view_.current = handle;
    if (kind == 0) {
      close(handle);
      open_[handle] = Told{};
      open_[handle].id = ++ids_;
    } else if (kind < 4) {
      gap(open_[handle], static_cast<unsigned>(random_() % 2));
    } else if (kind == 4) {
      const std::vector<std::uint8_t> frame(100);
      PacketNote note{};
      note.frame = frame;
      exporter_.on_packet(next_key(), view_, open_[handle].slot, note);
    } else {
      data(open_[handle], static_cast<unsigned>(random_() % 2));
    }
    exporter_.on_watermark(next_key());
  }
  void close_all() {
    for (std::uint32_t i = 0; i < kOpen; ++i) close(i);
    exporter_.finish();
  }
  [[nodiscard]] const std::map<std::uint64_t, Told>& closed() const { return closed_; }
  std::mt19937& random() { return random_; }

 private:
  EventKey next_key() { return {from_nanoseconds(0), ++number_, 0}; }
  void data(Told& told, unsigned i) {
    std::vector<std::uint8_t> bytes(random_() % 1460 + 1);
    const auto offset = static_cast<StreamOffset>(told.streams[i].size());
    for (auto& byte : bytes) {
      byte = static_cast<std::uint8_t>(random_());
      told.streams[i].push_back(byte);
    }
    told.bytes[i] += bytes.size();
    exporter_.on_data(next_key(), view_, told.slot, static_cast<Direction>(i), offset, bytes);
  }
  void gap(Told& told, unsigned i) {
    const auto offset = static_cast<StreamOffset>(told.streams[i].size());
    const std::size_t length = random_() % 50 + 1;
    told.streams[i].insert(told.streams[i].end(), length, kMissing);
    ++told.gap_count[i];
    exporter_.on_gap(next_key(), view_, told.slot, static_cast<Direction>(i),
                     {offset, static_cast<std::int64_t>(length), GapCause::CaptureLoss});
  }
  void close(std::uint32_t handle) {
    view_.current = handle;
    exporter_.on_close(next_key(), view_, open_[handle].slot);
    EXPECT_EQ(0U, open_[handle].slot);
    closed_[open_[handle].id] = std::move(open_[handle]);
  }

  Exporter& exporter_;
  std::vector<Told> open_ = std::vector<Told>(kOpen);
  View view_{open_};
  std::mt19937 random_;
  std::map<std::uint64_t, Told> closed_;
  std::uint64_t ids_ = 0;
  std::uint64_t number_ = 0;
};

std::size_t receive_some(Exporter& exporter, Receiver& receiver, std::uint32_t most) {
  std::vector<StreamMessage*> messages(most);
  messages.resize(exporter.receive(messages.data(), most));
  for (StreamMessage* message : messages) {
    receiver.take(*message);
    exporter.return_message(message);
  }
  return messages.size();
}

/// Every byte in its place or in a gap; the record says the same. Returns the bytes that are cut.
std::uint64_t compare(const Told& told, const Receiver::Got& got) {
  EXPECT_TRUE(got.closed);
  std::uint64_t cut = 0;
  for (unsigned i = 0; i < 2; ++i) {
    const Stream& sent = told.streams[i];
    const Stream& received = got.streams[i];
    EXPECT_EQ(sent.size(), received.size());
    for (std::size_t at = 0; at < std::min(sent.size(), received.size()); ++at) {
      if (received[at] != kMissing) {
        EXPECT_EQ(sent[at], received[at]) << at;
      } else if (sent[at] != kMissing) {
        ++cut;
      }
    }
    const SideRecord& side = got.record.sides[i];
    EXPECT_EQ(bytes_in(received), side.stream_bytes);
    EXPECT_EQ(received.size() - bytes_in(received), side.gap_bytes);
    EXPECT_EQ(got.gap_count[i], side.gap_count);
  }
  return cut;
}

struct Case {
  const char* name;
  std::uint64_t memory;
  std::uint32_t messages;
  unsigned silence;  ///< of 1000 steps, the writer takes nothing in so many
  std::uint32_t takes;
};

class ExporterShed : public testing::TestWithParam<Case> {};

TEST_P(ExporterShed, EveryByteIsPassedOnOrInAGapOfItsRecord) {
  const Case& c = GetParam();
  ExporterConfig config;
  config.max_flows = kOpen;
  config.memory = c.memory;
  config.messages = c.messages;
  config.when_full = WhenFull::Shed;
  config.packets = PacketsWanted::Frames;
  Exporter exporter(config);
  Receiver receiver;
  Teller teller(exporter, 20261122);
  for (unsigned step = 0; step < 20'000; ++step) {
    teller.tell_something();  // on this thread, and nobody else receives: a wait would never end
    if (step % 1000 >= c.silence) receive_some(exporter, receiver, c.takes);
  }
  EXPECT_EQ(0U, exporter.waits());
  const ShedCounts early = exporter.shed();
  exporter.end_of_input();
  std::thread writer([&] {
    for (bool finished = false; !finished;) {
      finished = exporter.finished();
      while (receive_some(exporter, receiver, 16) > 0) {
      }
    }
  });
  teller.close_all();
  writer.join();
  EXPECT_EQ(early.records, exporter.shed().records) << "at the end there is time";

  std::uint64_t cut = 0;
  std::uint64_t without_record = 0;
  for (const auto& [id, told] : teller.closed()) {
    const auto got = receiver.connections().find(id);
    if (got == receiver.connections().end()) {
      ++without_record;
      cut += bytes_in(told.streams[0]) + bytes_in(told.streams[1]);
    } else {
      cut += compare(told, got->second);
    }
  }
  EXPECT_EQ(cut, exporter.shed().bytes);
  EXPECT_EQ(without_record, exporter.shed().records);
  EXPECT_EQ(c.silence == 0, cut == 0);
  EXPECT_EQ(std::string(c.name) == "FewMessages", without_record > 0);
}

INSTANTIATE_TEST_SUITE_P(Writers, ExporterShed,
                         testing::Values(Case{"Quick", 4 << 20, 64, 0, 8},
                                         Case{"SleepsALot", 256 << 10, 1024, 900, 64},
                                         Case{"FewMessages", 4 << 20, 8, 990, 8},
                                         Case{"HardlyAnyMemory", 4 << 10, 256, 500, 2}),
                         [](const auto& values) { return std::string(values.param.name); });

// Never a wait, never a message: only the counts are left, and the memory of the promises.
TEST(ExporterShed, ADeadWriterHoldsNobodyUp) {
  ExporterConfig config;
  config.max_flows = kOpen;
  config.memory = 64 << 10;
  config.messages = 16;
  config.when_full = WhenFull::Shed;
  Exporter exporter(config);
  Teller teller(exporter, 1);
  for (int step = 0; step < 30'000; ++step) teller.tell_something();
  EXPECT_EQ(0U, exporter.waits());
  EXPECT_GT(exporter.shed().records, 1000U);
  Receiver receiver;
  receive_some(exporter, receiver, 1000);
  for (const auto& [id, got] : receiver.connections()) {
    if (got.closed) compare(teller.closed().at(id), got);
  }
}

}  // namespace
}  // namespace flowloom
