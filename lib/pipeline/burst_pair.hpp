// Two bursts under way on one thread: what the next one needs is fetched while the one before it is
// tracked, and while the one after it is received.
#pragma once

#include <array>

#include "net/packet.hpp"
#include "pipeline/shard.hpp"

namespace flowloom {

/// Completes one burst while what the next one needs is on its way.
/// Preconditions: the fresh burst is hashed.
template <class Complete>
void complete_beside(const Shard& shard, Burst& fresh, Complete&& complete) {
  shard.prefetch_table(fresh);
  complete();
  shard.prefetch_connections(fresh);
}

class BurstPair {
 public:
  /// Where the next burst is received; empty.
  [[nodiscard]] Burst& fresh() { return bursts_[fresh_]; }
  /// No burst waits to be tracked.
  [[nodiscard]] bool idle() const { return bursts_[1 - fresh_].size == 0; }

  /// Completes the burst that waits, if there is one; then the fresh one waits, which may be empty.
  /// `complete(Burst&)` tracks it and gives its frames back.
  /// Preconditions: Front::run() saw the fresh burst.
  template <class Complete>
  void advance(const Shard& shard, Complete&& complete) {
    Burst& ready = bursts_[1 - fresh_];
    complete_beside(shard, fresh(), [&] {
      if (ready.size > 0) complete(ready);
      ready.size = 0;
    });
    fresh_ = 1 - fresh_;
  }

 private:
  std::array<Burst, 2> bursts_;
  unsigned fresh_ = 0;
};

}  // namespace flowloom
