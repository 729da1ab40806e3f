// See signals.hpp.
#include "host/signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace flowloom {
namespace {

using Count = std::atomic<unsigned>;
static_assert(Count::is_always_lock_free);  // handlers may touch nothing else

Count interrupt_count{0};
Count rotation_count{0};
Count statistics_count{0};

extern "C" void on_interrupt(int) {
  constexpr int kInterrupted = 130;
  if (interrupt_count.fetch_add(1, std::memory_order_relaxed) > 0) _exit(kInterrupted);
}

extern "C" void on_end(int) { interrupt_count.fetch_add(1, std::memory_order_relaxed); }

extern "C" void on_rotate(int) { rotation_count.fetch_add(1, std::memory_order_relaxed); }

extern "C" void on_statistics(int) { statistics_count.fetch_add(1, std::memory_order_relaxed); }

void install(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(signal, &action, nullptr);
}

/// nohup says that the terminal may go.
bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

void handle_signals(OnHangup on_hangup) {
  install(SIGINT, on_interrupt, 0);
  install(SIGTERM, on_interrupt, 0);
  // What only asks for something must not make a system call fail.
  install(SIGUSR1, on_statistics, SA_RESTART);
  if (on_hangup == OnHangup::Rotate) {
    install(SIGHUP, on_rotate, SA_RESTART);
  } else if (!is_ignored(SIGHUP)) {
    install(SIGHUP, on_end, 0);
  }
  // A closed pipe and a file that may not grow are failed writes, reported as such.
  install(SIGPIPE, SIG_IGN, 0);
  install(SIGXFSZ, SIG_IGN, 0);
}

unsigned interrupts() { return interrupt_count.load(std::memory_order_relaxed); }

unsigned rotations_asked() { return rotation_count.load(std::memory_order_relaxed); }

unsigned statistics_asked() { return statistics_count.load(std::memory_order_relaxed); }

}  // namespace flowloom
