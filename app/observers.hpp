// Everybody who looks at a run while it goes on: the line on a terminal, who sends SIGUSR1, the
// service manager, the records of --stats-interval and, through the board, metrics and telemetry.
// On the control thread.
#pragma once

#include <chrono>
#include <optional>

#include "host/service_notifier.hpp"
#include "observe/live_status.hpp"
#include "observe/metrics_server.hpp"
#include "observe/status_log.hpp"
#include "options.hpp"
#include "progress_bar.hpp"
#include "sink_writer.hpp"
#include "sinks/output_folder.hpp"

namespace flowloom {

class Observers {
 public:
  /// What they look at; pointers may be nullptr, all outlive them.
  struct Run {
    SinkWriter* writer = nullptr;
    const OutputFolder* folder = nullptr;
    StatusBoard* board = nullptr;
    ServiceNotifier* service = nullptr;
    std::size_t reserved_bytes = 0;
  };

  /// Starts the clock of the run. Throws std::runtime_error where something cannot be shown or
  /// written as the options want it.
  Observers(const CommonOptions& options, const Run& run);

  /// Several times a second.
  void look(const RunStatus& status, const InputExtent& extent);
  /// Whether the terminal that the run was started on hung up: its SIGHUP asks for the end.
  [[nodiscard]] bool terminal_is_gone() const { return terminal_is_gone_; }
  /// The run is over; adds what a writer of its own did.
  void finish(LedgerSnapshot& ledger);
  [[nodiscard]] std::chrono::duration<double> elapsed() const { return Clock::now() - start_; }

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] std::shared_ptr<LiveStatus> moment(LedgerSnapshot ledger) const;
  [[nodiscard]] std::shared_ptr<LiveStatus> make_status(const RunStatus& status);
  void open_log(const CommonOptions& options);
  void tell_service(const LiveStatus& status, InputState input);

  const Run run_;
  const Pace pace_;
  const Clock::time_point start_ = Clock::now();
  const bool on_terminal_;
  bool terminal_is_gone_ = false;
  ProgressBar bar_;
  StatusLine service_line_;
  Clock::time_point service_told_;
  enum class Service : std::uint8_t { Starting, Ready, Stopping } service_ = Service::Starting;
  unsigned statistics_printed_ = 0;
  unsigned hangups_seen_ = 0;
  std::vector<WriterStatus> writers_;  ///< as they said last
  std::optional<StatusLog> log_;
  std::optional<MetricsServer> metrics_;
};

}  // namespace flowloom
