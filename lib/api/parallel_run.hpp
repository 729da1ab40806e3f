// Extractor::run() with several workers: the engine of the commands, whose messages become events
// on the writer's thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "api/event_outlet.hpp"
#include "api/scan_watch.hpp"
#include "api/settings.hpp"
#include "io/bpf_filter.hpp"
#include "io/kernel_source.hpp"
#include "io/packet_source.hpp"
#include "pipeline/ledger.hpp"

namespace flowloom {

struct ParallelRun {
  const ApiSettings& settings;
  unsigned workers;
  const BpfFilter* filter;  ///< may be nullptr
  ScanWatch* scans;         ///< may be nullptr
  KernelSource* kernel;     ///< the source, where it is live; else nullptr
  std::chrono::nanoseconds longest_sleep;
  std::atomic<bool>& interrupted;

  /// To the end of the source, or until interrupted. Returns the ledger of all workers.
  Ledger run(PacketSource& source, StreamTable& streams, EventOutlet& outlet) const;
};

}  // namespace flowloom
