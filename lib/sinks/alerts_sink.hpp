// Port scans as JSON lines in alerts.jsonl: one when a source has asked for too many ports, one
// with the totals when it has been quiet for a while (docs/output.md has the keys). All probes of a
// run come here in its total order, so the lines do not depend on workers or bursts.
#pragma once

#include "inspect/scan_detector.hpp"
#include "sinks/record_writer.hpp"
#include "sinks/sink.hpp"

#include <fmt/format.h>

namespace flowloom {

class AlertsSink final : public Sink {
 public:
  AlertsSink(RecordWriter output, const ScanSettings& settings)
      : output_(std::move(output)), detector_(settings) {}

  [[nodiscard]] SinkNeeds needs() const override { return {.probes = true}; }
  void consume(StreamEvent& event) override { write_ended(event.message().key.clock); }
  void consume_probe(StreamEvent& event) override;
  void flush() override { output_.flush(); }
  void rotate() override { output_.rotate(); }
  void finish() override;
  [[nodiscard]] WriterStatus status() const override { return output_.status(); }

 private:
  void write_ended(Timestamp now);
  void write_alarm(const ScanAlarm& alarm);
  void write_lists(const ScanAlarm& alarm);
  void write_totals(const ScanTotals& totals);
  void write_losses();
  void end_line();

  RecordWriter output_;
  ScanDetector detector_;
  fmt::memory_buffer text_;  ///< the line in work
};

}  // namespace flowloom
