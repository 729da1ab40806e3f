#include "runtime/lcore_launcher.hpp"

#include <pthread.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>

namespace flowloom {

namespace {

/// The EAL gives threads that come and go the same entries of its tables. It has a lock of its own,
/// in a library that no sanitizer looks into; with ours the order can be seen.
class EalRegistration {
 public:
  EalRegistration() {
    const std::lock_guard guard(mutex());
    registered_ = rte_thread_register() == 0;
  }
  ~EalRegistration() {
    const std::lock_guard guard(mutex());
    if (registered_) rte_thread_unregister();
  }
  EalRegistration(const EalRegistration&) = delete;
  EalRegistration& operator=(const EalRegistration&) = delete;

 private:
  static std::mutex& mutex() {
    static std::mutex only;
    return only;
  }
  bool registered_ = false;
};

int run_body(void* body) {
  const std::unique_ptr<std::function<void()>> owned(static_cast<std::function<void()>*>(body));
  (*owned)();
  return 0;
}

/// rte_eal_wait_lcore() spins on a core that a worker may need.
void wait_asleep(unsigned lcore) {
  constexpr std::chrono::milliseconds kNap{1};
  while (rte_eal_get_lcore_state(lcore) == RUNNING) std::this_thread::sleep_for(kNap);
  rte_eal_wait_lcore(lcore);
}

}  // namespace

unsigned LcoreLauncher::lcore_of(Role role, unsigned index) const {
  switch (role) {
    case Role::Receive:
      return plan_.pollers[index].lcore;
    case Role::Worker:
      return plan_.shape == PlanShape::RunToCompletion ? plan_.pollers[index].lcore
                                                       : plan_.workers[index];
    case Role::Writer:
      return plan_.writer;
  }
  return plan_.control;
}

void LcoreLauncher::launch(Role role, unsigned index, std::function<void()> body) {
  const unsigned lcore = lcore_of(role, index);
  const bool taken = std::find(launched_.begin(), launched_.end(), lcore) != launched_.end();
  if (lcore != rte_get_main_lcore() && !taken) {
    auto owned = std::make_unique<std::function<void()>>(body);
    if (rte_eal_remote_launch(run_body, owned.get(), lcore) == 0) {
      (void)owned.release(); // run_body() owns it now
      launched_.push_back(lcore);
      return;
    }
  }
  const rte_cpuset_t cpus = rte_lcore_cpuset(lcore);
  threads_.emplace_back([cpus, body = std::move(body)] {
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
    // Without a registration it runs all the same, only without mempool caches.
    const EalRegistration registration;
    body();
  });
}

void LcoreLauncher::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (const unsigned lcore : launched_) wait_asleep(lcore);
  launched_.clear();
}

}  // namespace flowloom
