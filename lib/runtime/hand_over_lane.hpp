// A lane: packets on their way from the thread that received them to the one that owns them, in the
// order of their keys, and the word back how many of them are done with. Outbox and Inbox are the
// ends of all lanes from, and to, one thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/packet.hpp"
#include "runtime/descriptor_ring.hpp"
#include "stream/consumer.hpp"

namespace flowloom {

/// Where a packet stands in the one order of all sources.
inline EventKey key_of(const Packet& packet) { return {packet.clock, packet.number, 0}; }

class HandOverLane {
 public:
  /// A ring of 1024. More than two bursts: who waits for room waits for packets of earlier bursts.
  static constexpr std::uint32_t kPackets = 1023;
  static_assert(kPackets > 2 * kBurstMax);

  HandOverLane() : ring_(kPackets) {}

  // --- sender
  [[nodiscard]] bool push(const Packet& packet) { return ring_.push(&packet, 1) == 1; }
  /// How many of all that were pushed need their frame no more.
  [[nodiscard]] std::uint64_t done() const { return done_.load(std::memory_order_acquire); }

  // --- receiver
  /// The first packet that was not taken, where one has come.
  [[nodiscard]] const Packet* look() {
    if (next_ == count_) refill();
    return next_ < count_ ? &ahead_[next_] : nullptr;
  }
  void take() { ++next_; }
  void finish(std::uint32_t packets) {
    finished_ += packets;
    done_.store(finished_, std::memory_order_release);
  }
  /// Packets that wait; a little old.
  [[nodiscard]] std::uint32_t waiting() const { return ring_.size() + (count_ - next_); }

 private:
  void refill() {
    next_ = 0;
    count_ = ring_.pop(ahead_.data(), kBurstMax);
  }

  DescriptorRing ring_;
  alignas(64) std::atomic<std::uint64_t> done_{0};
  alignas(64) std::uint32_t next_ = 0;  // from here on: the receiver's
  std::uint32_t count_ = 0;
  std::uint64_t finished_ = 0;
  std::array<Packet, kBurstMax> ahead_;
};

/// All lanes from one thread. Remembers in which lanes packets went, so that the sender learns up
/// to which of them, in the order of sending, the receivers are done.
class Outbox {
 public:
  explicit Outbox(std::vector<HandOverLane*> lanes);

  /// false: the lane is full, or too many packets are on their way.
  [[nodiscard]] bool send(unsigned receiver, const Packet& packet);
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  /// So many of the packets sent, the oldest ones, are done with. Cheap where nothing is open.
  [[nodiscard]] std::uint64_t settle();

  /// Packets on their way; more than the bursts that a worker keeps can hold.
  static constexpr std::uint32_t kOpenMax = 1 << 14;

 private:
  std::vector<HandOverLane*> lanes_;
  std::vector<std::uint16_t> receivers_;    // of packet n: [n % kOpenMax]
  std::vector<std::uint64_t> settled_of_;   // per lane
  std::uint64_t sent_ = 0;
  std::uint64_t settled_ = 0;
};

/// All lanes to one thread, merged by key.
class Inbox {
 public:
  static constexpr std::uint16_t kNone = 0xffff;

  explicit Inbox(std::vector<HandOverLane*> lanes) : lanes_(std::move(lanes)) {}

  /// Whether anything has come. Call it before a round of least(), after reading the limit.
  [[nodiscard]] bool look();
  /// The packet with the least key, and its lane; nullptr where there is none.
  [[nodiscard]] const Packet* least(std::uint16_t& lane) const;
  /// Takes the first packet of that lane, copied.
  void take(std::uint16_t lane, Packet& packet);
  void finish(std::uint16_t lane, std::uint32_t packets) { lanes_[lane]->finish(packets); }
  [[nodiscard]] std::uint32_t waiting() const;
  [[nodiscard]] std::size_t lanes() const { return lanes_.size(); }

 private:
  std::vector<HandOverLane*> lanes_;
  std::vector<const Packet*> heads_ = std::vector<const Packet*>(lanes_.size());
};

}  // namespace flowloom
