// A run while it goes on, as one plain value: the ledger so far, what the writers did, what each
// thread told. Whoever shows it to somebody (metrics, telemetry, records, a terminal) reads this.
#pragma once

#include "export/ledger_snapshot.hpp"
#include "runtime/run_status.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace flowloom {

/// The counts of a ledger, and of what stands beside it, under the names they have in stats.json.
LedgerSnapshot snapshot_of(const Ledger& ledger, const SourceStats& source,
                           const ShedCounts& shed);

/// For people and for Prometheus.
inline double seconds_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// A moment of a run, from what its threads told.
struct LiveStatus {
  LedgerSnapshot ledger;  ///< its sums balance when the run is over
  std::vector<ThreadStatus> threads;
  std::uint64_t connections_open = 0;
  std::uint64_t reserved_bytes = 0;  ///< of tables and pools, fixed at the start
  std::chrono::steady_clock::time_point at;
  std::chrono::nanoseconds elapsed{};  ///< since the start
};

/// The last status, for threads that are no part of the data path. One publishes, any may look.
class StatusBoard {
 public:
  void publish(std::shared_ptr<const LiveStatus> status) {
    const std::lock_guard lock(mutex_);
    status_.swap(status);
  }
  /// Never nullptr.
  [[nodiscard]] std::shared_ptr<const LiveStatus> latest() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const LiveStatus> status_ = std::make_shared<LiveStatus>();
};

}  // namespace flowloom
