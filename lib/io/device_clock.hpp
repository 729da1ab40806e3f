// The stamps of a NIC as time. A NIC counts ticks of its own, at a rate that nobody tells; pairs of
// its counter and the system's time, taken now and then, say what a count means. Reads no clock.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/time.hpp"

namespace flowloom {

class DeviceClock {
 public:
  /// How often align() should be called; the clocks drift apart by less than 100 us meanwhile.
  static constexpr Duration kInterval = std::chrono::milliseconds{100};
  /// The system's time was set, or the counter began anew, where they disagree by more.
  static constexpr Duration kStep = std::chrono::milliseconds{5};

  /// The counter stood at `ticks` when it was `now`.
  void align(std::uint64_t ticks, Timestamp now);

  /// Whether at() has something to go by.
  [[nodiscard]] bool is_known() const { return nanoseconds_per_tick_ > 0; }
  [[nodiscard]] bool is_due(Timestamp now) const {
    return !started_ || now < last_.time || now - last_.time >= kInterval;
  }

  /// When the counter stood there. Preconditions: is_known().
  [[nodiscard]] Timestamp at(std::uint64_t ticks) const;

 private:
  struct Pair {
    std::uint64_t ticks = 0;
    Timestamp time{};
  };
  void begin_anew(const Pair& pair);

  Pair first_;  // since the last step
  Pair last_;
  double nanoseconds_per_tick_ = 0;
  bool started_ = false;
};

}  // namespace flowloom
