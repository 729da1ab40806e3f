// A consumer that does without records of what is evicted, and whether all of it was accounted for.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "pipeline/ledger.hpp"
#include "stream/connection_record.hpp"
#include "stream/consumer.hpp"
#include "stream/eviction.hpp"

namespace flowloom::test {

/// Takes summaries, and forgets what it was told of those connections.
class SummaryConsumer final : public StreamConsumer {
 public:
  Interest on_open(const EventKey&, const ConnectionView&, ConsumerSlot&) override {
    ++opened_;
    return Interest::Bytes;
  }
  void on_data(const EventKey&, const ConnectionView& view, ConsumerSlot&, Direction, StreamOffset,
               ByteView bytes) override {
    told_[view.handle()] += bytes.size();
  }
  Farewell on_eviction(const ConnectionView& view, ConsumerSlot&) override {
    told_.erase(view.handle());
    return Farewell::Summary;
  }
  Farewell on_unopened_end(CloseReason reason) override {
    ++unopened_[static_cast<std::size_t>(reason)];
    return Farewell::Summary;
  }
  void on_summary(const EventKey& key, const EvictionSummary& summary) override {
    expect_later(key);
    if (summary.count() == 0) return;
    summaries_.push_back(summary);
    keys_.push_back(key);
  }
  void on_close(const EventKey& key, const ConnectionView& view, ConsumerSlot&) override {
    expect_later(key);
    ConnectionRecord record;
    view.describe(record);
    bytes_ += told_[view.handle()];
    told_.erase(view.handle());
    closed_.push_back(record);
  }

  [[nodiscard]] EvictionSummary sum() const {
    EvictionSummary sum;
    for (const EvictionSummary& one : summaries_) sum += one;
    return sum;
  }
  [[nodiscard]] const std::vector<EvictionSummary>& summaries() const { return summaries_; }
  [[nodiscard]] const std::vector<EventKey>& keys() const { return keys_; }
  [[nodiscard]] const std::vector<ConnectionRecord>& closed() const { return closed_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t opened() const { return opened_; }
  /// Connections that ended without having been opened.
  [[nodiscard]] std::uint64_t unopened(CloseReason reason) const {
    return unopened_[static_cast<std::size_t>(reason)];
  }

 private:
  void expect_later(const EventKey& key) {
    EXPECT_LT(last_, key);
    last_ = key;
  }
  std::map<std::uint32_t, std::uint64_t> told_;
  std::vector<EvictionSummary> summaries_;
  std::vector<EventKey> keys_;
  std::vector<ConnectionRecord> closed_;
  EventKey last_;
  std::uint64_t bytes_ = 0;
  std::uint64_t opened_ = 0;
  std::array<std::uint64_t, kCloseReasonNames.size()> unopened_{};
};

inline std::uint64_t fate(const Ledger& ledger, Fate f) {
  return ledger.tcp.fates[static_cast<std::size_t>(f)];
}

/// Nothing is lost from sight: every connection has a record or is counted in a summary, every
/// byte that is `delivered` was told of and kept. Preconditions: none ended unopened but evicted.
inline void expect_accounted(const Ledger& ledger, const SummaryConsumer& consumer) {
  EXPECT_TRUE(ledger.balances());
  EXPECT_EQ(ledger.connections_created, consumer.closed().size() + consumer.sum().count());
  EXPECT_EQ(fate(ledger, Fate::Delivered), consumer.bytes());
  const EvictionSummary sum = consumer.sum();
  std::uint64_t packets = sum.packets;
  std::uint64_t payload = sum.payload_bytes;
  for (const ConnectionRecord& record : consumer.closed()) {
    for (const SideRecord& side : record.sides) {
      packets += side.packets;
      payload += side.payload_bytes;
    }
  }
  EXPECT_EQ(ledger.verdicts[static_cast<std::size_t>(Verdict::Tcp)], packets);
  EXPECT_EQ(ledger.tcp.payload_seen, payload);
}

}  // namespace flowloom::test
