// Waiting for another thread without burning the core it may need: pause, yield, then sleep.
#pragma once

#include <chrono>
#include <cstdint>

namespace flowloom {

/// Call wait() each time nothing was found, reset() when something was. With more threads than
/// cores a spinning waiter would hold up the very thread it waits for, so it yields soon.
/// Sleeps grow up to the longest: whoever has had nothing for long may have that delay, and costs
/// next to nothing meanwhile.
class Backoff {
 public:
  /// A NIC's ring of 1024 descriptors holds what 64-byte frames at 10 Gb/s bring in 68 us.
  static constexpr std::chrono::nanoseconds kShortSleep{50'000};
  /// For whoever has more than a ring before him: the kernel's buffer, or nothing but records.
  static constexpr std::chrono::nanoseconds kLongSleep{1'000'000};
  /// What a writer needs for half of 1 MiB, at its fastest.
  static constexpr std::chrono::nanoseconds kBatchSleep{256'000};

  /// What is waited for: packets, of which the next may come any moment, or a batch of another
  /// thread's work. That takes long enough for a sleep: a core that yields until then costs as much
  /// as one that works, and many short sleeps nearly so.
  enum class For : std::uint8_t { Packets, Batches };

  explicit Backoff(std::chrono::nanoseconds longest_sleep = kShortSleep, For what = For::Packets)
      : longest_sleep_ns_(static_cast<long>(longest_sleep.count())), what_(what) {}
  explicit Backoff(For what) : Backoff(kBatchSleep, what) {}
  void wait();
  void reset() { rounds_ = 0; }

 private:
  static constexpr std::uint32_t kPauses = 16;
  static constexpr std::uint32_t kYields = 64;  // not for batches
  static constexpr std::uint32_t kRoundsMax = 1U << 30;
  static constexpr long kShortestSleepNs = 2'000;  // grows by as much; for batches it doubles

  long longest_sleep_ns_;
  For what_;
  std::uint32_t rounds_ = 0;
};

}  // namespace flowloom
