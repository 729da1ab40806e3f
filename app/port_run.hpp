// A session whose packets come from DPDK's ports and virtual devices: what `run`, and `live` with
// a PCI address or a virtual device, have in common.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "options.hpp"

namespace flowloom {

/// Where the input has no end of its own; 0: none.
struct PortLimits {
  std::uint64_t packets = 0;
  std::chrono::nanoseconds duration{0};
};

/// From the check of the arguments to the exit status. Messages go to standard error.
ExitStatus run_on_ports(const CommonOptions& options,
                        const std::vector<std::string>& eal_arguments, const PortLimits& limits);

}  // namespace flowloom
