#include "live_inputs.hpp"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <regex>

#include "io/stamp_merge.hpp"

namespace flowloom {

namespace {

bool is_pci_address(const std::string& name) {
  static const std::regex form("([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\\.[0-7]");
  return std::regex_match(name, form);
}

std::string check(const LiveInputs& inputs, const std::vector<std::string>& names) {
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (std::find(names.begin(), name, *name) != name) return fmt::format("-i {} twice", *name);
  }
  if (!inputs.interfaces.empty() && !inputs.eal_arguments.empty()) {
    return "-i: interfaces of the kernel and devices of DPDK do not go together";
  }
  if (inputs.interfaces.size() > kMergeInputsMax) {
    return fmt::format("-i: at most {} interfaces", kMergeInputsMax);
  }
  return {};
}

}  // namespace

LiveInputs sort_inputs(const std::vector<std::string>& names) {
  LiveInputs inputs;
  for (const std::string& name : names) {
    if (if_nametoindex(name.c_str()) != 0) {
      inputs.interfaces.push_back(name);
    } else if (is_pci_address(name)) {
      inputs.eal_arguments.insert(inputs.eal_arguments.end(), {"-a", name});
    } else if (name.starts_with("net_")) {
      inputs.eal_arguments.insert(inputs.eal_arguments.end(), {"--vdev", name});
    } else {
      inputs.interfaces.push_back(name);
    }
  }
  inputs.error = check(inputs, names);
  return inputs;
}

}  // namespace flowloom
