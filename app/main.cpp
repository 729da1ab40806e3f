// The flowloom command: finds the subcommand and leaves the rest to it.
#include <fmt/format.h>
#include <pcap/pcap.h>

#include <cstdio>
#include <exception>
#include <new>
#include <span>
#include <string_view>

#include "commands.hpp"
#include "options.hpp"
#include "runtime/eal.hpp"
#include "session.hpp"

namespace {

constexpr std::string_view kUsage = R"(flowloom turns packets into TCP streams: exactly, and says what is missing.

Usage:
  flowloom read  [options] CAPTURE...           captures in (- = standard input); no privilege needed
  flowloom run   [EAL options] -- [options]     DPDK ports and virtual devices
  flowloom bench [options]                      in-memory traffic: speed and its floor
  flowloom COMMAND --help                       the options of a command, with examples
  flowloom --version

Everyday use:
  flowloom read capture.pcap -o out             streams, flow records and the ledger in out/
)";

struct Command {
  std::string_view name;
  int (*run)(std::span<char* const> arguments);
};

constexpr Command kCommands[] = {{"read", flowloom::read_command},
                                 {"run", flowloom::run_command},
                                 {"bench", flowloom::bench_command}};

int dispatch(std::span<char* const> arguments) {
  const std::string_view name = arguments.empty() ? std::string_view{} : arguments[0];
  if (name == "--help" || name == "-h" || name == "help") {
    fmt::print("{}", kUsage);
    return 0;
  }
  if (name == "--version" || name == "-V") {
    fmt::print("flowloom {} ({}, {})\n", FLOWLOOM_VERSION, flowloom::dpdk_version(),
               pcap_lib_version());
    return 0;
  }
  for (const Command& command : kCommands) {
    if (command.name == name) return command.run(arguments.subspan(1));
  }
  if (name.empty()) {
    fmt::print(stderr, "{}", kUsage);
  } else {
    flowloom::say(fmt::format("there is no command '{}': see 'flowloom --help'", name));
  }
  return static_cast<int>(flowloom::ExitStatus::Usage);
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char* const> all(argv, static_cast<std::size_t>(argc));
  try {
    return dispatch(all.subspan(all.empty() ? 0 : 1));
  } catch (const std::bad_alloc&) {
    flowloom::say("memory for the tables cannot be reserved: lower --max-flows or --memory");
  } catch (const std::exception& error) {
    flowloom::say(error.what());
  }
  return static_cast<int>(flowloom::ExitStatus::Usage);
}
