// Waiting for another thread without burning the core it may need: pause, then yield, then sleep.
#pragma once

#include <cstdint>

namespace flowloom {

/// Call wait() each time nothing was found, reset() when something was. With more threads than
/// cores a spinning waiter would hold up the very thread it waits for, so it yields soon.
class Backoff {
 public:
  void wait();
  void reset() { rounds_ = 0; }

 private:
  static constexpr std::uint32_t kPauses = 16;
  static constexpr std::uint32_t kYields = 64;
  static constexpr long kShortestSleepNs = 2'000;
  static constexpr long kLongestSleepNs = 50'000;

  std::uint32_t rounds_ = 0;
};

}  // namespace flowloom
