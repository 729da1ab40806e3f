// How far a run is, for people: published by each worker between bursts, read by the control
// thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace flowloom {

struct Progress {
  std::uint64_t packets = 0;
  std::uint64_t connections = 0;  ///< created so far
};

/// One writer, its own cache line. worker: wo, control: ro.
class alignas(64) ProgressCounter {
 public:
  void publish(std::uint64_t packets, std::uint64_t connections) {
    packets_.store(packets, std::memory_order_relaxed);
    connections_.store(connections, std::memory_order_relaxed);
  }
  void add_to(Progress& sum) const {
    sum.packets += packets_.load(std::memory_order_relaxed);
    sum.connections += connections_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> packets_{0};
  std::atomic<std::uint64_t> connections_{0};
};

}  // namespace flowloom
