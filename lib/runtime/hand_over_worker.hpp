// One worker among several with a source each: receives, keeps what is its own, hands over the
// rest, and puts its own packets and those that others hand to it into the one order of all
// sources. It never waits inside: what cannot go on now is tried again in the next round, so
// workers whose lanes to each other are full drain them for each other
// (docs/decisions/0016-hand-over.md). Tracks nothing itself.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "export/exporter.hpp"
#include "io/packet_source.hpp"
#include "pipeline/front.hpp"
#include "pipeline/ledger.hpp"
#include "runtime/hand_over.hpp"

namespace flowloom {

/// Keeps the clock of one thread's packets rising. Only a packet that came too late is changed: it
/// happened when it came.
class RisingClock {
 public:
  void pass(Timestamp clock) { now_ = std::max(now_, clock); }
  [[nodiscard]] bool is_late(const Packet& packet) const { return packet.clock < now_; }
  void place(Packet& packet) { packet.clock = now_ = std::max(now_, packet.clock); }
  [[nodiscard]] Timestamp now() const { return now_; }

 private:
  Timestamp now_ = kTimeMin;
};

/// Puts the fragments of all sources together, in order; on the thread of worker 0.
class FragmentStage {
 public:
  /// `ledger` counts what does not become a segment. All outlive this.
  FragmentStage(HandOver& shared, Front& front, Ledger& ledger, WhenFull when_full);

  /// As far as the sources are and there is room.
  void run();
  [[nodiscard]] bool is_idle() const { return idle_; }

 private:
  enum class Round : std::uint8_t { Done, Stuck };
  Round put_together(const HandOver::Reach& reach);
  [[nodiscard]] bool send_on();
  void release();

  HandOver& shared_;
  Front& front_;
  Ledger& ledger_;
  const WhenFull when_full_;
  Inbox inbox_;
  Outbox outbox_;
  RisingClock clock_;
  Packet segment_{};       // that is not sent yet
  bool waiting_ = false;   // there is one
  bool idle_ = true;
  EventKey put_;        // of the last fragment that was put where it belongs
  EventKey published_;
};

/// What a worker does when others are slower.
struct HandOverPolicy {
  WhenFull when_full = WhenFull::Wait;
  SourceOrder order = SourceOrder::Recorded;
};

class HandOverWorker {
 public:
  /// A burst to be tracked, and what of it came from where.
  struct Ready {
    Burst* burst;
    std::uint64_t own_until;  ///< bursts received before this one are tracked with it
    std::uint16_t slot;       ///< that it lies in; kNoSlot: it was assembled
    std::array<std::uint16_t, kBurstMax> lanes;  ///< of an assembled one
  };

  /// All outlive this.
  HandOverWorker(HandOver& shared, unsigned index, PacketSource& source, Front& front,
                 Ledger& ledger, const HandOverPolicy& policy, std::uint64_t first_number);

  /// A new burst of the source, if there is room and one has come: to be marked and route()d.
  [[nodiscard]] Burst* receive(std::uint32_t limit);
  /// Ends the source, as if it had come to its end.
  void stop();
  /// Decodes the new burst and puts its packets where they belong; goes on with one that had to
  /// wait.
  void route();

  /// The next packets of this worker in the order of all sources, decoded and hashed; nullptr where
  /// none may be tracked yet. They are numbered anew, in that order, above `first_number`. At most
  /// two are out at a time.
  [[nodiscard]] Ready* next();
  /// It was tracked.
  void done(const Ready& ready);
  /// After next() found nothing and all is done: the clock has come so far.
  [[nodiscard]] Timestamp passed();
  /// Of the last packet that next() gave out.
  [[nodiscard]] std::uint64_t last_number() const { return number_; }
  /// Gives frames back that nobody needs any more.
  void release();

  /// Nothing will come, and all that was received is released.
  [[nodiscard]] bool is_over() const;
  [[nodiscard]] std::uint32_t waiting() const { return inbox_.waiting(); }
  [[nodiscard]] std::uint32_t waiting_max() const {
    return static_cast<std::uint32_t>(inbox_.lanes() * HandOverLane::kPackets);
  }

 private:
  static constexpr std::uint16_t kNoSlot = 0xffff;
  /// Bursts whose packets wait to be tracked.
  static constexpr std::uint32_t kSlots = 64;
  /// Bursts whose frames may be in use.
  static constexpr std::uint32_t kReceivedMax = 256;
  static_assert(kReceivedMax * kBurstMax <= Outbox::kOpenMax);
  static constexpr unsigned kUnderWay = 2;
  /// What the ring of a NIC holds meanwhile, at a million packets a second.
  static constexpr std::chrono::milliseconds kPatience{1};

  /// A burst whose frames are in use.
  struct Received {
    std::uint32_t size;
    std::uint16_t slot;
    std::uint64_t last_number;  // as the source gave it
    std::uint64_t sent;  // of outbox_, with it
  };
  [[nodiscard]] Received& received(std::uint64_t n) { return received_[n % kReceivedMax]; }
  [[nodiscard]] bool is_full() const {
    return free_slots_.empty() || received_end_ - received_begin_ == kReceivedMax;
  }
  [[nodiscard]] bool has_own() const { return own_ < received_end_; }
  [[nodiscard]] Packet& own_head() { return slots_[received(own_).slot].packets[own_next_]; }
  [[nodiscard]] unsigned receiver_of(const Packet& packet) const;
  [[nodiscard]] EventKey limit();
  [[nodiscard]] bool has_waited_enough();
  void skip_empty();
  void next_own();
  [[nodiscard]] bool fits_whole(const EventKey& limit, const Packet* other);
  void take_whole(Ready& ready);
  std::uint32_t assemble(Ready& ready, const EventKey& limit);

  HandOver& shared_;
  const unsigned index_;
  PacketSource& source_;
  Front& front_;
  Ledger& ledger_;
  const HandOverPolicy policy_;
  Outbox outbox_;
  Inbox inbox_;
  RisingClock clock_;
  HandOver::Reach reach_{};
  bool ended_ = false;
  std::uint64_t number_;
  EventKey newest_;             // of what was received
  bool is_impatient_ = false;   // goes on without the others until they have caught up
  bool is_held_up_ = false;     // has no room
  std::chrono::steady_clock::time_point held_up_since_;

  // Bursts in the order of receiving: [received_begin_, tracked_) wait for others alone, [tracked_,
  // own_) are under way, [own_, received_end_) wait to be tracked.
  std::vector<Burst> slots_{kSlots};
  std::vector<std::uint16_t> free_slots_;  // the last one used is the next: it is in the cache
  std::vector<Received> received_{kReceivedMax};
  std::uint64_t received_begin_ = 0;
  std::uint64_t tracked_ = 0;
  std::uint64_t own_ = 0;
  std::uint64_t received_end_ = 0;
  std::uint32_t own_next_ = 0;  // packet of burst own_

  // The burst that is being routed.
  std::uint16_t routed_slot_ = kNoSlot;
  bool decoded_ = false;
  std::uint64_t source_number_ = 0;  // of its last packet, as the source gave it
  std::uint32_t routed_ = 0;  // packets that were looked at
  std::uint32_t kept_ = 0;    // of these, its own, moved to the front

  std::array<Ready, kUnderWay> ready_{};
  std::array<Burst, kUnderWay> assembled_;
  unsigned turn_ = 0;
  unsigned under_way_ = 0;
  Burst to_release_;
};

}  // namespace flowloom
