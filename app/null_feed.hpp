// Packets of DPDK's net_null for `flowloom bench`: what receiving from a port costs when nothing
// is in the packets. They hold no TCP, so the engine only judges and counts them.
#pragma once

#include <memory>
#include <vector>

#include "bench_feed.hpp"
#include "runtime/engine.hpp"

namespace flowloom {

/// EAL with one net_null port, a queue per worker. At most one per process, ever.
class NullPorts {
 public:
  /// Throws RuntimeSetupError.
  explicit NullPorts(unsigned workers);
  ~NullPorts();

  /// The feed of worker `index`; destroyed before this.
  [[nodiscard]] std::unique_ptr<BenchFeed> feed(unsigned index) const;
  /// Starts workers on EAL's lcores.
  [[nodiscard]] Launcher& launcher();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace flowloom
