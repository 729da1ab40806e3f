#include "runtime/engine.hpp"

#include <algorithm>
#include <exception>
#include <new>

#include "base/check.hpp"
#include "pipeline/burst_pair.hpp"
#include "pipeline/front_settings.hpp"
#include "tcp/page_window.hpp"

namespace flowloom {

namespace {

/// Sources of hardware queues number their packets for themselves; the source stands in the top
/// bits, so that a number is unique in a run.
constexpr unsigned kSourceShift = 56;

ShardConfig share_of(const ShardConfig& whole, unsigned workers) {
  ShardConfig share = whole;
  // Flows do not spread evenly: an eighth more for each worker.
  const std::uint64_t flows = whole.max_flows / workers + (workers > 1 ? whole.max_flows / 8 : 0);
  share.max_flows = static_cast<std::uint32_t>(std::max<std::uint64_t>(flows, 16));
  share.reorder_bytes = whole.reorder_bytes / workers;
  return share;
}

/// What was shed on the way to the writers was not delivered.
void take_out(const ShedCounts& shed, Ledger& ledger) {
  ledger.tcp.fates[static_cast<std::size_t>(Fate::Delivered)] -= shed.bytes;
  ledger.tcp.fates[static_cast<std::size_t>(Fate::CutWriter)] += shed.bytes;
  if (shed.any()) ledger.reached(Limit::Writers);
}

}  // namespace

/// All that belongs to one worker. worker: rw, others: as Exporter and ReportBox say.
struct Engine::Worker final : FrameKeeper {
  Worker(const EngineSettings& settings, unsigned index)
      : exporter(settings.output == Export::None ? nullptr : make_exporter(settings, index)),
        shard(share_of(settings.shard, settings.workers), consumer()) {}

  static std::unique_ptr<Exporter> make_exporter(const EngineSettings& settings, unsigned index) {
    ExporterConfig config;
    config.worker = static_cast<std::uint16_t>(index);
    config.max_flows = share_of(settings.shard, settings.workers).max_flows;
    config.memory = settings.export_memory / settings.workers;
    config.bytes_wanted = settings.output == Export::RecordsAndBytes;
    config.evidence = settings.evidence;
    config.when_full = settings.when_full;
    config.packets = settings.packets;
    config.early_bytes = settings.early_bytes;
    config.farewell = settings.farewell;
    return std::make_unique<Exporter>(config);
  }
  StreamConsumer& consumer() {
    return exporter != nullptr ? static_cast<StreamConsumer&>(*exporter) : counting;
  }
  void finish() {
    if (exporter != nullptr) exporter->end_of_input();
    shard.finish();
    if (exporter != nullptr) exporter->finish();
  }
  /// What was delivered need not be copied to be remembered, where frames stay.
  void keep_frames_of(PacketSource& source) {
    shard.keep_delivered_in(source.keep_released(kComparablePackets, *this));
  }
  void before_reuse(ByteView memory) override { shard.save_delivered(memory); }
  /// The clock has come so far without packets.
  void pass_time(Timestamp clock) {
    shard.advance_clock(clock);
    consumer().on_watermark({clock, last_number, ~std::uint32_t{0}});
  }

  std::unique_ptr<Exporter> exporter;
  CountingConsumer counting;
  Shard shard;
  std::uint64_t last_number = 0;  // that it tracked; run to completion only
  IdleMeter meter;
  ReportBox<ThreadReport> box;
};

/// The front half of a source, on the thread that polls it.
struct Engine::Receiver {
  explicit Receiver(const ShardConfig& shard, const DefragmentSettings& defragment)
      : front(front_settings(shard, defragment)) {}
  Front front;
  Ledger ledger; // packets that were not steered to anybody, and the datagrams
  IdleMeter meter;
  ReportBox<ThreadReport> box; // of the thread that only receives
};

void ThreadLauncher::launch(Role, unsigned, std::function<void()> body) {
  threads_.emplace_back(std::move(body));
}

void ThreadLauncher::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

Engine::Engine(const EngineSettings& settings, std::vector<PacketSource*> sources,
               MessageWriter* writer)
    : settings_(settings),
      sources_(std::move(sources)),
      writer_(writer) {
  FLOWLOOM_CHECK(sources_.size() == 1 || sources_.size() == settings_.workers);
  FLOWLOOM_CHECK((writer_ != nullptr) == (settings_.output != Export::None));
  for (unsigned i = 0; i < settings_.workers; ++i) {
    workers_.push_back(std::make_unique<Worker>(settings_, i));
  }
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    DefragmentSettings defragment = settings_.defragment;
    if (i > 0) defragment.memory_bytes = 0; // all fragments go to the first
    receivers_.push_back(std::make_unique<Receiver>(settings_.shard, defragment));
  }
  if (sources_.size() < settings_.workers) {
    steering_ = std::make_unique<Steering>(settings_.workers);
  } else if (sources_.size() > 1) {
    share_sources();
  }
}

void Engine::share_sources() {
  const FlowOwners* owners = settings_.owners;
  hand_over_ = std::make_unique<HandOver>(
      owners != nullptr ? *owners : FlowOwners(settings_.workers, settings_.shard.seed));
  FLOWLOOM_CHECK(hand_over_->workers() == settings_.workers);
  fragments_ = std::make_unique<FragmentStage>(*hand_over_, receivers_[0]->front,
                                               receivers_[0]->ledger, settings_.when_full);
  const HandOverPolicy policy{settings_.when_full, settings_.order};
  for (unsigned i = 0; i < settings_.workers; ++i) {
    handing_.push_back(std::make_unique<HandOverWorker>(*hand_over_, i, *sources_[i],
                                                        receivers_[i]->front,
                                                        receivers_[i]->ledger, policy,
                                                        std::uint64_t{i} << kSourceShift));
  }
}

Engine::~Engine() = default;

/// Numbers that are unique in a run, and what the filter says.
void Engine::mark(Burst& burst, unsigned source) const {
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    Packet& packet = burst.packets[i];
    if (source > 0) packet.number |= std::uint64_t{source} << kSourceShift;
    packet.verdict = Verdict::Tcp;
    if (settings_.filter != nullptr && !settings_.filter->matches(packet)) {
      packet.verdict = Verdict::Filtered;
    }
  }
}

void Engine::prepare(Burst& burst, unsigned source) {
  mark(burst, source);
  receivers_[source]->front.run(burst);
}

void Engine::end_input(Receiver& receiver) {
  receiver.front.finish();
  receiver.ledger.datagrams = receiver.front.datagrams();
  if (receiver.front.reached_limit()) receiver.ledger.reached(Limit::Datagrams);
  inputs_over_.fetch_add(1, std::memory_order_relaxed);
}

// The back half for a burst that was prepared, then its frames go back.
void Engine::complete(Burst& burst, unsigned index) {
  Worker& worker = *workers_[index];
  worker.shard.track(burst);
  const Packet& last = burst.packets[burst.size - 1];
  receivers_[index]->front.release(last.number);
  sources_[index]->release(burst);
  worker.last_number = last.number;
  worker.consumer().on_watermark({last.clock, last.number, 0});
}

/// Answers the control thread. Preconditions: on the worker's thread, which was asked.
void Engine::tell_worker(Worker& worker, unsigned index) {
  ThreadReport report;
  report.ledger = worker.shard.ledger();
  report.idle = worker.meter.total();
  const Shard::MemoryInUse memory = worker.shard.memory_in_use();
  const ShardConfig share = share_of(settings_.shard, settings_.workers);
  report.level(Resource::Connections) = {memory.connections, share.max_flows};
  report.level(Resource::ReorderPages) = {memory.pages,
                                          share.reorder_bytes / sizeof(ReorderPage)};
  if (steering_ != nullptr) {
    report.level(Resource::DescriptorRing) = {steering_->waiting(index), Steering::kRingPackets};
  } else {
    Receiver& receiver = *receivers_[index];
    if (hand_over_ != nullptr) {
      report.level(Resource::DescriptorRing) = {handing_[index]->waiting(),
                                                handing_[index]->waiting_max()};
    }
    report.source = sources_[index]->stats();
    report.ledger += receiver.ledger;
    report.ledger.datagrams = receiver.front.datagrams();
  }
  if (worker.exporter != nullptr) {
    const ExporterLevels levels = worker.exporter->levels();
    report.level(Resource::ExportBytes) = {levels.bytes, levels.bytes_max};
    report.level(Resource::MessageRing) = {levels.messages, levels.messages_max};
    report.writer_waits = worker.exporter->waits();
    report.shed = worker.exporter->shed();
    take_out(report.shed, report.ledger);
  }
  worker.box.tell(report);
}

/// The same of the thread that only receives.
void Engine::tell_receiver(unsigned index) {
  Receiver& receiver = *receivers_[index];
  ThreadReport report;
  report.ledger = receiver.ledger;
  report.ledger.datagrams = receiver.front.datagrams();
  report.source = sources_[index]->stats();
  report.idle = receiver.meter.total();
  receiver.box.tell(report);
}

/// Takes the answers that are there and asks again.
void Engine::gather(RunStatus& status) {
  const std::size_t receivers = steering_ != nullptr ? receivers_.size() : 0;
  const auto now = std::chrono::steady_clock::now();
  if (status.threads.empty()) {
    for (std::size_t i = 0; i < receivers; ++i) {
      status.threads.push_back({"rx" + std::to_string(i), {}, now});
    }
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      status.threads.push_back({"worker" + std::to_string(i), {}, now});
    }
  }
  status.ledger = Ledger{};
  status.source = SourceStats{};
  status.shed = ShedCounts{};
  if (inputs_over_.load(std::memory_order_relaxed) == sources_.size()) {
    status.input = InputState::Over;
  }
  for (std::size_t i = 0; i < status.threads.size(); ++i) {
    auto& box = i < receivers ? receivers_[i]->box : workers_[i - receivers]->box;
    ThreadStatus& thread = status.threads[i];
    if (box.answered()) {
      thread.report = box.report();
      thread.answered = now;
      box.ask();
    }
    status.ledger += thread.report.ledger;
    status.source += thread.report.source;
    status.shed += thread.report.shed;
  }
}

void Engine::run_to_completion(unsigned index) {
  Worker& worker = *workers_[index];
  worker.keep_frames_of(*sources_[index]);
  BurstPair bursts;
  const auto complete_one = [&](Burst& burst) { complete(burst, index); };
  Backoff backoff(settings_.longest_sleep);
  while (!stop_.load(std::memory_order_relaxed)) {
    if (worker.box.wanted()) tell_worker(worker, index);
    bursts.fresh().limit = settings_.burst;
    const SourceState state = sources_[index]->receive(bursts.fresh());
    const bool idle = bursts.idle();
    if (state == SourceState::Packets) prepare(bursts.fresh(), index);
    bursts.advance(worker.shard, complete_one);
    if (state == SourceState::End) break;
    if (state == SourceState::Packets) {
      backoff.reset();
      worker.meter.busy();
    } else if (idle) {
      if (const auto clock = sources_[index]->idle_clock()) {
        receivers_[index]->front.expire(*clock);
        worker.pass_time(*clock);
      }
      worker.meter.idle();
      backoff.wait();
    }
  }
  bursts.advance(worker.shard, complete_one);  // of one that was stopped
  end_input(*receivers_[index]);
  worker.finish();
}

/// One step of the back half; returns whether there was anything to do.
bool Engine::advance(Worker& worker, HandOverWorker& own, HandOverWorker::Ready*& waiting) {
  HandOverWorker::Ready* const fresh = own.next();
  const bool any = fresh != nullptr || waiting != nullptr;
  const auto complete = [&] {
    if (waiting == nullptr) return;
    worker.shard.track(*waiting->burst);
    own.done(*waiting);
    const Packet& last = waiting->burst->packets[waiting->burst->size - 1];
    worker.consumer().on_watermark({last.clock, last.number, 0});
  };
  if (fresh != nullptr) {
    complete_beside(worker.shard, *fresh->burst, complete);
  } else {
    complete();
  }
  if (!any) {
    worker.last_number = own.last_number();
    worker.pass_time(own.passed());
  }
  waiting = fresh;
  return any;
}

void Engine::run_beside_others(unsigned index) {
  Worker& worker = *workers_[index];
  HandOverWorker& own = *handing_[index];
  HandOverWorker::Ready* waiting = nullptr;
  Backoff backoff(settings_.longest_sleep);
  for (;;) {
    if (worker.box.wanted()) tell_worker(worker, index);
    if (stop_.load(std::memory_order_relaxed)) own.stop();
    Burst* const received = own.receive(settings_.burst);
    if (received != nullptr) mark(*received, index);
    own.route();
    if (index == 0) fragments_->run();
    const bool any = advance(worker, own, waiting) || received != nullptr;
    own.release();
    if (any) {
      backoff.reset();
      worker.meter.busy();
      continue;
    }
    if (own.is_over() && (index > 0 || fragments_->is_idle())) break;
    worker.meter.idle();
    backoff.wait();
  }
  end_input(*receivers_[index]);
  worker.finish();
}

void Engine::run_receiver() {
  PacketSource& source = *sources_[0];
  Receiver& receiver = *receivers_[0];
  Burst burst;
  burst.limit = settings_.burst;
  Backoff backoff(settings_.longest_sleep);
  while (!stop_.load(std::memory_order_relaxed)) {
    if (receiver.box.wanted()) tell_receiver(0);
    const SourceState state = source.receive(burst);
    if (state == SourceState::End) break;
    if (state == SourceState::Idle) {
      if (const auto clock = source.idle_clock()) {
        receiver.front.expire(*clock);
        steering_->pass_time(*clock);
      }
      receiver.meter.idle();
      steering_->release_done(source);
      backoff.wait();
      continue;
    }
    backoff.reset();
    receiver.meter.busy();
    prepare(burst, 0);
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      if (burst.packets[i].verdict != Verdict::Tcp) receiver.ledger.count(burst.packets[i]);
    }
    steering_->distribute(burst, source);
    steering_->release_done(source);
    receiver.front.release(steering_->released());
    while (receiver.front.crowded()) {
      backoff.wait();
      steering_->release_done(source);
      receiver.front.release(steering_->released());
    }
  }
  steering_->finish();
  while (steering_->release_done(source)) backoff.wait();
  end_input(receiver);
}

void Engine::run_steered(unsigned index) {
  Worker& worker = *workers_[index];
  Burst burst;
  burst.limit = settings_.burst;
  Backoff backoff(settings_.longest_sleep);
  for (;;) {
    EventKey progress;
    if (worker.box.wanted()) tell_worker(worker, index);
    const Steering::State state = steering_->receive(index, burst, progress);
    if (state == Steering::State::Packets) {
      backoff.reset();
      worker.meter.busy();
      worker.shard.prefetch(burst);
      worker.shard.track(burst);
      const Packet& last = burst.packets[burst.size - 1];
      steering_->done(index, last.clock, last.number);
      worker.consumer().on_watermark({last.clock, last.number, 0});
      continue;
    }
    if (progress.number > 0) {
      worker.shard.advance_clock(progress.clock);
      steering_->done(index, progress.clock, progress.number);
      worker.consumer().on_watermark(progress);
    }
    if (state == Steering::State::End) break;
    worker.meter.idle();
    backoff.wait();
  }
  worker.finish();
}

void Engine::run_writer() {
  std::vector<Exporter*> exporters;
  for (const auto& worker : workers_) exporters.push_back(worker->exporter.get());
  WriterInlet inlet(std::move(exporters));
  run_message_writer(inlet, *writer_, settings_.longest_sleep);
}

void Engine::start(Launcher& launcher) {
  const auto start = [&](Role role, unsigned index, auto body) {
    running_.fetch_add(1);
    launcher.launch(role, index, [this, body] {
      body();
      running_.fetch_sub(1);
    });
  };
  if (writer_ != nullptr) start(Role::Writer, 0, [this] { run_writer(); });
  for (unsigned i = 0; i < settings_.workers; ++i) {
    if (steering_ != nullptr) {
      start(Role::Worker, i, [this, i] { run_steered(i); });
    } else if (hand_over_ != nullptr) {
      start(Role::Worker, i, [this, i] { run_beside_others(i); });
    } else {
      start(Role::Worker, i, [this, i] { run_to_completion(i); });
    }
  }
  if (steering_ != nullptr) start(Role::Receive, 0, [this] { run_receiver(); });
}

void Engine::run(Launcher& launcher, std::chrono::milliseconds interval,
                 const std::function<void(const RunStatus&)>& tick) {
  try {
    start(launcher);
  } catch (...) {
    // Those that run cannot be ended without those that do not. In here who handles this sees why.
    std::terminate();
  }
  constexpr std::chrono::milliseconds kStep{5};
  auto next = std::chrono::steady_clock::now() + interval;
  RunStatus status;
  const auto look = [&] {
    try {
      gather(status);
    } catch (const std::bad_alloc&) {
      // The next look may find memory; the threads need none of it.
    }
  };
  look();
  while (running_.load() > 0) {
    std::this_thread::sleep_for(kStep);
    if (std::chrono::steady_clock::now() < next) continue;
    next += interval;
    look();
    tick(status);
  }
  launcher.join();
}

Ledger Engine::ledger() const {
  Ledger sum;
  for (const auto& worker : workers_) {
    sum += worker->shard.ledger();
  }
  for (const auto& receiver : receivers_) sum += receiver->ledger;
  const ShedCounts shed = this->shed();
  take_out(shed, sum);
  return sum;
}

ShedCounts Engine::shed() const {
  ShedCounts sum;
  for (const auto& worker : workers_) {
    if (worker->exporter != nullptr) sum += worker->exporter->shed();
  }
  return sum;
}

std::uint64_t Engine::counted_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->counting.bytes();
  return sum;
}

std::size_t Engine::reserved_bytes() const {
  std::size_t sum = 0;
  for (const auto& worker : workers_) {
    sum += worker->shard.reserved_bytes();
    if (worker->exporter != nullptr) sum += worker->exporter->reserved_bytes();
  }
  for (const auto& receiver : receivers_) sum += receiver->front.reserved_bytes();
  if (hand_over_ != nullptr) sum += hand_over_->reserved_bytes();
  return sum;
}

}  // namespace flowloom
