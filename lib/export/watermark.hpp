// How far a thread has come, told to another one: a (clock, number) pair behind a sequence lock.
#pragma once

#include <atomic>
#include <cstdint>

#include "stream/consumer.hpp"

namespace flowloom {

/// One writer, any readers; the reader sees a pair that was published as a whole.
class alignas(64) Watermark {
 public:
  void publish(Timestamp clock, std::uint64_t number) {
    const std::uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    clock_.store(to_nanoseconds(clock), std::memory_order_relaxed);
    number_.store(number, std::memory_order_relaxed);
    version_.store(version + 2, std::memory_order_release);
  }

  /// Everything up to and including this has been done by the writer.
  [[nodiscard]] EventKey read() const {
    for (;;) {
      const std::uint64_t before = version_.load(std::memory_order_acquire);
      const std::int64_t clock = clock_.load(std::memory_order_acquire);
      const std::uint64_t number = number_.load(std::memory_order_acquire);
      if ((before & 1) == 0 && version_.load(std::memory_order_relaxed) == before) {
        return {from_nanoseconds(clock), number, ~std::uint32_t{0}};
      }
    }
  }

 private:
  std::atomic<std::uint64_t> version_{0};
  std::atomic<std::int64_t> clock_{to_nanoseconds(kTimeMin)};
  std::atomic<std::uint64_t> number_{0};
};

}  // namespace flowloom
