// What tests of the engine start it with: a worker that comes late, a source that calls back, and
// small tables.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>

#include "io/packet_source.hpp"
#include "runtime/engine.hpp"

namespace flowloom::test {

/// Starts the worker of this index late: the others run ahead as far as there is room.
class LateLauncher final : public Launcher {
 public:
  LateLauncher(unsigned late, std::chrono::milliseconds delay) : late_(late), delay_(delay) {}
  void launch(Role role, unsigned index, std::function<void()> body) override {
    const bool late = role == Role::Worker && index == late_;
    threads_.launch(role, index, [this, late, body = std::move(body)] {
      if (late) std::this_thread::sleep_for(delay_);
      body();
    });
  }
  void join() override { threads_.join(); }

 private:
  unsigned late_;
  std::chrono::milliseconds delay_;
  ThreadLauncher threads_;
};

/// Another source that calls back at one of its packets.
class TappedSource final : public PacketSource {
 public:
  TappedSource(PacketSource& source, std::uint64_t at, std::function<void()> call)
      : source_(source), at_(at), call_(std::move(call)) {}
  SourceState receive(Burst& burst) override {
    const SourceState state = source_.receive(burst);
    if (burst.size > 0 && burst.packets[0].number >= at_ && call_) std::exchange(call_, {})();
    return state;
  }
  void release(Burst& burst) override { source_.release(burst); }
  [[nodiscard]] SourceStats stats() const override { return source_.stats(); }

 private:
  PacketSource& source_;
  std::uint64_t at_;
  std::function<void()> call_;
};

inline EngineSettings engine_settings(std::uint32_t max_flows, unsigned workers,
                                      std::uint32_t burst) {
  EngineSettings s;
  s.shard.max_flows = max_flows;
  s.shard.reorder_bytes = std::uint64_t{64} << 20;
  s.workers = workers;
  s.burst = burst;
  s.export_memory = std::uint64_t{64} << 20;
  return s;
}

}  // namespace flowloom::test
