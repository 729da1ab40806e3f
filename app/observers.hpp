// Everybody who looks at a run while it goes on, on the control thread: the line on a terminal and
// who sends SIGUSR1.
#pragma once

#include <chrono>
#include <functional>

#include "observe/live_status.hpp"
#include "options.hpp"
#include "progress_bar.hpp"
#include "sink_writer.hpp"

namespace flowloom {

class Observers {
 public:
  /// `writer` may be nullptr. Starts the clock of the run.
  Observers(const CommonOptions& options, SinkWriter* writer, std::size_t reserved_bytes);

  /// Several times a second.
  void look(const RunStatus& status, const InputExtent& extent);
  /// The run is over.
  void finish();
  [[nodiscard]] std::chrono::duration<double> elapsed() const { return Clock::now() - start_; }

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] std::shared_ptr<const LiveStatus> make_status(const RunStatus& status);

  SinkWriter* writer_;
  const std::size_t reserved_bytes_;
  const Clock::time_point start_ = Clock::now();
  ProgressBar bar_;
  unsigned statistics_printed_ = 0;
  std::vector<WriterStatus> writers_;  ///< as they said last
  StatusBoard board_;
};

}  // namespace flowloom
