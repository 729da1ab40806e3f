// From recorded stamps to the clock that decides time-outs, in packet order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/time.hpp"

namespace flowloom {

/// The clock follows the stamps forward and never runs back. A step of more than kClockJump
/// forward or kClockStepBack back is taken only when the next stamp of the same input confirms
/// it: one packet stamped 48 years ahead (a real capture has it) ages nobody. A confirmed step
/// back re-bases the clock, so that the same span of packet time passes as the stamps say. A source
/// that can look ahead gives the next stamp with the one that wants it; one that cannot (a live
/// one) gives the packet that makes the step the old clock.
class PacketClockRule {
 public:
  static constexpr Duration kClockJump = std::chrono::hours{1};
  static constexpr Duration kClockStepBack = std::chrono::seconds{1};

  /// The clock of the next packet in input order.
  Timestamp advance(Timestamp stamp) {
    return is_usual(stamp) ? follow(stamp) : advance_oddly(stamp);
  }

  /// Whether all stamps of a run are usual, each one after the one before it. `stamp_at(i)` is the
  /// i-th of `count`. By arithmetic: nothing branches on how two stamps compare.
  template <class StampAt>
  [[nodiscard]] bool is_usual_run(std::size_t count, StampAt&& stamp_at) const {
    bool odd = !started_ | suspecting_;
    Timestamp last = last_stamp_;
    for (std::size_t i = 0; i < count; ++i) {
      const Timestamp stamp = stamp_at(i);
      odd |= (stamp < last) | (step_between(last, stamp) > kLongestStep);
      last = stamp;
    }
    return !odd;
  }
  /// What the clocks of such a run are made of: of each packet what advance() gives it.
  struct Run {
    Timestamp before;
    Duration offset;
    [[nodiscard]] Timestamp clock_of(Timestamp stamp) const {
      return std::max(before, saturating_add(stamp, offset));
    }
  };
  /// Preconditions: is_usual_run().
  [[nodiscard]] Run begin_run() const { return {clock_, offset_}; }
  /// The run is over. Preconditions: is_usual_run(), and this is its last stamp.
  void end_run(Timestamp last) { follow(last); }

  /// Time that has passed without a packet, where it is known from elsewhere; nothing where the
  /// rule does not trust it, or there is no clock yet.
  std::optional<Timestamp> pass(Timestamp stamp) {
    if (!is_usual(stamp)) return std::nullopt;
    return follow(stamp);
  }

  /// Whether what becomes of this stamp depends on the next one of its input.
  [[nodiscard]] bool wants_next(Timestamp stamp) const {
    return !is_usual(stamp) && started_ && !fits(stamp) && !confirms_suspect(stamp);
  }
  /// The same with the stamp that follows: a step that it confirms is taken by the packet that
  /// makes it.
  Timestamp advance(Timestamp stamp, Timestamp next) {
    return is_usual(stamp) ? follow(stamp) : advance_oddly(stamp, next);
  }

  /// Stamps that did not fit and were not confirmed.
  [[nodiscard]] std::uint64_t bad_timestamps() const {
    return bad_timestamps_ + (suspecting_ ? 1 : 0);
  }

 private:
  static constexpr auto kLongestStep = static_cast<std::uint64_t>(kClockJump.count());

  /// Unsigned, so that no distance between two stamps of a hostile file overflows.
  [[nodiscard]] static std::uint64_t step_between(Timestamp from, Timestamp to) {
    return static_cast<std::uint64_t>(to_nanoseconds(to)) -
           static_cast<std::uint64_t>(to_nanoseconds(from));
  }
  [[nodiscard]] bool is_usual(Timestamp stamp) const {
    return started_ && !suspecting_ && stamp >= last_stamp_ &&
           step_between(last_stamp_, stamp) <= kLongestStep;
  }
  Timestamp advance_oddly(Timestamp stamp);
  Timestamp advance_oddly(Timestamp stamp, Timestamp next);
  Timestamp follow(Timestamp stamp) {
    last_stamp_ = std::max(last_stamp_, stamp);
    clock_ = std::max(clock_, saturating_add(stamp, offset_));
    return clock_;
  }
  [[nodiscard]] bool fits(Timestamp stamp) const;
  [[nodiscard]] bool confirms_suspect(Timestamp stamp) const;
  void take_step(Timestamp stamp);

  Timestamp clock_{kTimeMin};
  Timestamp last_stamp_{kTimeMin};  // the stamp that the clock stands at
  Timestamp suspect_{kTimeMin};     // a stamp that waits for confirmation
  Duration offset_{0};              // clock - stamp since the last re-basing
  bool started_ = false;
  bool suspecting_ = false;
  std::uint64_t bad_timestamps_ = 0;
};

}  // namespace flowloom
