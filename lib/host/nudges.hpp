// Interrupts the system calls of one thread, again and again, so that one that waits for somebody
// who does not come looks up: the call fails with EINTR. By a timer of the kernel, which needs no
// thread that is alive.
#pragma once

#include <atomic>
#include <chrono>
#include <ctime>

namespace flowloom {

class Nudges {
 public:
  static constexpr std::chrono::milliseconds kInterval{100};

  /// Of the calling thread; none yet.
  Nudges();
  ~Nudges();
  Nudges(const Nudges&) = delete;
  Nudges& operator=(const Nudges&) = delete;

  /// From now on, until this is destroyed. From any thread; a second time changes nothing.
  void begin();

 private:
  timer_t timer_{};
  bool valid_ = false;
  std::atomic<bool> begun_{false};
};

}  // namespace flowloom
