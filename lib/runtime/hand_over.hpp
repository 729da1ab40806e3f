// Several workers that each poll a source of their own (hardware queues), and packets that arrive
// at the wrong one: fragments, tunnels, asymmetric ports. What all of them share: the lanes between
// them, how far each source is, and up to where everything that was received is in its lane, which
// lets every worker track its packets in the one order of all sources
// (docs/decisions/0016-hand-over.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "export/watermark.hpp"
#include "runtime/flow_owners.hpp"
#include "runtime/hand_over_lane.hpp"

namespace flowloom {

/// How sources that several workers poll stand to each other.
enum class SourceOrder : std::uint8_t {
  Recorded,   ///< their stamps are the order, however long one has to wait for another
  AsReceived  ///< live: nobody waits before a packet is handed over, nor for ever
};

/// Senders and receivers are numbered: the workers, and behind them the one that puts fragments
/// together, on the thread of worker 0. All fragments of a run go there, so that those of one
/// datagram meet, at any depth of tunnels.
class HandOver {
 public:
  explicit HandOver(const FlowOwners& owners);

  [[nodiscard]] const FlowOwners& owners() const { return owners_; }
  [[nodiscard]] unsigned workers() const { return owners_.workers(); }
  /// Number of the one that puts fragments together.
  [[nodiscard]] unsigned fragments() const { return workers(); }

  [[nodiscard]] Outbox outbox(unsigned sender) const;
  [[nodiscard]] Inbox inbox(unsigned receiver) const;

  // --- a worker, of its source
  /// Before receive(): from now on a packet may be in hand that is in no lane yet.
  void begins_to_receive(unsigned source) { set(source, SourceWork::Receiving); }
  /// Every packet up to this key is where it belongs.
  void is_at(unsigned source, const EventKey& key) {
    sources_[source].at.publish(key.clock, key.number);
  }
  /// No packet that it will receive has an earlier clock, and all that it has received are where
  /// they belong. Not earlier than the last time.
  void is_silent_until(unsigned source, Timestamp clock) {
    sources_[source].silent_until.store(to_nanoseconds(clock), std::memory_order_release);
  }
  /// Nothing is in hand: the others need not wait for it.
  void has_nothing(unsigned source) { set(source, SourceWork::Nothing); }
  void has_ended(unsigned source) { set(source, SourceWork::Ended); }

  /// A packet goes from one worker to another: from now on their order matters.
  void hands_over() {
    if (!any_handed_over()) handed_over_.store(true, std::memory_order_relaxed);
  }
  [[nodiscard]] bool any_handed_over() const {
    return handed_over_.load(std::memory_order_relaxed);
  }

  // --- the thread that puts fragments together
  /// Every packet up to `key` that any source has received is in its lane.
  struct Reach {
    EventKey key;
    bool ended;  ///< nothing follows
  };
  [[nodiscard]] Reach reach_of_sources();
  /// All fragments up to there were put together as well.
  void publish(const Reach& reach);

  // --- every worker
  /// Up to there its lanes hold all that it will ever get. Read it before looking into them.
  [[nodiscard]] Reach reach() const;

  [[nodiscard]] std::size_t reserved_bytes() const;

 private:
  enum class SourceWork : std::uint8_t { Receiving, Nothing, Ended };
  struct alignas(64) Source {
    Watermark at;
    std::atomic<SourceWork> work{SourceWork::Receiving};
    std::atomic<std::int64_t> silent_until{to_nanoseconds(kTimeMin)};
  };
  void set(unsigned source, SourceWork work) {
    sources_[source].work.store(work, std::memory_order_release);
  }
  [[nodiscard]] HandOverLane* lane(unsigned sender, unsigned receiver) const {
    return lanes_[sender * (workers() + 1) + receiver].get();
  }

  const FlowOwners owners_;
  std::vector<std::unique_ptr<HandOverLane>> lanes_;  // none from a worker to itself
  std::vector<Source> sources_;
  std::vector<EventKey> seen_;  // of reach_of_sources()
  EventKey reached_;            // the same
  Watermark reach_;
  alignas(64) std::atomic<bool> ended_{false};
  std::atomic<bool> handed_over_{false};
};

}  // namespace flowloom
