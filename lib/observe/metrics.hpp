// A moment of a run as Prometheus' metrics. Which there are is a table, metrics.def; the page about
// operation prints it.
#pragma once

#include "observe/live_status.hpp"

#include <prometheus/metric_family.h>

#include <string_view>
#include <vector>

namespace flowloom {

/// What only whoever serves them knows.
struct MetricsContext {
  std::string_view version;
  std::uint64_t resident_bytes = 0;
};

std::vector<prometheus::MetricFamily> make_metrics(const LiveStatus& status,
                                                   const MetricsContext& context);

}  // namespace flowloom
