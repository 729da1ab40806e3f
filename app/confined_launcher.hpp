// Confines every thread of the engine before its body runs: DPDK's lcores are older than the moment
// at which privileges are given up.
#pragma once

#include <functional>
#include <utility>

#include "base/check.hpp"
#include "host/confinement.hpp"
#include "runtime/engine.hpp"

namespace flowloom {

class ConfinedLauncher final : public Launcher {
 public:
  /// Both outlive it.
  ConfinedLauncher(Launcher& launcher, const Confinement& confinement)
      : launcher_(launcher), confinement_(confinement) {}

  void launch(Role role, unsigned index, std::function<void()> body) override {
    launcher_.launch(role, index, [this, body = std::move(body)] {
      // The main thread could; a worker that cannot must not see hostile packets.
      FLOWLOOM_CHECK(confinement_.confine_thread() == 0);
      body();
    });
  }
  void join() override { launcher_.join(); }

 private:
  Launcher& launcher_;
  const Confinement& confinement_;
};

}  // namespace flowloom
