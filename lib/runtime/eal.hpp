// DPDK's environment abstraction layer, started once per process and ended with this object.
// Chooses what the user left open (eal_arguments.hpp), keeps EAL from printing, and turns its
// failures into one sentence. Signals stay with the caller: EAL's own threads never take one.
#pragma once

#include <sched.h>

#include <string>
#include <vector>

#include "runtime/eal_arguments.hpp"
#include "runtime/lcore_plan.hpp"
#include "runtime/setup_error.hpp"

namespace flowloom {

class Eal {
 public:
  /// `arguments` are the user's, without program name and without `--`; capture files in them
  /// were checked (vdev_spec.hpp). Throws RuntimeSetupError, also where a vdev was not created.
  /// At most one Eal per process, ever: DPDK cannot be started twice.
  Eal(const std::string& program, const std::vector<std::string>& arguments, const EalNeeds& needs);
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  /// Everything that EAL was given, for -v.
  [[nodiscard]] const std::vector<std::string>& arguments() const { return arguments_; }

  /// EAL's lcores, the main one first.
  [[nodiscard]] static std::vector<LcoreFacts> lcores();

  /// EAL binds the calling thread to the main lcore, and threads inherit that. Gives the calling
  /// thread the CPUs back that the process had before.
  void unbind_this_thread() const;

  /// The last lines that DPDK logged and nobody has seen (none where the user gave --log-level).
  [[nodiscard]] static std::string recent_log();

 private:
  void start();
  void check_vdevs(const std::vector<std::string>& arguments) const;

  std::vector<std::string> arguments_;
  bool catches_log_;
  cpu_set_t cpus_before_;
};

/// "DPDK 22.11.11", for --version.
std::string dpdk_version();

}  // namespace flowloom
