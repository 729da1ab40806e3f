#include "base/backoff.hpp"

#include <immintrin.h>
#include <sched.h>
#include <time.h>

#include <algorithm>

namespace flowloom {

void Backoff::wait() {
  if (rounds_ < kRoundsMax) ++rounds_;
  const bool batches = what_ == For::Batches;
  const std::uint32_t yields = batches ? 0 : kYields;
  if (rounds_ <= kPauses) {
    _mm_pause();
  } else if (rounds_ <= kPauses + yields) {
    sched_yield();
  } else {
    constexpr long kDoublings = 16;
    const long sleeps = static_cast<long>(rounds_ - kPauses - yields);
    const long wanted = batches ? kShortestSleepNs << std::min(sleeps - 1, kDoublings)
                                : kShortestSleepNs * sleeps;
    const timespec time{0, std::min(wanted, longest_sleep_ns_)};
    nanosleep(&time, nullptr);
  }
}

}  // namespace flowloom
