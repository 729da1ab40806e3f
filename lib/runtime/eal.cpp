#include "runtime/eal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <getopt.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_version.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <string_view>

#include "runtime/vdev_spec.hpp"

namespace flowloom {

namespace {

// DPDK's log goes here instead of to standard error and syslog: the last few lines, from which
// an error message takes its reason. Never destroyed: EAL's threads log until the very end.
class LogTail {
 public:
  void append(std::string_view text) {
    const std::lock_guard lock(mutex_);
    text_ += text;
    if (text_.size() > kBytesMax) text_.erase(0, text_.size() - kBytesMax);
  }
  std::string take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(text_, {});
  }

 private:
  static constexpr std::size_t kBytesMax = 16384;
  std::mutex mutex_;
  std::string text_;
};

LogTail& log_tail() {
  static LogTail* const tail = new LogTail;
  return *tail;
}

void catch_log() {
  cookie_io_functions_t functions{};
  functions.write = [](void*, const char* text, std::size_t bytes) -> ssize_t {
    log_tail().append({text, bytes});
    return static_cast<ssize_t>(bytes);
  };
  std::FILE* stream = fopencookie(nullptr, "w", functions);
  if (stream == nullptr) return;
  std::setvbuf(stream, nullptr, _IOLBF, BUFSIZ);
  rte_openlog_stream(stream);
}

// While it lives, what the process prints goes to memory: EAL answers a wrong option with pages
// of help on standard output, and getopt names the option on standard error.
class PrintedTextCatcher {
 public:
  PrintedTextCatcher() : memory_(memfd_create("eal-output", MFD_CLOEXEC)) {
    for (std::size_t i = 0; i < streams_.size(); ++i) saved_[i] = redirect(streams_[i], fds_[i]);
  }
  ~PrintedTextCatcher() { restore(); }
  PrintedTextCatcher(const PrintedTextCatcher&) = delete;
  PrintedTextCatcher& operator=(const PrintedTextCatcher&) = delete;

  std::string finish() {
    restore();
    std::string text;
    if (memory_ < 0) return text;
    text.resize(kBytesMax);
    const ssize_t bytes = pread(memory_, text.data(), text.size(), 0);
    text.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    close(memory_);
    memory_ = -1;
    return text;
  }

 private:
  static constexpr std::size_t kBytesMax = 4096;

  int redirect(std::FILE* stream, int fd) const {
    std::fflush(stream);
    if (memory_ < 0) return -1;
    const int saved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (saved >= 0) dup2(memory_, fd);
    return saved;
  }
  void restore() {
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      std::fflush(streams_[i]);
      if (saved_[i] < 0) continue;
      dup2(saved_[i], fds_[i]);
      close(saved_[i]);
      saved_[i] = -1;
    }
  }

  int memory_;
  const std::array<std::FILE*, 2> streams_ = {stdout, stderr};
  const std::array<int, 2> fds_ = {STDOUT_FILENO, STDERR_FILENO};
  std::array<int, 2> saved_ = {-1, -1};
};

// Threads inherit the mask of their creator: those of EAL shall leave signals to the caller's.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Lines that say only that, not why, something failed.
bool says_why(std::string_view line) {
  constexpr std::array<std::string_view, 5> kEmpty = {
      "EAL: FATAL", "EAL: Invalid 'command line'", "EAL: Error creating", "Usage", "EAL: Detected"};
  if (line.find_first_not_of(" \t") == std::string_view::npos) return false;
  return std::none_of(kEmpty.begin(), kEmpty.end(),
                      [&](std::string_view start) { return line.starts_with(start); });
}

/// The first line that gives a reason, as "; it says: ...". EAL's log knows better than what it
/// printed, which is mostly help.
std::string reason_in(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (says_why(line)) return fmt::format("; it says: {}", line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return {};
}

bool wants_help(const std::vector<std::string>& arguments) {
  return has_option(arguments, "--help") ||
         std::find(arguments.begin(), arguments.end(), "-h") != arguments.end();
}

}  // namespace

Eal::Eal(const std::string& program, const std::vector<std::string>& arguments,
         const EalNeeds& needs)
    : arguments_(complete_eal_arguments(program, arguments, needs, {free_hugepage_bytes()})),
      catches_log_(!has_option(arguments, "--log-level")) {
  CPU_ZERO(&cpus_before_);
  sched_getaffinity(0, sizeof cpus_before_, &cpus_before_);
  if (catches_log_) catch_log();
  start();
  check_vdevs(arguments);
}

Eal::~Eal() {
  rte_eal_cleanup();
}

void Eal::start() {
  std::vector<std::string> copies = arguments_;  // EAL may write into them
  std::vector<char*> argv;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int argc = static_cast<int>(copies.size());
  std::string printed;
  int used = 0;
  int error = 0;
  {
    const SignalsBlocked blocked;
    if (wants_help(arguments_)) {
      used = rte_eal_init(argc, argv.data());  // prints and exits
    } else {
      PrintedTextCatcher catcher;
      rte_errno = 0;
      used = rte_eal_init(argc, argv.data());
      error = rte_errno;
      printed = catcher.finish();
    }
  }
  if (used < 0) {
    const std::string sentence = fmt::format("DPDK's EAL did not start ({}){}", rte_strerror(error),
                                             reason_in(recent_log() + printed));
    if (error == EINVAL) throw RuntimeUsageError(sentence);
    throw RuntimeSetupError(sentence);
  }
  if (!catches_log_) std::fputs(printed.c_str(), stderr);  // it was asked for
  if (used != argc - 1) {
    rte_eal_cleanup();
    throw RuntimeUsageError(
        fmt::format("`{}` is no EAL option; flowloom's own options come after `--`",
                    arguments_[static_cast<std::size_t>(used) + 1]));
  }
}

/// A vdev that could not be created is logged by EAL and otherwise passed over.
void Eal::check_vdevs(const std::vector<std::string>& arguments) const {
  for (const VdevSpec& vdev : find_vdevs(arguments)) {
    const bool is_port = vdev.is("net_") || vdev.is("eth_");
    std::uint16_t port = 0;
    if (!is_port || rte_eth_dev_get_port_by_name(vdev.name.c_str(), &port) == 0) continue;
    const std::string reason = reason_in(recent_log());
    rte_eal_cleanup();
    throw RuntimeSetupError(
        fmt::format("DPDK could not create the virtual device `{}`{}", vdev.name, reason));
  }
}

std::vector<LcoreFacts> Eal::lcores() {
  std::vector<LcoreFacts> found;
  const unsigned main = rte_get_main_lcore();
  found.push_back({main, static_cast<int>(rte_lcore_to_socket_id(main))});
  constexpr unsigned kBeforeFirst = ~0u;
  for (unsigned lcore = rte_get_next_lcore(kBeforeFirst, 1, 0); lcore < RTE_MAX_LCORE;
       lcore = rte_get_next_lcore(lcore, 1, 0)) {
    found.push_back({lcore, static_cast<int>(rte_lcore_to_socket_id(lcore))});
  }
  return found;
}

void Eal::unbind_this_thread() const {
  pthread_setaffinity_np(pthread_self(), sizeof cpus_before_, &cpus_before_);
}

std::string Eal::recent_log() {
  return log_tail().take();
}

std::string dpdk_version() {
  return rte_version();
}

}  // namespace flowloom
