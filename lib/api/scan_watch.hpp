// Port scans for the library: from the probes that a shard reports to alerts.
#pragma once

#include <flowloom/extractor.hpp>

#include <optional>

#include "inspect/scan_detector.hpp"
#include "stream/consumer.hpp"

namespace flowloom {

class ScanWatch {
 public:
  explicit ScanWatch(const ExtractorOptions& options);

  /// One probe; an alert where it is one port too many. Preconditions: clocks do not decrease.
  std::optional<ScanAlert> add(const EventKey& key, const ConnectionRecord& record,
                               const Probe& probe);

 private:
  ScanDetector detector_;
};

}  // namespace flowloom
