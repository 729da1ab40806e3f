#include "base/backoff.hpp"

#include <immintrin.h>
#include <sched.h>
#include <time.h>

#include <algorithm>

namespace flowloom {

void Backoff::wait() {
  if (rounds_ < kRoundsMax) ++rounds_;
  if (rounds_ <= kPauses) {
    _mm_pause();
  } else if (rounds_ <= kPauses + yields_) {
    sched_yield();
  } else {
    const long slept = static_cast<long>(rounds_ - kPauses - yields_);
    const timespec time{0, std::min(kShortestSleepNs * slept, longest_sleep_ns_)};
    nanosleep(&time, nullptr);
  }
}

}  // namespace flowloom
