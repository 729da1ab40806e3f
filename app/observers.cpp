#include "observers.hpp"

#include <cstdio>

#include "host/signals.hpp"
#include "observe/summary.hpp"

namespace flowloom {

Observers::Observers(const CommonOptions& options, SinkWriter* writer, std::size_t reserved_bytes)
    : writer_(writer),
      reserved_bytes_(reserved_bytes),
      bar_(options.quiet ? ProgressBar::When::Never : ProgressBar::When::OnTerminal) {
  if (writer_ != nullptr) writer_->statuses().ask();
}

std::shared_ptr<const LiveStatus> Observers::make_status(const RunStatus& status) {
  if (writer_ != nullptr && writer_->statuses().answered()) {
    writers_ = writer_->statuses().report();
    writer_->statuses().ask();
  }
  auto live = std::make_shared<LiveStatus>();
  live->ledger = snapshot_of(status.ledger);
  live->ledger.packets_missed = status.source.missed;
  live->ledger.bad_timestamps = status.source.bad_timestamps;
  for (const InterfaceCount& input : status.source.inputs) {
    live->ledger.interfaces.push_back({input.name, input.received, input.missed});
  }
  live->ledger.shed = status.shed;
  live->ledger.writers = writers_;
  live->threads = status.threads;
  for (const ThreadStatus& thread : live->threads) {
    constexpr auto kConnections = static_cast<std::size_t>(Resource::Connections);
    live->connections_open += thread.report.levels[kConnections].used;
  }
  live->reserved_bytes = reserved_bytes_;
  live->at = Clock::now();
  live->elapsed = live->at - start_;
  return live;
}

void Observers::look(const RunStatus& status, const InputExtent& extent) {
  const std::shared_ptr<const LiveStatus> live = make_status(status);
  board_.publish(live);
  if (const unsigned asked = statistics_asked(); asked != statistics_printed_) {
    statistics_printed_ = asked;
    bar_.clear();
    std::fputs(format_summary(live->ledger, elapsed().count()).c_str(), stderr);
  }
  bar_.show(*live, extent);
}

void Observers::finish() { bar_.clear(); }

}  // namespace flowloom
