// flowloom live: a kernel interface in, streams out. Needs the right to capture and no DPDK.
#include <CLI/CLI.hpp>

#include <fmt/format.h>

#include "commands.hpp"
#include "io/amsdu_splitter.hpp"
#include "io/kernel_source.hpp"
#include "options.hpp"
#include "parse.hpp"
#include "session.hpp"

namespace flowloom {

namespace {

constexpr const char* kExamples = R"(
Examples:
  flowloom live -i eth0 -o out                        until Ctrl-C: streams, records, ledger
  flowloom live -i eth0 --duration 60 --json
  flowloom live -i eth0 -o out --write flows,alerts -f 'tcp port 443'
)";

constexpr double kLongestRun = 1e9;

std::vector<InputProblem> problems_of(const KernelSource& source) {
  std::vector<InputProblem> problems;
  if (source.problem()) problems.push_back(*source.problem());
  return problems;
}

}  // namespace

int live_command(std::span<char* const> arguments) {
  CLI::App app("Reassembles the TCP streams that an interface of this machine sees.",
               "flowloom live");
  CommonOptions options;
  std::string interface;
  KernelSettings kernel;
  double duration = 0;
  app.add_option("-i,--interface", interface, "Network interface")
      ->option_text("NAME")->required();
  app.add_option("--duration", duration, "Seconds to capture (0: until Ctrl-C)")
      ->option_text("S")->check(CLI::Range(0.0, kLongestRun));
  app.add_option("--packets", kernel.packets_max, "Packets to capture (0: no limit)")
      ->option_text("N");
  options.pace = Pace::Live;
  add_common_options(app, options);
  app.footer(kExamples);
  if (const auto status = parse(app, arguments)) return *status;

  kernel.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(duration));
  KernelSource source(interface, kernel);
  if (source.problem()) {
    say(source.problem()->message);
    return static_cast<int>(ExitStatus::InputUnreadable);
  }
  Session session(options); // empties a folder: only if there is something to capture from
  if (const ExitStatus s = session.prepare(); s != ExitStatus::Ok) return static_cast<int>(s);
  if (!options.quiet) say(fmt::format("listening on {}", interface));
  session.on_interrupt([&] { source.stop(); });
  AmsduSplitter packets(source);
  ThreadLauncher launcher;
  const ExitStatus status = session.run({&packets}, launcher, [] { return InputExtent{}; },
                                        [&] { return problems_of(source); });
  return static_cast<int>(status);
}

}  // namespace flowloom
