// DPDK's telemetry commands, where its environment runs and its socket is wanted (`--telemetry`
// among EAL's arguments): /flowloom/stats, /flowloom/flows, /flowloom/lcores.
#pragma once

#include "observe/live_status.hpp"

namespace flowloom {

class TelemetryCommands {
 public:
  /// Registers the commands, which show `board` as long as this lives. At most one at a time:
  /// DPDK's commands are of the process and take no argument of ours.
  explicit TelemetryCommands(const StatusBoard& board);
  ~TelemetryCommands();
  TelemetryCommands(const TelemetryCommands&) = delete;
  TelemetryCommands& operator=(const TelemetryCommands&) = delete;
};

}  // namespace flowloom
