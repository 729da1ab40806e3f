// flowloom run: the DPDK convention, EAL's options first. Any port and vdev; capture files behind
// net_pcap end by themselves.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <string_view>

#include "commands.hpp"
#include "config_file.hpp"
#include "options.hpp"
#include "port_run.hpp"

namespace flowloom {

namespace {

constexpr const char* kExamples = R"(
EAL options stand before --, flowloom's after it. Without free hugepages --no-huge is added, so no
privilege is needed for virtual devices; -v shows the EAL arguments used.

Examples:
  flowloom run --vdev net_pcap0,rx_pcap=capture.pcap -- -o out
  flowloom run --vdev net_pcap0,rx_pcap=a.pcap --vdev net_pcap1,rx_pcap=b.pcap -- --json
  flowloom run -l 0-3 -a 0000:3b:00.0 -- -o out --workers 2
)";

struct Split {
  std::vector<std::string> eal;
  std::vector<char*> own;
};

/// At the first "--"; without one everything is EAL's, but for a call for help.
Split split_arguments(std::span<char* const> arguments) {
  const auto is = [](std::string_view text) {
    return [text](const char* argument) { return text == argument; };
  };
  const auto dashes = std::find_if(arguments.begin(), arguments.end(), is("--"));
  Split split;
  for (auto it = arguments.begin(); it != dashes; ++it) {
    if (is("--help")(*it) || is("-h")(*it)) {
      split.own = {*it};
      return split;
    }
    split.eal.emplace_back(*it);
  }
  if (dashes != arguments.end()) split.own.assign(dashes + 1, arguments.end());
  return split;
}

}  // namespace

int run_command(std::span<char* const> arguments) {
  CLI::App app("Reassembles the TCP streams of DPDK ports and virtual devices.", "flowloom run");
  CommonOptions options;
  options.pace = Pace::Live;
  add_common_options(app, options);
  app.footer(kExamples);
  const Split split = split_arguments(arguments);
  if (const auto status = parse_with_config(app, split.own, options)) return *status;

  return static_cast<int>(run_on_ports(options, split.eal, {}));
}

}  // namespace flowloom
