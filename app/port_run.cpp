#include "port_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "io/ethdev_source.hpp"
#include "io/limited_source.hpp"
#include "observe/telemetry.hpp"
#include "runtime/eal.hpp"
#include "runtime/lcore_launcher.hpp"
#include "runtime/ports.hpp"
#include "runtime/vdev_spec.hpp"
#include "session.hpp"

namespace flowloom {

namespace {

void say_verbosely(const CommonOptions& options, const std::vector<std::string>& lines) {
  if (!options.verbose) return;
  for (const std::string& line : lines) say(line);
}

/// Captures wait, and so do devices that make packets when they are asked for some.
bool is_live(const std::vector<PortFacts>& ports) {
  return std::any_of(ports.begin(), ports.end(), [](const PortFacts& port) {
    return port.captures.empty() && port.queues.spread != QueueSpread::Independent;
  });
}

/// Of all files together; 0 where a port is more than files, or replays them without end.
std::uint64_t bytes_of_captures(const std::vector<PortFacts>& ports) {
  std::uint64_t bytes = 0;
  for (const PortFacts& port : ports) {
    if (port.captures.empty() || port.end == QueueEnd::Never) return 0;
    for (const CaptureQueue& queue : port.captures) {
      std::error_code unknown;
      const std::uintmax_t size = std::filesystem::file_size(queue.file, unknown);
      if (unknown) return 0;
      bytes += size;
    }
  }
  return bytes;
}

/// Everything between EAL's start and its end. Members are destroyed in the order DPDK needs.
ExitStatus run_ports(const CommonOptions& options, Session& session,
                     const CheckedArguments& checked, const PortLimits& limits) {
  PortSettings port_settings;
  const unsigned workers = options.workers;
  const Eal eal("flowloom", checked.arguments,
                estimate_eal_needs(checked.arguments, std::max(workers, 1U), port_settings));
  say_verbosely(options, {fmt::format("EAL: {}", fmt::join(eal.arguments(), " "))});
  std::vector<PortFacts> found = discover_ports(find_vdevs(checked.arguments));
  if (is_live(found)) session.settings().when_full = WhenFull::Shed;
  session.expect_input(bytes_of_captures(found));
  const WriterCore writer =
      session.settings().output == Export::None ? WriterCore::None : WriterCore::Own;
  const LcorePlan plan = make_lcore_plan({Eal::lcores(), queues_of(found), workers, writer});
  Ports ports(std::move(found), plan, port_settings);
  say_verbosely(options, ports.description());
  for (const std::string& complaint : ports.complaints()) say(complaint);
  say_verbosely(options, describe(plan, writer));
  eal.unbind_this_thread();

  std::vector<std::unique_ptr<EthdevSource>> owned;
  std::vector<std::unique_ptr<LimitedSource>> limited;
  std::vector<PacketSource*> sources;
  RunLimits run_limits(limits.packets, limits.duration);
  for (std::size_t i = 0; i < plan.pollers.size(); ++i) {
    owned.push_back(std::make_unique<EthdevSource>(ports.source_settings(i)));
    limited.push_back(std::make_unique<LimitedSource>(*owned.back(), run_limits));
    sources.push_back(limited.back().get());
  }
  session.settings().workers = static_cast<unsigned>(
      plan.shape == PlanShape::RunToCompletion ? plan.pollers.size() : plan.workers.size());
  const std::optional<FlowOwners> owners = ports.flow_owners(session.settings().workers);
  if (owners) session.settings().owners = &*owners;
  session.settings().order = SourceOrder::AsReceived;
  LcoreLauncher launcher(plan);
  const TelemetryCommands telemetry(session.board());
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

ExitStatus run_on_ports(const CommonOptions& options,
                        const std::vector<std::string>& eal_arguments, const PortLimits& limits) {
  const CheckedArguments checked = check_vdev_files(eal_arguments);
  if (checked.nothing_left) {
    for (const InputProblem& problem : checked.problems) say(problem.message);
    return ExitStatus::InputUnreadable;
  }
  Session session(options);
  if (const ExitStatus s = session.prepare(); s != ExitStatus::Ok) return s;
  try {
    return run_ports(options, session, checked, limits);
  } catch (const RuntimeUsageError& error) {
    say(error.what());
    return ExitStatus::Usage;
  } catch (const RuntimeSetupError& error) {
    say(error.what());
    return ExitStatus::InputUnreadable;
  }
}

}  // namespace flowloom
