// See write_patience.hpp.
#include "sinks/write_patience.hpp"

#include <algorithm>
#include <atomic>

namespace flowloom {
namespace {

std::atomic<std::int64_t> patience_ns{0};
std::atomic<std::uint64_t> moves_of_all{0};

}  // namespace

void limit_write_patience(std::chrono::nanoseconds longest) {
  patience_ns.store(longest.count(), std::memory_order_relaxed);
}

std::chrono::nanoseconds StandStill::lasts(Clock::time_point now) {
  if (looked_) {
    lasts_ += std::min<std::chrono::nanoseconds>(now - *looked_, kBetweenLooks);
  } else {
    lasts_ = {};
  }
  looked_ = now;
  return lasts_;
}

bool WritePatience::is_over() {
  const std::chrono::nanoseconds of_all{patience_ns.load(std::memory_order_relaxed)};
  const std::chrono::nanoseconds patience = own_.count() != 0 ? own_ : of_all;
  return patience.count() != 0 && still_.lasts(StandStill::Clock::now()) >= patience;
}

void WritePatience::moved() {
  still_.moves();
  note_writer_move();
}

void note_writer_move() { moves_of_all.fetch_add(1, std::memory_order_relaxed); }

std::uint64_t writer_moves() { return moves_of_all.load(std::memory_order_relaxed); }

bool StuckWatch::is_stuck(std::uint64_t moves, StandStill::Clock::time_point now) {
  if (moves != moves_) still_.moves();
  moves_ = moves;
  return still_.lasts(now) >= kStuckPatience;
}

}  // namespace flowloom
