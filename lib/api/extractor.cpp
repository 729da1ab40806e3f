#include <flowloom/extractor.hpp>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <utility>

#include "api/event_outlet.hpp"
#include "api/feed_source.hpp"
#include "api/parallel_run.hpp"
#include "api/settings.hpp"
#include "api/single_run.hpp"
#include "base/backoff.hpp"
#include "io/amsdu_splitter.hpp"
#include "io/bpf_filter.hpp"
#include "io/capture_source.hpp"
#include "io/kernel_source.hpp"

namespace flowloom {

namespace {

InputFault fault_of(const InputProblem& problem) {
  const bool unreadable = problem.severity == ProblemSeverity::Unreadable;
  return {unreadable ? InputFault::Kind::Unreadable : InputFault::Kind::Damaged, problem.message};
}

template <std::size_t N>
std::vector<Count> counts_of(const std::array<std::string_view, N>& names,
                             const std::array<std::uint64_t, N>& values) {
  std::vector<Count> counts;
  for (std::size_t i = 0; i < N; ++i) {
    if (values[i] != 0) counts.push_back({names[i], values[i]});
  }
  return counts;
}

Statistics statistics_of(const Ledger& ledger) {
  Statistics s;
  s.packets = ledger.received;
  s.payload_bytes = ledger.tcp.payload_seen;
  s.delivered_bytes = ledger.tcp.fates[static_cast<std::size_t>(Fate::Delivered)];
  s.connections_created = ledger.connections_created;
  for (const std::uint64_t closed : ledger.connections_closed) s.connections_closed += closed;
  s.verdicts = counts_of(kVerdictNames, ledger.verdicts);
  s.fates = counts_of(kFateNames, ledger.tcp.fates);
  for (std::size_t i = 0; i < kLimitNames.size(); ++i) {
    if (ledger.limits[i]) s.limits.push_back(kLimitNames[i]);
  }
  s.balances = ledger.balances();
  return s;
}

}  // namespace

struct __attribute__((visibility("hidden"))) Extractor::Impl {
  explicit Impl(const ExtractorOptions& given)
      : options(given), settings(settings_of(given)), outlet(streams, given.keep_limit) {
    if (given.scan_ports != 0) scans = std::make_unique<ScanWatch>(given);
    if (given.filter.empty()) return;
    filter.emplace(given.filter);
    if (filter->error()) {
      throw std::invalid_argument("filter '" + given.filter + "': " + *filter->error());
    }
  }

  void check_unused() const {
    if (packets || finished) throw std::logic_error("this extractor has an input already");
  }
  void check_outside() const {
    if (working) throw std::logic_error("an event handler must not call its extractor");
  }
  SingleRun& single() {
    if (!run) {
      run.emplace(settings, options.packets, filter ? &*filter : nullptr, streams, outlet,
                  scans.get());
    }
    return *run;
  }

  /// The kernel hands packets over in blocks, so that nobody sees a millisecond.
  [[nodiscard]] std::chrono::nanoseconds longest_sleep() const {
    return kernel ? Backoff::kLongSleep : Backoff::kShortSleep;
  }
  SourceState step();
  void end_input();
  void take_in_frames(std::span<const CapturedFrame> frames);
  void take_in_all();
  const ExtractorEvent* next(bool may_wait);

  const ExtractorOptions options;
  const ApiSettings settings;
  std::optional<BpfFilter> filter;
  StreamTable streams;
  EventOutlet outlet;
  std::unique_ptr<ScanWatch> scans;
  std::unique_ptr<FeedSource> feed;
  std::unique_ptr<CaptureSource> captures;
  std::unique_ptr<KernelSource> kernel;
  std::optional<AmsduSplitter> packets;  // around one of them
  std::optional<SingleRun> run;
  std::optional<Ledger> final_ledger;    // of a run with several workers
  std::atomic<bool> interrupted{false};
  bool finished = false;
  bool working = false;                  // a handler may be on the stack
};

namespace {

/// Raised for as long as it lives.
class Flag {
 public:
  explicit Flag(bool& flag) : flag_(flag) { flag_ = true; }
  ~Flag() { flag_ = false; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;

 private:
  bool& flag_;
};

}  // namespace

// One burst, and what its handler threw.
SourceState Extractor::Impl::step() {
  const Flag flag(working);
  if (interrupted.load(std::memory_order_relaxed)) {
    if (!kernel) return SourceState::End;
    kernel->stop(); // what it has captured until now still comes
  }
  const SourceState state = single().step(*packets);
  if (outlet.failed()) {
    finished = true;
    outlet.rethrow();
  }
  return state;
}

void Extractor::Impl::end_input() {
  if (std::exchange(finished, true)) return;
  const Flag flag(working);
  single().finish();
  outlet.rethrow();
}

void Extractor::Impl::take_in_frames(std::span<const CapturedFrame> frames) {
  check_outside();
  if (finished) throw std::logic_error("feed() after finish()");
  if (captures || kernel) throw std::logic_error("feed() into an extractor that reads by itself");
  if (!packets) {
    feed = std::make_unique<FeedSource>();
    packets.emplace(*feed);
  }
  feed->offer(frames);
  try {
    while (step() == SourceState::Packets) continue;
  } catch (...) {
    feed->offer({});
    throw;
  }
  feed->offer({});
}

void Extractor::Impl::take_in_all() {
  if (options.workers > 1) {
    const Flag flag(working);
    const ParallelRun parallel{settings, options.workers, filter ? &*filter : nullptr,
                               scans.get(), kernel.get(), longest_sleep(), interrupted};
    final_ledger = parallel.run(*packets, streams, outlet);
    finished = true;
    outlet.rethrow();
    return;
  }
  Backoff backoff(longest_sleep());
  for (SourceState state = step(); state != SourceState::End; state = step()) {
    if (state == SourceState::Idle) {
      backoff.wait();
    } else {
      backoff.reset();
    }
  }
  end_input();
}

const ExtractorEvent* Extractor::Impl::next(bool may_wait) {
  check_outside();
  if (!outlet.queues()) throw std::logic_error("events go to the handler");
  Backoff backoff(longest_sleep());
  for (;;) {
    if (const ExtractorEvent* event = outlet.take()) return event;
    if (finished || !packets) return nullptr;
    const SourceState state = step();
    if (state == SourceState::End) end_input();
    if (state != SourceState::Idle || !outlet.empty()) continue;
    if (feed || !may_wait) return nullptr;
    backoff.wait();
  }
}

Extractor::Extractor(const ExtractorOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Extractor::~Extractor() = default;
Extractor::Extractor(Extractor&&) noexcept = default;
Extractor& Extractor::operator=(Extractor&&) noexcept = default;

void Extractor::open(const std::vector<std::string>& captures) {
  impl_->check_unused();
  if (captures.empty()) throw std::invalid_argument("no capture was named");
  auto source = std::make_unique<CaptureSource>(captures);
  if (source->problems().size() == captures.size()) {
    throw std::runtime_error(source->problems().front().message);
  }
  impl_->captures = std::move(source);
  impl_->packets.emplace(*impl_->captures);
}

void Extractor::open_live(const std::string& interface, const LiveOptions& live) {
  impl_->check_unused();
  const bool promiscuous = live.promiscuous == LiveOptions::Promiscuous::Yes;
  const KernelSettings settings{
      .snap_length = live.snap_length,
      .ring_bytes = live.buffer_bytes,
      .promiscuous = promiscuous ? KernelSettings::Promiscuous::Yes
                                 : KernelSettings::Promiscuous::No};
  auto source = std::make_unique<KernelSource>(std::vector{interface}, settings);
  const std::vector<InputProblem> problems = source->problems();
  if (!problems.empty()) throw std::runtime_error(problems.front().message);
  impl_->kernel = std::move(source);
  impl_->packets.emplace(*impl_->kernel);
}

void Extractor::feed(std::span<const CapturedFrame> frames) { impl_->take_in_frames(frames); }

void Extractor::finish() {
  impl_->check_outside();
  impl_->end_input();
}

void Extractor::set_handler(StreamHandler* handler) {
  impl_->check_outside();
  if (!impl_->outlet.empty()) throw std::logic_error("events wait to be taken with next()");
  impl_->outlet.set_handler(handler);
}

const ExtractorEvent* Extractor::next() { return impl_->next(true); }

const ExtractorEvent* Extractor::poll() { return impl_->next(false); }

bool Extractor::ended() const { return impl_->finished && impl_->outlet.empty(); }

void Extractor::run(StreamHandler& handler) {
  impl_->check_outside();
  if (!impl_->captures && !impl_->kernel) throw std::logic_error("run() without an input");
  if (impl_->finished) throw std::logic_error("the input has ended");
  if (impl_->run && impl_->options.workers > 1) {
    throw std::logic_error("with several workers run() must be the first");
  }
  set_handler(&handler);
  impl_->take_in_all();
}

void Extractor::interrupt() noexcept {
  impl_->interrupted.store(true, std::memory_order_relaxed);
}

Statistics Extractor::statistics() const {
  const Impl& impl = *impl_;
  Statistics s = statistics_of(impl.final_ledger ? *impl.final_ledger
                               : impl.run        ? impl.run->ledger()
                                                 : Ledger{});
  if (impl.packets) s.missed = impl.packets->stats().missed;
  return s;
}

std::vector<InputFault> Extractor::faults() const {
  std::vector<InputFault> faults;
  if (impl_->captures) {
    for (const InputProblem& problem : impl_->captures->problems()) {
      faults.push_back(fault_of(problem));
    }
  }
  if (impl_->kernel) {
    for (const InputProblem& problem : impl_->kernel->problems()) {
      faults.push_back(fault_of(problem));
    }
  }
  return faults;
}

std::uint64_t Extractor::bytes_read() const {
  return impl_->captures ? impl_->captures->progress().bytes_read : 0;
}

std::uint64_t Extractor::bytes_total() const {
  return impl_->captures ? impl_->captures->progress().bytes_total : 0;
}

std::string_view version() { return FLOWLOOM_VERSION; }

}  // namespace flowloom
