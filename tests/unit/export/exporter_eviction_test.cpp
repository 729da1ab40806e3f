// Connections that are evicted and have no record: what the exporter forgets of them, when it
// insists on a record, and that no count is lost where a writer that is too slow takes nothing.
#include "export/exporter.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace flowloom {
namespace {

class View final : public ConnectionView {
 public:
  [[nodiscard]] std::uint32_t handle() const override { return 0; }
  void describe(ConnectionRecord& record) const override { record = ConnectionRecord{}; }
  void describe_other(std::uint32_t, ConnectionRecord& record) const override {
    record = ConnectionRecord{};
  }
};

EvictionSummary summary_of(std::uint64_t connections) {
  EvictionSummary summary;
  summary.connections[0] = connections;
  summary.packets = connections;
  return summary;
}

class EvictionAtExporter : public testing::Test {
 protected:
  static ExporterConfig config(WhenFull when_full) {
    ExporterConfig config;
    config.max_flows = 4;
    config.memory = 1 << 20;
    config.messages = 4;
    config.when_full = when_full;
    config.farewell = Farewell::Summary;
    return config;
  }
  static void tell(Exporter& exporter, ConsumerSlot& slot, std::size_t bytes) {
    const std::vector<std::uint8_t> data(bytes);
    exporter.on_data({}, View{}, slot, Direction::OriginatorToResponder, 0, data);
  }
  /// Takes all messages; the connections that their summaries count.
  static std::uint64_t drain(Exporter& exporter, std::size_t& messages) {
    std::uint64_t sum = 0;
    StreamMessage* message = nullptr;
    while (exporter.receive(&message, 1) == 1) {
      ++messages;
      EXPECT_EQ(message->kind, StreamMessage::Kind::Summary);
      EXPECT_EQ(message->data[0].first, nullptr);
      sum += message->summary.count();
      exporter.return_message(message);
    }
    return sum;
  }
};

TEST_F(EvictionAtExporter, WhatWasGatheredIsForgotten) {
  Exporter exporter(config(WhenFull::Wait));
  ConsumerSlot slot = 0;
  for (int i = 0; i < 1000; ++i) { // more often than there are slots and blocks
    tell(exporter, slot, 3000);
    EXPECT_GT(exporter.levels().bytes, 0U);
    EXPECT_EQ(exporter.on_eviction(View{}, slot), Farewell::Summary);
    EXPECT_EQ(slot, 0U);
    EXPECT_EQ(exporter.levels().bytes, 0U);
    EXPECT_EQ(exporter.on_eviction(View{}, slot), Farewell::Summary); // and nothing gathered
  }
  EXPECT_FALSE(exporter.shed().any());
  std::size_t messages = 0;
  EXPECT_EQ(drain(exporter, messages), 0U);
  EXPECT_EQ(messages, 0U);
}

TEST_F(EvictionAtExporter, WhatTheWriterHasHeardOfGetsARecord) {
  Exporter exporter(config(WhenFull::Wait));
  ConsumerSlot slot = 0;
  tell(exporter, slot, 70'000); // enough for a message of its own
  EXPECT_EQ(exporter.on_eviction(View{}, slot), Farewell::Record);
  EXPECT_NE(slot, 0U);
}

TEST_F(EvictionAtExporter, SomeWantARecordOfEach) {
  ExporterConfig each = config(WhenFull::Wait);
  each.farewell = Farewell::Record;
  Exporter exporter(each);
  ConsumerSlot slot = 0;
  EXPECT_EQ(exporter.on_eviction(View{}, slot), Farewell::Record);
}

TEST_F(EvictionAtExporter, NoCountIsLostWhereTheWriterIsSlow) {
  Exporter exporter(config(WhenFull::Shed));
  for (std::uint64_t i = 1; i <= 100; ++i) exporter.on_summary({}, summary_of(i));
  std::size_t messages = 0;
  std::uint64_t sum = drain(exporter, messages);
  EXPECT_EQ(sum, 1U + 2 + 3 + 4);
  EXPECT_EQ(messages, 4U);
  exporter.on_watermark({});
  exporter.on_summary({}, {});
  sum += drain(exporter, messages);
  EXPECT_EQ(sum, 5050U);
  EXPECT_EQ(messages, 5U);
  exporter.on_summary({}, {}); // nothing to tell
  EXPECT_EQ(drain(exporter, messages), 0U);
  EXPECT_EQ(messages, 5U);
}

}  // namespace
}  // namespace flowloom
