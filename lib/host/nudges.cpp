// See nudges.hpp.
#include "host/nudges.hpp"

#include <signal.h>
#include <unistd.h>

namespace flowloom {
namespace {

/// Nobody else's: libraries that are used here have no use for it.
constexpr int kSignal = SIGUSR2;

extern "C" void on_nudge(int) {}

}  // namespace

Nudges::Nudges() {
  struct sigaction action {};
  action.sa_handler = on_nudge;  // without SA_RESTART: that is the point
  sigaction(kSignal, &action, nullptr);
  sigset_t own;
  sigemptyset(&own);
  sigaddset(&own, kSignal);
  pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = kSignal;
  event._sigev_un._tid = gettid();
  valid_ = timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
}

Nudges::~Nudges() {
  if (valid_) timer_delete(timer_);
}

void Nudges::begin() {
  if (!valid_ || begun_.exchange(true)) return;
  constexpr long kNanoseconds = std::chrono::nanoseconds{kInterval}.count();
  const itimerspec times{.it_interval = {0, kNanoseconds}, .it_value = {0, kNanoseconds}};
  timer_settime(timer_, 0, &times, nullptr);
}

}  // namespace flowloom
