#include "observers.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

#include "host/signals.hpp"
#include "observe/summary.hpp"
#include "session.hpp"
#include "sinks/text.hpp"

namespace flowloom {

namespace {

constexpr const char* kLogName = "stats.jsonl";
/// What `systemctl status` shows is so old at most.
constexpr std::chrono::seconds kServiceInterval{2};

}  // namespace

Observers::Observers(const CommonOptions& options, const Run& run)
    : run_(run),
      pace_(options.pace),
      on_terminal_(isatty(STDERR_FILENO) == 1),
      bar_(options.quiet ? ProgressBar::When::Never : ProgressBar::When::OnTerminal) {
  if (run_.writer != nullptr) run_.writer->statuses().ask();
  if (options.stats_interval > 0) open_log(options);
  if (options.metrics.empty()) return;
  metrics_.emplace(*run_.board, *parse_metrics_address(options.metrics), FLOWLOOM_VERSION);
  if (!options.quiet) say(fmt::format("metrics on {}", metrics_->url()));
}

void Observers::open_log(const CommonOptions& options) {
  RecordFile place(run_.folder->fd(), kLogName);
  Descriptor file = place.create();
  if (!file.valid()) {
    throw std::runtime_error(fmt::format("cannot create {}/{}: {}", run_.folder->path(), kLogName,
                                         describe_errno(errno)));
  }
  RotateSettings rotate;
  (void)parse_rotation(options.rotate, rotate);  // check_options() said what is wrong
  log_.emplace(RecordWriter("stats", std::move(file), std::move(place), rotate.bytes),
               std::chrono::duration_cast<std::chrono::nanoseconds>(
                   std::chrono::duration<double>(options.stats_interval)));
}

/// The run at this moment, but for its threads.
std::shared_ptr<LiveStatus> Observers::moment(LedgerSnapshot ledger) const {
  auto live = std::make_shared<LiveStatus>();
  live->ledger = std::move(ledger);
  live->reserved_bytes = run_.reserved_bytes;
  live->at = Clock::now();
  live->elapsed = live->at - start_;
  return live;
}

std::shared_ptr<LiveStatus> Observers::make_status(const RunStatus& status) {
  if (run_.writer != nullptr && run_.writer->statuses().answered()) {
    writers_ = run_.writer->statuses().report();
    run_.writer->statuses().ask();
  }
  std::shared_ptr<LiveStatus> live =
      moment(snapshot_of(status.ledger, status.source, status.shed));
  live->ledger.writers = writers_;
  live->threads = status.threads;
  for (const ThreadStatus& thread : live->threads) {
    constexpr auto kConnections = static_cast<std::size_t>(Resource::Connections);
    live->connections_open += thread.report.levels[kConnections].used;
  }
  return live;
}

void Observers::look(const RunStatus& status, const InputExtent& extent) {
  const std::shared_ptr<const LiveStatus> live = make_status(status);
  run_.board->publish(live);
  if (const unsigned asked = statistics_asked(); asked != statistics_printed_) {
    statistics_printed_ = asked;
    bar_.clear();
    print_to_user(format_summary(live->ledger, elapsed().count()));
  }
  if (const unsigned asked = rotations_asked(); asked != hangups_seen_) {
    hangups_seen_ = asked;
    terminal_is_gone_ = on_terminal_ && isatty(STDERR_FILENO) != 1;
    if (log_) log_->rotate();
  }
  if (log_) log_->look(*live);
  tell_service(*live, status.input);
  bar_.show(*live, extent);
}

/// A live run that a thread of does not answer is dead: then the service manager hears nothing. One
/// of recordings may rightly wait, for its input or its writers; so may a live one at its end.
void Observers::tell_service(const LiveStatus& status, InputState input) {
  if (!run_.service->is_wanted()) return;
  if (service_ == Service::Starting) {
    run_.service->ready();
    service_ = Service::Ready;
  }
  if (service_ == Service::Ready && interrupts() > 0) {
    run_.service->stopping();
    service_ = Service::Stopping;
  }
  const Clock::time_point now = Clock::now();
  const auto watchdog = std::chrono::nanoseconds{run_.service->watchdog()};
  const bool said_lately = now - service_told_ < kServiceInterval &&
                           (watchdog.count() == 0 || now - service_told_ < watchdog / 4);
  if (said_lately) return;
  service_told_ = now;
  run_.service->status(service_line_.text(status));
  if (watchdog.count() == 0) return;
  const bool must_answer = pace_ == Pace::Live && input == InputState::Open;
  for (const ThreadStatus& thread : status.threads) {
    if (must_answer && now - thread.answered > watchdog / 2) return;
  }
  run_.service->alive();
}

void Observers::finish(LedgerSnapshot& ledger) {
  bar_.clear();
  const std::shared_ptr<const LiveStatus> live = moment(ledger);
  run_.board->publish(live);
  if (!log_) return;
  log_->finish(*live);
  ledger.writers.push_back(log_->status());
}

}  // namespace flowloom
