#include "cycle_counter.hpp"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace flowloom {

CycleCounter::CycleCounter() {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = PERF_COUNT_HW_CPU_CYCLES;
  attributes.exclude_kernel = 1; // what an unprivileged user may count
  attributes.exclude_hv = 1;
  constexpr int kThisThread = 0;
  constexpr int kAnyCpu = -1;
  constexpr int kNoGroup = -1;
  descriptor_ = static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, kThisThread, kAnyCpu, kNoGroup, 0UL));
}

CycleCounter::~CycleCounter() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::optional<std::uint64_t> CycleCounter::read() const {
  std::uint64_t value = 0;
  if (descriptor_ < 0 || ::read(descriptor_, &value, sizeof value) != sizeof value) {
    return std::nullopt;
  }
  return value;
}

}  // namespace flowloom
