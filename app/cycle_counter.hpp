// Core cycles of the calling thread, from the kernel's performance counters. The time stamp counter
// is no substitute: it runs at one rate whatever the core does.
#pragma once

#include <cstdint>
#include <optional>

namespace flowloom {

class CycleCounter {
 public:
  /// Counts the thread that constructs it, user space only. Where the counter cannot be opened
  /// (permission, a virtual machine without one), read() gives nothing.
  CycleCounter();
  ~CycleCounter();
  CycleCounter(const CycleCounter&) = delete;
  CycleCounter& operator=(const CycleCounter&) = delete;

  [[nodiscard]] std::optional<std::uint64_t> read() const;

 private:
  int descriptor_;
};

}  // namespace flowloom
