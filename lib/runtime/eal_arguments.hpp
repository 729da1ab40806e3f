// The arguments that EAL is started with: the user's, and defaults for what the user left open.
// Pure: the machine is described by a struct, so every case is a row of a test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flowloom {

/// What the pools will take from EAL's memory.
struct EalNeeds {
  std::uint64_t bytes = 0;
};

struct EalMachine {
  std::uint64_t free_hugepage_bytes = 0;
};

/// Whether any of the arguments is the option `name` ("-a", "--vdev"), alone or with its value
/// attached ("-a0000:01:00.0", "--vdev=net_null0").
bool has_option(const std::vector<std::string>& arguments, const std::string& name);

/// Program name first. Adds, where the user said nothing about it:
/// memory: `--in-memory` where enough hugepages are free, otherwise `--no-huge -m N --no-shconf`,
/// which needs no privilege; devices: `--no-pci` when vdevs are named and no PCI device is (as a
/// bystander one must not take the machine's NICs over); `--iova-mode=va` where no PCI device can
/// want physical addresses; `--no-telemetry`; `--log-level=error`.
std::vector<std::string> complete_eal_arguments(const std::string& program,
                                                const std::vector<std::string>& arguments,
                                                const EalNeeds& needs, const EalMachine& machine);

/// Sum over all page sizes of what /sys says is free.
std::uint64_t free_hugepage_bytes();

}  // namespace flowloom
