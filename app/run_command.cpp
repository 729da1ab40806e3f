// flowloom run: the DPDK convention, EAL's options first. Any port and vdev; capture files behind
// net_pcap end by themselves.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "commands.hpp"
#include "io/ethdev_source.hpp"
#include "options.hpp"
#include "parse.hpp"
#include "runtime/eal.hpp"
#include "runtime/lcore_launcher.hpp"
#include "runtime/ports.hpp"
#include "runtime/vdev_spec.hpp"
#include "session.hpp"

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

void say_verbosely(const CommonOptions& options, const std::vector<std::string>& lines) {
  if (!options.verbose) return;
  for (const std::string& line : lines) say(line);
}

/// Everything between EAL's start and its end. Members are destroyed in the order DPDK needs.
ExitStatus run_ports(const CommonOptions& options, Session& session, CheckedArguments checked) {
  PortSettings port_settings;
  const unsigned workers = options.workers;
  const Eal eal("flowloom", checked.arguments,
                estimate_eal_needs(checked.arguments, std::max(workers, 1U), port_settings));
  say_verbosely(options, {fmt::format("EAL: {}", fmt::join(eal.arguments(), " "))});
  std::vector<PortFacts> found = discover_ports(find_vdevs(checked.arguments));
  const WriterCore writer =
      session.settings().output == Export::None ? WriterCore::None : WriterCore::Own;
  const LcorePlan plan = make_lcore_plan({Eal::lcores(), queues_of(found), workers, writer});
  Ports ports(std::move(found), plan, port_settings);
  say_verbosely(options, ports.description());
  say_verbosely(options, describe(plan, writer));
  eal.unbind_this_thread();

  std::vector<std::unique_ptr<EthdevSource>> owned;
  std::vector<PacketSource*> sources;
  for (std::size_t i = 0; i < plan.pollers.size(); ++i) {
    owned.push_back(std::make_unique<EthdevSource>(ports.source_settings(i)));
    sources.push_back(owned.back().get());
  }
  session.settings().workers = static_cast<unsigned>(
      plan.shape == PlanShape::RunToCompletion ? plan.pollers.size() : plan.workers.size());
  LcoreLauncher launcher(plan);
  return session.run(
      sources, launcher, [] { return InputExtent{}; },
      [&] {
        std::vector<InputProblem> problems = checked.problems;
        for (const auto& source : owned) {
          problems.insert(problems.end(), source->problems().begin(), source->problems().end());
        }
        return problems;
      });
}

}  // namespace

int run_command(std::span<char* const> arguments) {
  CLI::App app("Reassembles the TCP streams of DPDK ports and virtual devices.", "flowloom run");
  CommonOptions options;
  options.pace = Pace::Live;
  add_common_options(app, options);
  app.footer(kExamples);
  const Split split = split_arguments(arguments);
  if (const auto status = parse(app, split.own)) return *status;

  CheckedArguments checked = check_vdev_files(split.eal);
  if (checked.nothing_left) {
    for (const InputProblem& problem : checked.problems) say(problem.message);
    return static_cast<int>(ExitStatus::InputUnreadable);
  }
  Session session(options);
  if (const ExitStatus s = session.prepare(); s != ExitStatus::Ok) return static_cast<int>(s);
  try {
    return static_cast<int>(run_ports(options, session, std::move(checked)));
  } catch (const RuntimeUsageError& error) {
    say(error.what());
    return static_cast<int>(ExitStatus::Usage);
  } catch (const RuntimeSetupError& error) {
    say(error.what());
    return static_cast<int>(ExitStatus::InputUnreadable);
  }
}

}  // namespace flowloom
