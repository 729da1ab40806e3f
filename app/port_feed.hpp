// Packets through a DPDK port for `flowloom bench`, as `flowloom run` receives them.
#pragma once

#include <cstdint>
#include <memory>

#include "bench_feed.hpp"
#include "runtime/engine.hpp"
#include "runtime/lcore_plan.hpp"

namespace flowloom {

enum class BenchPort : std::uint8_t {
  Null,  ///< what receiving costs: the packets hold no TCP, the engine only judges and counts them
  Ring   ///< made traffic, copied into mbufs and queued in the port's rings before it is timed
};

/// EAL with one port of a virtual device, a queue per worker. At most one per process, ever.
class BenchPorts {
 public:
  /// Throws RuntimeSetupError.
  BenchPorts(BenchPort port, unsigned workers, WriterCore writer);
  ~BenchPorts();

  /// The feed of worker `index`; destroyed before this. `traffic` is what a Ring carries.
  [[nodiscard]] std::unique_ptr<BenchFeed> feed(unsigned index,
                                                const traffic::TrafficConfig& traffic) const;
  /// Starts workers and writers on EAL's lcores; all writers share one.
  [[nodiscard]] Launcher& launcher();

 private:
  struct Parts;
  BenchPort port_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace flowloom
