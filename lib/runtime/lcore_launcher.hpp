// Places the engine's threads on EAL's lcores as the plan says.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "runtime/engine.hpp"
#include "runtime/lcore_plan.hpp"

namespace flowloom {

/// A role that has an lcore of its own runs there (rte_eal_remote_launch). The main lcore, and an
/// lcore that two roles share, get a thread on the same CPUs, registered with EAL so that it has
/// mempool caches; such threads yield to each other.
class LcoreLauncher final : public Launcher {
 public:
  explicit LcoreLauncher(const LcorePlan& plan) : plan_(plan) {}
  ~LcoreLauncher() override { join(); }
  void launch(Role role, unsigned index, std::function<void()> body) override;
  void join() override;

 private:
  [[nodiscard]] unsigned lcore_of(Role role, unsigned index) const;

  const LcorePlan& plan_;
  std::vector<unsigned> launched_;
  std::vector<std::thread> threads_;
};

}  // namespace flowloom
