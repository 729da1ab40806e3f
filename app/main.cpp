// The flowloom command: finds the subcommand and leaves the rest to it.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <span>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "base/cpu_level.hpp"
#include "commands.hpp"
#include "io/bpf_filter.hpp"
#include "options.hpp"
#include "runtime/eal.hpp"
#include "session.hpp"
#include "sinks/descriptor.hpp"

namespace {

constexpr std::string_view kUsage =
    R"(flowloom turns packets into TCP streams: exactly, and says what is missing.

Usage:
  flowloom read  [options] CAPTURE...           captures in (- = standard input)
  flowloom live  -i INTERFACE [options]         a network interface, through the kernel
  flowloom run   [EAL options] -- [options]     DPDK ports and virtual devices
  flowloom bench [options]                      in-memory traffic: speed and its floor
  flowloom show  DIR [options]                  lists, filters and prints what was written
  flowloom unpack DIR -o OUT                    packed streams to one file per direction
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
                                 {"live", flowloom::live_command},
                                 {"run", flowloom::run_command},
                                 {"bench", flowloom::bench_command},
                                 {"show", flowloom::show_command},
                                 {"unpack", flowloom::unpack_command}};

/// A file that is opened later must never be taken for a standard stream that the caller closed.
/// Reading or writing what stands in for it fails, as it should.
void fill_standard_descriptors() {
  constexpr int kModes[] = {O_WRONLY, O_RDONLY, O_RDONLY};
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) == -1) (void)!open("/dev/null", kModes[fd]);
  }
}

/// What the environment asks for is no less an argument than the others.
void check_environment() {
  const char* const level = std::getenv(flowloom::kCpuLevelVariable);
  if (level == nullptr || flowloom::parse_cpu_level(level)) return;
  throw std::runtime_error(fmt::format("{}={} names no instruction set: {}",
                                       flowloom::kCpuLevelVariable, level,
                                       fmt::join(flowloom::kCpuLevelNames, ", ")));
}

int dispatch(std::span<char* const> arguments) {
  check_environment();
  const std::string_view name = arguments.empty() ? std::string_view{} : arguments[0];
  if (name == "--help" || name == "-h" || name == "help") {
    fmt::print("{}", kUsage);
    return 0;
  }
  if (name == "--version" || name == "-V") {
    fmt::print("flowloom {} ({}, {})\n", FLOWLOOM_VERSION, flowloom::dpdk_version(),
               flowloom::libpcap_version());
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

/// For who can say nothing else any more, in memory that is there.
[[noreturn]] void end_with(std::string_view sentence) {
  if (flowloom::takes_now(STDERR_FILENO)) {
    (void)!write(STDERR_FILENO, sentence.data(), sentence.size());
  }
  _exit(static_cast<int>(flowloom::ExitStatus::WriterFailed));
}

/// What a thread of a run cannot have, the run cannot do without. Not an abort: it is nobody's
/// mistake, and what is written already stays.
[[noreturn]] void on_terminate() {
  try {
    if (const std::exception_ptr error = std::current_exception()) std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    end_with("flowloom: there was no memory any more: what was not written is lost\n");
  } catch (const std::system_error&) {
    end_with("flowloom: the system refused a thread or a lock: what was not written is lost\n");
  } catch (...) {
  }
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  std::set_terminate(on_terminate);
  fill_standard_descriptors();
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
