#include "compat/python/flowloom/background.hpp"

#include <pthread.h>

#include <atomic>

namespace flowloom::python {

namespace {

std::atomic<int> forks{0};

}  // namespace

int HomeProcess::generation() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
  (void)registered;
  return forks.load(std::memory_order_relaxed);
}

}  // namespace flowloom::python
