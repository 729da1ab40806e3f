// From recorded stamps to the clock that decides time-outs, in packet order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace flowloom {

/// The clock follows the stamps forward and never runs back. A step of more than kClockJump
/// forward or kClockStepBack back is taken only when the next stamp of the same input confirms
/// it: one packet stamped 48 years ahead (a real capture has it) ages nobody. A confirmed step
/// back re-bases the clock, so that the same span of packet time passes as the stamps say.
class PacketClockRule {
 public:
  static constexpr Duration kClockJump = std::chrono::hours{1};
  static constexpr Duration kClockStepBack = std::chrono::seconds{1};

  /// The clock of the next packet in input order.
  Timestamp advance(Timestamp stamp) {
    // Unsigned, so that no distance between two stamps of a hostile file overflows.
    const std::uint64_t step = static_cast<std::uint64_t>(to_nanoseconds(stamp)) -
                               static_cast<std::uint64_t>(to_nanoseconds(last_stamp_));
    const bool usual = started_ && !suspecting_ && stamp >= last_stamp_ &&
                       step <= static_cast<std::uint64_t>(kClockJump.count());
    return usual ? follow(stamp) : advance_oddly(stamp);
  }

  /// Stamps that did not fit and were not confirmed.
  [[nodiscard]] std::uint64_t bad_timestamps() const {
    return bad_timestamps_ + (suspecting_ ? 1 : 0);
  }

 private:
  Timestamp advance_oddly(Timestamp stamp);
  Timestamp follow(Timestamp stamp) {
    last_stamp_ = std::max(last_stamp_, stamp);
    clock_ = std::max(clock_, saturating_add(stamp, offset_));
    return clock_;
  }
  [[nodiscard]] bool fits(Timestamp stamp) const;

  Timestamp clock_{kTimeMin};
  Timestamp last_stamp_{kTimeMin};  // the stamp that the clock stands at
  Timestamp suspect_{kTimeMin};     // a stamp that waits for confirmation
  Duration offset_{0};              // clock - stamp since the last re-basing
  bool started_ = false;
  bool suspecting_ = false;
  std::uint64_t bad_timestamps_ = 0;
};

}  // namespace flowloom
