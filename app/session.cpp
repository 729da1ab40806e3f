#include "session.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

#include "progress_bar.hpp"
#include "sinks/stats_file.hpp"

namespace flowloom {

namespace {

volatile sig_atomic_t interrupts = 0;

extern "C" void on_interrupt(int) {
  constexpr int kInterrupted = 130;
  interrupts = interrupts + 1;
  if (interrupts > 1) _exit(kInterrupted);
}

void set_signals() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A closed pipe and a file that may not grow are failed writes, reported as such.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

/// Hands the inlet's messages to the sinks and their memory back.
class SinkWriter final : public MessageWriter, MessageOwner {
 public:
  explicit SinkWriter(WriterPipeline& pipeline) : pipeline_(pipeline) {}
  void write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) override {
    inlet_ = &inlet;
    pipeline_.consume(messages, *this);
  }
  void idle() override { pipeline_.flush(); }
  void finish() override { pipeline_.finish(); }

 private:
  void give_back(std::span<StreamMessage* const> messages) override {
    for (StreamMessage* message : messages) inlet_->done(message);
  }
  WriterPipeline& pipeline_;
  WriterInlet* inlet_ = nullptr;
};

// Reassembled datagrams that were refused for their headers; a wrong TCP checksum is counted apart.
std::uint64_t datagrams_refused(const Ledger& ledger) {
  constexpr auto kNotRefused = std::to_array<Verdict>(
      {Verdict::Tcp, Verdict::Fragment, Verdict::Udp, Verdict::Icmp, Verdict::OtherProtocol,
       Verdict::NotIp, Verdict::Ipv6NoNext, Verdict::BadTcpChecksum});
  std::uint64_t count = 0;
  for (const std::uint64_t of_verdict : ledger.datagram_verdicts) count += of_verdict;
  for (const Verdict verdict : kNotRefused) {
    count -= ledger.datagram_verdicts[static_cast<std::size_t>(verdict)];
  }
  return count;
}

std::vector<NamedCount> named_counts(const Ledger& ledger) {
  const DefragmentCounters& d = ledger.datagrams;
  constexpr auto kBadChecksum = static_cast<std::size_t>(Verdict::BadTcpChecksum);
  std::vector<NamedCount> counts = {{"reassembled", d.reassembled}, {"expired", d.expired},
                                    {"evicted", d.evicted},         {"discarded", d.discarded},
                                    {"overlaps", d.overlaps},
                                    {"overlap_conflicts", d.overlap_conflicts},
                                    {"decided_by_checksum", d.decided_by_checksum},
                                    {"bad_checksum", ledger.datagram_verdicts[kBadChecksum]},
                                    {"refused", datagrams_refused(ledger)}};
  for (std::size_t i = 0; i < kFragmentRejectCount; ++i) {
    counts.push_back({std::string(kFragmentRejectNames[i]), d.rejected[i]});
  }
  return counts;
}

LedgerSnapshot snapshot_of(const Ledger& ledger) {
  LedgerSnapshot s;
  s.packets_received = ledger.received;
  s.verdicts = ledger.verdicts;
  s.payload_seen = ledger.tcp.payload_seen;
  s.fates = ledger.tcp.fates;
  s.datagrams = named_counts(ledger);
  s.connections_created = ledger.connections_created;
  s.connections_closed = ledger.connections_closed;
  for (std::size_t i = 0; i < kLimitNames.size(); ++i) {
    if (ledger.limits[i]) s.limits.emplace_back(kLimitNames[i]);
  }
  return s;
}

/// The workers' cores are busy; the others, at least the writer's own, do what is heavy.
HeavySettings heavy_settings(unsigned workers) {
  HeavySettings heavy;
  const unsigned cores = std::thread::hardware_concurrency();
  heavy.threads = cores > workers ? cores - workers : 1;
  return heavy;
}

ExitStatus worse(ExitStatus a, ExitStatus b) { return std::max(a, b); }

/// What a record tells is no failure; what is in no record is.
ExitStatus say_shed(const ShedCounts& shed) {
  if (!shed.any()) return ExitStatus::Ok;
  say(fmt::format("the writers were too slow: {} bytes were cut out of their streams, as the "
                  "records say; {} connections have no record; {} packets and {} probes are in no "
                  "output", shed.bytes, shed.records, shed.packets, shed.probes));
  return shed.records + shed.packets + shed.probes > 0 ? ExitStatus::WriterFailed : ExitStatus::Ok;
}

}  // namespace

void say(const std::string& sentence) {
  std::fputs(fmt::format("flowloom: {}\n", sentence).c_str(), stderr);
}

ExitStatus Session::prepare() {
  set_signals(); // before EAL starts: an interrupt that comes early ends the run in order, too
  if (const std::string wrong = check_options(options_); !wrong.empty()) {
    say(wrong);
    return ExitStatus::Usage;
  }
  settings_ = engine_settings(options_);
  if (!options_.filter.empty()) {
    filter_.emplace(options_.filter);
    if (filter_->error()) {
      say(fmt::format("filter '{}': {}", options_.filter, *filter_->error()));
      return ExitStatus::Usage;
    }
    settings_.filter = &*filter_;
  }
  SinkSettings sinks = sink_settings(options_);
  sinks.scan.seed = settings_.shard.seed;
  const auto folder_given = options_.out.empty() ? FolderGiven::No : FolderGiven::Yes;
  if (const std::string wrong = check_sinks(sinks, folder_given); !wrong.empty()) {
    say(wrong);
    return ExitStatus::Usage;
  }
  if (!options_.out.empty()) {
    folder_.emplace(options_.out,
                    options_.force ? ExistingFiles::Replace : ExistingFiles::Refuse);
    if (!folder_->valid()) {
      say(folder_->error());
      return folder_->is_taken() ? ExitStatus::Usage : ExitStatus::WriterFailed;
    }
    sinks.folder = &*folder_;
  }
  SinkSet set = make_sinks(sinks);
  if (!set.error.empty()) {
    say(set.error);
    return set.fault == SinkFault::Settings ? ExitStatus::Usage : ExitStatus::WriterFailed;
  }
  if (set.none) {
    settings_.output = Export::None;
    return ExitStatus::Ok;
  }
  for (const auto& sink : set.sinks) {
    if (sink->needs().probes) settings_.shard.probes = ReportProbes::Yes;
  }
  pipeline_.emplace(std::move(set.sinks), heavy_settings(settings_.workers));
  const SinkNeeds& needs = pipeline_->needs();
  settings_.output = needs.bytes ? Export::RecordsAndBytes : Export::RecordsOnly;
  settings_.packets = needs.packets;
  if (needs.packets != PacketsWanted::None) settings_.shard.packets = NotePackets::Yes;
  return ExitStatus::Ok;
}

ExitStatus Session::run(std::vector<PacketSource*> sources, Launcher& launcher,
                        const std::function<InputExtent()>& extent,
                        const std::function<std::vector<InputProblem>()>& problems) {
  std::optional<SinkWriter> writer;
  if (pipeline_) writer.emplace(*pipeline_);
  Engine engine(settings_, sources, writer ? &*writer : nullptr);
  if (options_.verbose) {
    say(fmt::format("{} worker(s), {:.1f} MiB reserved", settings_.workers,
                    static_cast<double>(engine.reserved_bytes()) / (1 << 20)));
  }
  ProgressBar bar(options_.quiet ? ProgressBar::When::Never : ProgressBar::When::OnTerminal);
  const auto start = std::chrono::steady_clock::now();
  constexpr std::chrono::milliseconds kTick{100};
  engine.run(launcher, kTick, [&](const Progress& progress) {
    if (interrupts > 0) stop_ ? stop_() : engine.stop();
    bar.show(progress, extent());
  });
  bar.clear();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return report(engine, sources, problems(), took.count());
}

ExitStatus Session::report(const Engine& engine, const std::vector<PacketSource*>& sources,
                           const std::vector<InputProblem>& problems, double seconds) {
  ExitStatus status = ExitStatus::Ok;
  for (const InputProblem& problem : problems) {
    say(problem.message);
    status = worse(status, problem.severity == ProblemSeverity::Unreadable
                               ? ExitStatus::InputUnreadable
                               : ExitStatus::InputDamaged);
  }
  const Ledger ledger = engine.ledger();
  LedgerSnapshot snapshot = snapshot_of(ledger);
  for (const PacketSource* source : sources) {
    const SourceStats stats = source->stats();
    snapshot.packets_missed += stats.missed;
    snapshot.bad_timestamps += stats.bad_timestamps;
    for (const InterfaceCount& input : stats.inputs) {
      snapshot.interfaces.push_back({input.name, input.received, input.missed});
    }
  }
  snapshot.shed = engine.shed();
  status = worse(status, say_shed(snapshot.shed));
  if (pipeline_) snapshot.writers = pipeline_->statuses();
  for (const WriterStatus& w : snapshot.writers) {
    const std::string loss = describe_loss(w);
    if (loss.empty()) continue;
    say(loss);
    status = worse(status, ExitStatus::WriterFailed);
  }
  if (!snapshot.limits.empty()) {
    say(fmt::format("limits were reached ({}): raise --max-flows or --memory for results that do "
                    "not depend on them",
                    fmt::join(snapshot.limits, ", ")));
  }
  std::string stats = options_.stats;
  if (stats.empty() && folder_) stats = folder_->path() + "/stats.json";
  if (!stats.empty()) {
    if (const std::string wrong = write_stats(snapshot, stats); !wrong.empty()) {
      say(wrong);
      status = worse(status, ExitStatus::WriterFailed);
    }
  }
  if (!options_.quiet) print_summary(snapshot, seconds);
  if (filter_ && options_.verbose && !filter_->unsupported().empty()) say(filter_->unsupported());
  if (!ledger.balances()) {
    say("the ledger does not balance: this is a defect of flowloom, please report it");
    status = ExitStatus::Unbalanced;
  }
  return status;
}

void Session::print_summary(const LedgerSnapshot& s, double seconds) const {
  const auto fate = [&](Fate f) { return s.fates[static_cast<std::size_t>(f)]; };
  const auto row = [](const char* name, const std::string& value) {
    std::fputs(fmt::format("{:<12}{}\n", name, value).c_str(), stderr);
  };
  std::string verdicts;
  for (std::size_t i = 0; i < s.verdicts.size(); ++i) {
    if (s.verdicts[i] == 0) continue;
    verdicts += fmt::format("{}{} {}", verdicts.empty() ? "" : ", ", s.verdicts[i],
                            kVerdictNames[i]);
  }
  row("packets", fmt::format("{} ({})", s.packets_received, verdicts.empty() ? "none" : verdicts));
  std::string closed;
  for (std::size_t i = 0; i < s.connections_closed.size(); ++i) {
    if (s.connections_closed[i] == 0) continue;
    closed += fmt::format("{}{} {}", closed.empty() ? "" : ", ", s.connections_closed[i],
                          kCloseReasonNames[i]);
  }
  row("connections",
      fmt::format("{} ({})", s.connections_created, closed.empty() ? "none" : closed));
  row("payload", fmt::format("{} bytes seen, {} delivered, {} repeated", s.payload_seen,
                             fate(Fate::Delivered), fate(Fate::Duplicate)));
  for (const WriterStatus& w : s.writers) {
    if (w.name == "alerts") row("alerts", fmt::format("{} (alerts.jsonl)", w.records));
  }
  for (const InterfaceStatus& i : s.interfaces) {
    row("interface", fmt::format("{}: {} packets, {} dropped", i.name, i.received, i.missed));
  }
  if (s.packets_missed > 0) row("missed", fmt::format("{} packets", s.packets_missed));
  row("time", fmt::format("{:.2f} s, {:.2f} Mpps", seconds,
                          static_cast<double>(s.packets_received) / 1e6 / std::max(seconds, 1e-9)));
  if (folder_) row("files", folder_->path());
}

}  // namespace flowloom
