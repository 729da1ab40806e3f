// One run from set-up to exit status: output folder, sinks, engine, progress, ledger. What read,
// run and live have in common once their sources exist.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/confinement.hpp"
#include "io/bpf_filter.hpp"
#include "io/input_problem.hpp"
#include "io/packet_source.hpp"
#include "options.hpp"
#include "progress_bar.hpp"
#include "runtime/engine.hpp"
#include "sinks/output_folder.hpp"
#include "sinks/writer_pipeline.hpp"

namespace flowloom {

class Session {
 public:
  explicit Session(const CommonOptions& options) : options_(options) {}

  /// Whether the options can be used together; touches nothing. Returns a status other than Ok
  /// after having said why on standard error.
  ExitStatus check();

  /// The same, and opens everything that can fail before the first packet.
  ExitStatus prepare();

  /// What the run shows of itself while it goes on, for commands of DPDK's telemetry.
  [[nodiscard]] const StatusBoard& board() const { return board_; }

  [[nodiscard]] EngineSettings& settings() { return settings_; }

  /// So many bytes of captures will be read; 0 where nobody knows, as of a NIC. Before run().
  void expect_input(std::uint64_t bytes);

  /// What an interrupt does instead of ending the input where it stands: a source that holds
  /// packets of its own hands them over first. Called again and again until the input ends.
  void on_interrupt(std::function<void()> stop) { stop_ = std::move(stop); }

  /// Runs to the end of the input. `extent` is asked for while running; `problems` once at the
  /// end.
  ExitStatus run(std::vector<PacketSource*> sources, Launcher& launcher,
                 const std::function<InputExtent()>& extent,
                 const std::function<std::vector<InputProblem>()>& problems);

 private:
  [[nodiscard]] std::string give_up_privileges();
  [[nodiscard]] std::string hand_over(const HostUser& user) const;
  [[nodiscard]] std::vector<std::string> writable_folders() const;
  [[nodiscard]] LedgerSnapshot final_ledger(const Engine& engine,
                                            const std::vector<PacketSource*>& sources) const;
  [[nodiscard]] ExitStatus report(const LedgerSnapshot& snapshot,
                                  const std::vector<InputProblem>& problems, double seconds) const;

  const CommonOptions& options_;
  EngineSettings settings_;
  SinkSettings sinks_;
  std::function<void()> stop_;
  StatusBoard board_;
  std::optional<BpfFilter> filter_;
  std::optional<OutputFolder> folder_;
  std::optional<Confinement> confinement_;
  std::optional<WriterPipeline> pipeline_;
};

/// On standard error. Offline it waits for whoever reads there; a live run some seconds at most.
void print_to_user(std::string_view text);
/// The same with "flowloom: <sentence>".
void say(const std::string& sentence);

}  // namespace flowloom
