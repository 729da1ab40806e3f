// stats.jsonl: a record of the run's status at intervals of this machine's clock, written on the
// control thread.
#pragma once

#include "observe/live_status.hpp"
#include "sinks/record_writer.hpp"

#include <chrono>

namespace flowloom {

class StatusLog {
 public:
  StatusLog(RecordWriter output, std::chrono::nanoseconds interval)
      : output_(std::move(output)), interval_(interval) {}

  /// Writes a record where one is due.
  void look(const LiveStatus& status);
  /// Writes the last one.
  void finish(const LiveStatus& status) { write(status); }
  void rotate() { output_.rotate(); }
  [[nodiscard]] const WriterStatus& status() const { return output_.status(); }

 private:
  void write(const LiveStatus& status);

  RecordWriter output_;
  std::chrono::nanoseconds interval_;
  std::chrono::nanoseconds next_ = interval_;  ///< of the time since the start of the run
};

}  // namespace flowloom
