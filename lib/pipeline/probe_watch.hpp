// The young connections that may turn out to be probes of a port scan, in the order in which they
// are to be judged. All wait equally long, so a ring is enough: no timer, no search.
#pragma once

#include <cstdint>

#include "base/memory.hpp"
#include "base/time.hpp"
#include "base/timer_wheel.hpp"

namespace flowloom {

class ProbeWatch {
 public:
  /// Packet time that an answer may take: two seconds, in ticks of the timer wheel.
  static constexpr std::int64_t kTicks = std::chrono::seconds{2} / TimerWheel::kTick;

  struct Entry {
    Timestamp due;               ///< judged before the first packet at or after it
    std::uint64_t first_packet;  ///< names the connection: its index may be another's by then
    std::uint32_t index;
  };

  /// 0: watches nothing.
  explicit ProbeWatch(std::uint32_t capacity) : entries_(capacity) {}

  /// When a connection is judged that begins at `clock`: at the border of a tick.
  static Timestamp due_time(Timestamp clock) {
    return TimerWheel::border(saturating_add(clock, kTicks * TimerWheel::kTick + Duration{1}));
  }

  /// False where there is no room. Preconditions: `entry.due` does not decrease.
  bool add(const Entry& entry) {
    if (size_ == entries_.size()) return false;
    entries_[(first_ + size_++) % entries_.size()] = entry;
    return true;
  }
  [[nodiscard]] bool is_due(Timestamp clock) const {
    return size_ > 0 && entries_[first_].due <= clock;
  }
  /// Preconditions: is_due() for some time.
  Entry take() {
    const Entry entry = entries_[first_];
    first_ = (first_ + 1) % entries_.size();
    --size_;
    return entry;
  }
  [[nodiscard]] std::size_t bytes() const { return entries_.bytes(); }

 private:
  ReservedArray<Entry> entries_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace flowloom
