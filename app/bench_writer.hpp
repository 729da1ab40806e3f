// What `bench --consume copied` delivers to: a worker's Exporter and the thread that takes its
// messages, as a run with a writer has them, but for the sinks.
#pragma once

#include <pthread.h>

#include <chrono>
#include <cstdint>
#include <latch>
#include <vector>

#include "export/exporter.hpp"
#include "runtime/message_writer.hpp"

namespace flowloom {

/// One per worker: each traffic has a packet time of its own, so no order is theirs together, and
/// nobody waits for the slowest.
class BenchWriter final : MessageWriter {
 public:
  explicit BenchWriter(const ExporterConfig& config) : exporter_(config) {}

  /// Whom the worker delivers to.
  [[nodiscard]] Exporter& exporter() { return exporter_; }
  [[nodiscard]] const Exporter& exporter() const { return exporter_; }

  /// The body of its thread: returns when the exporter has finished and everything was received.
  void run();
  /// CPU time of that thread so far; waits until it has begun. Preconditions: the exporter has not
  /// finished.
  [[nodiscard]] std::chrono::nanoseconds cpu_time();

  // When run() has returned, on the worker's thread or any later one.

  /// Takes home what the writer gave back.
  void settle();
  /// Bytes of streams that were received.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  void write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) override;
  void idle() override {}
  void finish() override {}

  Exporter exporter_;
  std::latch begun_{1};
  clockid_t clock_{};  // of the thread's CPU time
  std::uint64_t bytes_ = 0;
};

}  // namespace flowloom
