// The --vdev options among EAL's arguments: parsed, and the capture files that they name checked
// before EAL sees them. A vdev with a bad file would only be logged: rte_eal_init() succeeds with
// a port less.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/input_problem.hpp"

namespace flowloom {

struct VdevSpec {
  std::string name;  ///< the port's name: net_pcap0
  std::vector<std::pair<std::string, std::string>> options;

  [[nodiscard]] bool is(std::string_view driver) const { return name.starts_with(driver); }
  /// net_pcap, also by its old name.
  [[nodiscard]] bool is_pcap() const { return is("net_pcap") || is("eth_pcap"); }
  /// All values of a key that may be repeated, in order.
  [[nodiscard]] std::vector<std::string> values(std::string_view key) const;
  /// A value that switches something on: present and not 0.
  [[nodiscard]] bool enabled(std::string_view key) const;
};

/// "net_pcap0,rx_pcap=FILE,..."; text without '=' becomes an option with an empty value.
VdevSpec parse_vdev(std::string_view text);

/// All vdevs of an argument list, in order.
std::vector<VdevSpec> find_vdevs(const std::vector<std::string>& arguments);

struct CheckedArguments {
  std::vector<std::string> arguments;  ///< without the files and vdevs that cannot be read
  std::vector<InputProblem> problems;
  /// Everything went, and no PCI device is named either: EAL must not be started, for it would
  /// look for ports among the machine's NICs.
  bool nothing_left = false;
};

/// Looks at every rx_pcap= file. What cannot be read is named and taken out, so that the others
/// are processed; a vdev without any file left goes with it.
CheckedArguments check_vdev_files(const std::vector<std::string>& arguments);

}  // namespace flowloom
