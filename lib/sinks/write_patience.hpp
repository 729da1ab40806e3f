// How long the writers of a process wait for outputs that take nothing: without end while the run
// goes on, since a reader may only be slow, and a limited time once it is to end. A system call
// that does not return can only be interrupted: somebody sends signals meanwhile (host/nudges.hpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace flowloom {

/// After the first Ctrl-C, or the end of a live input, an output that takes nothing for so long has
/// failed.
inline constexpr std::chrono::seconds kEndPatience{5};
/// And where no writer moves for so long, the kernel does not even let itself be interrupted (a
/// server of files that is gone). Longer than any pause of a writer that waits for a server.
inline constexpr std::chrono::seconds kStuckPatience{60};

/// From now on; 0: without end again. Of the whole process, whose writes have no other way to know.
void limit_write_patience(std::chrono::nanoseconds longest);

/// How long something has stood still, by somebody who looks again and again. Where he did not look
/// for long the process itself may have been stopped (Ctrl-Z), and others with it: that counts
/// little. Pure.
class StandStill {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kBetweenLooks{1};

  /// Until now, since the first look after the last move.
  [[nodiscard]] std::chrono::nanoseconds lasts(Clock::time_point now);
  void moves() { looked_.reset(); }

 private:
  std::optional<Clock::time_point> looked_;
  std::chrono::nanoseconds lasts_{};
};

/// One write that may not get on: asked each time that it was interrupted.
class WritePatience {
 public:
  /// `own`: of this output, whatever all others have; 0: as all.
  explicit WritePatience(std::chrono::nanoseconds own = {}) : own_(own) {}

  [[nodiscard]] bool is_over();
  /// It took something.
  void moved();

 private:
  std::chrono::nanoseconds own_;
  StandStill still_;
};

/// Any writer got on; counted over the whole process.
void note_writer_move();
[[nodiscard]] std::uint64_t writer_moves();

/// Whether nothing moves any more. Pure.
class StuckWatch {
 public:
  [[nodiscard]] bool is_stuck(std::uint64_t moves, StandStill::Clock::time_point now);

 private:
  StandStill still_;
  std::uint64_t moves_ = 0;
};

}  // namespace flowloom
