// A source that ends after so many packets or so much time: a wrapper, for inputs that know no end
// of their own.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "io/packet_source.hpp"

namespace flowloom {

/// Of all sources of a run together; each is wrapped by a LimitedSource of its own thread.
class RunLimits {
 public:
  using Clock = std::chrono::steady_clock;

  /// 0: no limit. The time runs from now on.
  RunLimits(std::uint64_t packets_max, std::chrono::nanoseconds duration)
      : packets_max_(packets_max),
        timed_(duration.count() > 0),
        end_(Clock::now() + (timed_ ? duration : std::chrono::nanoseconds{0})) {}

  /// So many of `wanted` packets may be received; what does not come is given back.
  std::uint32_t claim(std::uint32_t wanted) {
    if (packets_max_ == 0) return wanted;
    std::uint64_t claimed = claimed_.load(std::memory_order_relaxed);
    std::uint64_t granted = 0;
    do {
      granted = std::min<std::uint64_t>(wanted, packets_max_ - claimed);
    } while (!claimed_.compare_exchange_weak(claimed, claimed + granted,
                                             std::memory_order_relaxed));
    return static_cast<std::uint32_t>(granted);
  }
  void settle(std::uint32_t claimed, std::uint32_t received) {
    if (packets_max_ == 0) return;
    received_.fetch_add(received, std::memory_order_relaxed);
    claimed_.fetch_sub(claimed - received, std::memory_order_relaxed);
  }
  [[nodiscard]] bool are_reached() const {
    return packets_max_ != 0 && received_.load(std::memory_order_relaxed) >= packets_max_;
  }
  [[nodiscard]] bool is_late() const { return timed_ && Clock::now() >= end_; }

 private:
  const std::uint64_t packets_max_;
  const bool timed_;
  const Clock::time_point end_;
  std::atomic<std::uint64_t> claimed_{0};   // at least what was received
  std::atomic<std::uint64_t> received_{0};
};

class LimitedSource final : public PacketSource {
 public:
  /// Both outlive this.
  LimitedSource(PacketSource& inner, RunLimits& limits) : inner_(inner), limits_(limits) {}

  SourceState receive(Burst& burst) override;
  std::optional<Timestamp> idle_clock() override { return inner_.idle_clock(); }
  void release(Burst& burst) override { inner_.release(burst); }
  ByteView keep_released(std::uint64_t packets, FrameKeeper& keeper) override {
    return inner_.keep_released(packets, keeper);
  }
  [[nodiscard]] SourceStats stats() const override { return inner_.stats(); }

 private:
  PacketSource& inner_;
  RunLimits& limits_;
  std::uint32_t calls_ = 0;
};

}  // namespace flowloom
