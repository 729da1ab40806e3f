// What -i of `live` names: an interface of the kernel, or a device for DPDK.
#pragma once

#include <string>
#include <vector>

namespace flowloom {

struct LiveInputs {
  std::vector<std::string> interfaces;      ///< of the kernel
  std::vector<std::string> eal_arguments;   ///< of devices: "-a", "0000:3b:00.0", ...
  std::string error;                        ///< a sentence, or empty
};

/// An interface that the kernel has is one, whatever it is called; "3b:00.0" is a PCI address, and
/// "net_..." a virtual device. Everything else is taken for an interface, which the kernel will
/// refuse by name.
LiveInputs sort_inputs(const std::vector<std::string>& names);

}  // namespace flowloom
