// flowloom live: interfaces of this machine in, streams out. Those of the kernel need the right to
// capture and no DPDK; a PCI address or a virtual device is DPDK's.
#include <CLI/CLI.hpp>

#include <fmt/format.h>

#include "commands.hpp"
#include "config_file.hpp"
#include "io/amsdu_splitter.hpp"
#include "io/kernel_source.hpp"
#include "live_inputs.hpp"
#include "options.hpp"
#include "port_run.hpp"
#include "session.hpp"

namespace flowloom {

namespace {

constexpr const char* kExamples = R"(
Examples:
  flowloom live -i eth0 -o out                        until Ctrl-C: streams, records, ledger
  flowloom live -i eth0 --duration 60 --json
  flowloom live -i tap0 -i tap1 -o out                a tap: one direction on each port
  flowloom live -i eth0 -o out --write flows,alerts -f 'tcp port 443'
  flowloom live -i 0000:3b:00.0 -o out                a port of DPDK, as in flowloom run
)";

constexpr double kLongestRun = 1e9;
constexpr std::uint64_t kSmallestRing = std::uint64_t{1} << 20;
constexpr std::uint64_t kLargestRing = std::uint64_t{1} << 30;

struct LiveOptions {
  std::vector<std::string> names;
  std::uint64_t ring = KernelSettings{}.ring_bytes;
  std::uint64_t packets = 0;
  double duration = 0;

  [[nodiscard]] Duration time() const {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(duration));
  }
};

void add_live_options(CLI::App& command, LiveOptions& o) {
  const CLI::AsSizeValue size(false);
  command.add_option("-i,--interface", o.names,
                     "Network interface, PCI address or virtual device; again for several")
      ->option_text("NAME")->required()->expected(1)->take_all();
  command.add_option("--ring-size", o.ring, "The kernel's ring of each interface (64M)")
      ->option_text("SIZE")->transform(size)->check(CLI::Range(kSmallestRing, kLargestRing));
  command.add_option("--duration", o.duration, "Seconds to capture (0: until Ctrl-C)")
      ->option_text("S")->check(CLI::Range(0.0, kLongestRun));
  command.add_option("--packets", o.packets, "Packets to capture (0: no limit)")
      ->option_text("N");
}

ExitStatus run_on_kernel(const CommonOptions& options, const LiveOptions& live,
                         const std::vector<std::string>& interfaces) {
  KernelSettings settings;
  settings.ring_bytes = static_cast<std::uint32_t>(live.ring);
  settings.packets_max = live.packets;
  settings.duration = live.time();
  KernelSource source(interfaces, settings);
  if (const auto problems = source.problems(); !problems.empty()) {
    for (const InputProblem& problem : problems) say(problem.message);
    return ExitStatus::InputUnreadable;
  }
  Session session(options); // empties a folder: only if there is something to capture from
  if (const ExitStatus s = session.prepare(); s != ExitStatus::Ok) return s;
  session.settings().when_full = WhenFull::Shed;
  session.settings().longest_sleep = Backoff::kLongSleep;
  if (!options.quiet) say(fmt::format("listening on {}", fmt::join(interfaces, ", ")));
  session.on_interrupt([&] { source.stop(); });
  AmsduSplitter packets(source);
  ThreadLauncher launcher;
  return session.run({&packets}, launcher, [] { return InputExtent{}; },
                     [&] { return source.problems(); });
}

}  // namespace

int live_command(std::span<char* const> arguments) {
  CLI::App app("Reassembles the TCP streams that interfaces of this machine see.",
               "flowloom live");
  CommonOptions options;
  LiveOptions live;
  add_live_options(app, live);
  options.pace = Pace::Live;
  add_common_options(app, options);
  app.footer(kExamples);
  if (const auto status = parse_with_config(app, arguments, options)) return *status;

  const LiveInputs inputs = sort_inputs(live.names);
  if (!inputs.error.empty()) {
    say(inputs.error);
    return static_cast<int>(ExitStatus::Usage);
  }
  const ExitStatus status =
      inputs.interfaces.empty()
          ? run_on_ports(options, inputs.eal_arguments, {live.packets, live.time()})
          : run_on_kernel(options, live, inputs.interfaces);
  return static_cast<int>(status);
}

}  // namespace flowloom
