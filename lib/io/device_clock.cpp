#include "io/device_clock.hpp"

#include <cmath>

namespace flowloom {

namespace {

// A counter may wrap, and a packet may be older than the pair that it is compared with.
double ticks_between(std::uint64_t from, std::uint64_t to) {
  return static_cast<double>(static_cast<std::int64_t>(to - from));
}

double nanoseconds_between(Timestamp from, Timestamp to) {
  return static_cast<double>((to - from).count());
}

}  // namespace

void DeviceClock::begin_anew(const Pair& pair) {
  first_ = last_ = pair;
  started_ = true;
}

void DeviceClock::align(std::uint64_t ticks, Timestamp now) {
  const Pair pair{ticks, now};
  if (!started_) return begin_anew(pair);
  const double ticks_passed = ticks_between(last_.ticks, ticks);
  const double time_passed = nanoseconds_between(last_.time, now);
  if (ticks_passed <= 0 || time_passed <= 0) return begin_anew(pair);
  const double off = std::abs(ticks_passed * nanoseconds_per_tick_ - time_passed);
  if (is_known() && off > static_cast<double>(kStep.count())) return begin_anew(pair);
  last_ = pair;
  nanoseconds_per_tick_ =
      nanoseconds_between(first_.time, now) / ticks_between(first_.ticks, ticks);
}

Timestamp DeviceClock::at(std::uint64_t ticks) const {
  const double passed = ticks_between(last_.ticks, ticks) * nanoseconds_per_tick_;
  return saturating_add(last_.time, Duration{std::llround(passed)});
}

}  // namespace flowloom
