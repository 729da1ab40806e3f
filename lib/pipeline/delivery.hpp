// From the tracker's handler to the consumer: adds identity and the place in the total order.
#pragma once

#include "net/packet.hpp"
#include "stream/consumer.hpp"
#include "tcp/tcp_tracker.hpp"

namespace flowloom {

class Shard;

/// The tracker's Handler. Points at one connection and one decision at a time.
class Delivery final : public ConnectionView {
 public:
  Delivery(Shard& shard, StreamConsumer& consumer) : shard_(shard), consumer_(consumer) {}

  /// Tells a consumer that copies what it will probably have to.
  /// Preconditions: the burst's guesses are made.
  void expect(const Burst& burst) {
    if (consumer_.wants_expected_bytes()) expect_bytes(burst);
  }
  /// From now on events are decided by (clock, number).
  void decide(Timestamp clock, std::uint64_t number) { key_ = EventKey{clock, number, 0}; }
  /// From now on events belong to `c`.
  void about(Connection& c) { connection_ = &c; }

  [[nodiscard]] Timestamp clock() const { return key_.clock; }

  // What TcpTracker asks of a Handler.
  void data(Direction d, StreamOffset offset, ByteView bytes) {
    if (connection_->has_any(connection_flags::kNoBytes)) return;
    consumer_.on_data(next_key(), *this, connection_->consumer_slot, d, offset, bytes);
  }
  void gap(Direction d, StreamOffset offset, std::int64_t length, HoleCause cause);
  void urgent(Direction d, StreamOffset offset, std::uint8_t byte);
  void end(Direction d);
  void conflict(Direction d, const OverlapConflict& conflict);
  void packet(const PacketNote& note);
  void arm(Connection& c, Timestamp deadline);
  template <class Action>
  void on_behalf_of(Connection& other, Action action) {
    Connection* const mine = connection_;
    connection_ = &other;
    action(*this);
    connection_ = mine;
  }

  void open();
  void probe(const Probe& probe) { consumer_.on_probe(next_key(), *this, probe); }
  void close(CloseReason reason);
  /// Whether the consumer does without a word of the connection's end.
  [[nodiscard]] bool give_up();
  /// The same of one that was not opened yet.
  [[nodiscard]] bool give_up_lone(CloseReason reason) {
    return consumer_.on_unopened_end(reason) == Farewell::Summary;
  }
  void summary(const EvictionSummary& summary) { consumer_.on_summary(next_key(), summary); }
  void watermark(const EventKey& key) { consumer_.on_watermark(key); }

  // ConnectionView
  [[nodiscard]] std::uint32_t handle() const override;
  void describe(ConnectionRecord& record) const override {
    describe(*connection_, reason_, record);
  }
  void describe_other(std::uint32_t handle, ConnectionRecord& record) const override;

 private:
  void expect_bytes(const Burst& burst);
  void describe(const Connection& c, CloseReason reason, ConnectionRecord& record) const;
  const EventKey& next_key() {
    ++key_.sub;
    return key_;
  }
  void describe_side(const Connection& c, CloseReason reason, Direction d,
                     SideRecord& side) const;

  Shard& shard_;
  StreamConsumer& consumer_;
  Connection* connection_ = nullptr;
  EventKey key_;
  CloseReason reason_ = CloseReason::Open;
};

}  // namespace flowloom
