#include "session.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <new>
#include <string_view>
#include <thread>

#include "base/memory.hpp"
#include "confined_launcher.hpp"
#include "host/nudges.hpp"
#include "host/service_notifier.hpp"
#include "host/signals.hpp"
#include "observe/summary.hpp"
#include "observers.hpp"
#include "run_end.hpp"
#include "sinks/descriptor.hpp"
#include "sinks/stats_file.hpp"
#include "sinks/text.hpp"
#include "sinks/write_patience.hpp"

namespace flowloom {

namespace {

/// The workers' cores are busy; the others, at least the writer's own, do what is heavy.
HeavySettings heavy_settings(unsigned workers) {
  HeavySettings heavy;
  const unsigned cores = std::thread::hardware_concurrency();
  heavy.threads = cores > workers ? cores - workers : 1;
  return heavy;
}

/// Captures of so many bytes are read within a second or two: memory that is touched for the first
/// time costs such a run more than huge pages and large tables save it (docs/performance.md).
constexpr std::uint64_t kShortInput = std::uint64_t{4} << 30;

ExitStatus worse(ExitStatus a, ExitStatus b) { return std::max(a, b); }

/// What a record tells is no failure; what is in no record is.
ExitStatus say_shed(const ShedCounts& shed) {
  if (!shed.any()) return ExitStatus::Ok;
  say(fmt::format("the writers were too slow: {} bytes were cut out of their streams, as the "
                  "records say; {} connections have no record; {} packets and {} probes are in no "
                  "output", shed.bytes, shed.records, shed.packets, shed.probes));
  return shed.records + shed.packets + shed.probes > 0 ? ExitStatus::WriterFailed : ExitStatus::Ok;
}

/// Whether a run goes on that must not be held up by who does not read its messages.
std::atomic<bool> packets_do_not_wait{false};

}  // namespace

void print_to_user(std::string_view text) {
  // Once it took nothing nobody waits for it again, until somebody reads.
  static std::atomic<bool> is_deaf{false};
  if (is_deaf.load() && !takes_now(STDERR_FILENO)) return;
  std::optional<Nudges> nudges;
  std::chrono::nanoseconds patience{};
  if (packets_do_not_wait.load()) {
    nudges.emplace().begin();
    patience = kEndPatience;
  }
  const WriteResult result = write_fully(STDERR_FILENO, text.data(), text.size(), patience);
  is_deaf.store(result.error == kStoodStill);
}

void say(const std::string& sentence) {
  print_to_user(fmt::format("flowloom: {}\n", sentence));
}

ExitStatus Session::check() {
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
  sinks_ = sink_settings(options_);
  sinks_.scan.seed = settings_.shard.seed;
  const auto folder_given = options_.out.empty() ? FolderGiven::No : FolderGiven::Yes;
  if (const std::string wrong = check_sinks(sinks_, folder_given); !wrong.empty()) {
    say(wrong);
    return ExitStatus::Usage;
  }
  return ExitStatus::Ok;
}

ExitStatus Session::prepare() {
  // Before EAL starts: an interrupt that comes early ends the run in order, too.
  handle_signals(options_.out.empty() ? OnHangup::End : OnHangup::Rotate);
  if (options_.pace == Pace::Live) packets_do_not_wait.store(true);
  if (const ExitStatus status = check(); status != ExitStatus::Ok) return status;
  if (!options_.out.empty()) {
    folder_.emplace(options_.out,
                    options_.force ? ExistingFiles::Replace : ExistingFiles::Refuse);
    if (!folder_->valid()) {
      say(folder_->error());
      return folder_->is_taken() ? ExitStatus::Usage : ExitStatus::WriterFailed;
    }
    sinks_.folder = &*folder_;
  }
  SinkSet set = make_sinks(sinks_);
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
  settings_.early_bytes = needs.early_bytes;
  if (needs.packets != PacketsWanted::None) settings_.shard.packets = NotePackets::Yes;
  return ExitStatus::Ok;
}

void Session::expect_input(std::uint64_t bytes) {
  if (bytes == 0 || bytes >= kShortInput) return;
  use_first_pages(FirstPages::Small);
  settings_.shard.table_growth = TableGrowth::ByNeed;
}

ExitStatus Session::run(std::vector<PacketSource*> sources, Launcher& launcher,
                        const std::function<InputExtent()>& extent,
                        const std::function<std::vector<InputProblem>()>& problems) {
  if (settings_.when_full == WhenFull::Shed) packets_do_not_wait.store(true);
  std::optional<SinkWriter> writer;
  if (pipeline_) writer.emplace(*pipeline_, sinks_.rotate, options_.pace);
  Engine engine(settings_, sources, writer ? &*writer : nullptr);
  if (options_.verbose) {
    say(fmt::format("{} worker(s), {:.1f} MiB reserved", settings_.workers,
                    static_cast<double>(engine.reserved_bytes()) / (1 << 20)));
  }
  ServiceNotifier service;
  if (const std::string wrong = give_up_privileges(); !wrong.empty()) {
    say(wrong);
    return ExitStatus::WriterFailed;
  }
  std::optional<ConfinedLauncher> confined;
  if (confinement_) confined.emplace(launcher, *confinement_);
  Observers observers(options_, {.writer = writer ? &*writer : nullptr,
                                 .folder = folder_ ? &*folder_ : nullptr,
                                 .board = &board_,
                                 .service = &service,
                                 .reserved_bytes = engine.reserved_bytes()});
  RunEnd end(writer ? &*writer : nullptr);
  constexpr std::chrono::milliseconds kTick{100};
  engine.run(confined ? *confined : launcher, kTick, [&](const RunStatus& status) {
    try {
      observers.look(status, extent());
    } catch (const std::bad_alloc&) {
      // Nothing is shown this time; the run itself needs no memory for that.
    }
    const bool is_asked = interrupts() > 0 || observers.terminal_is_gone();
    if (is_asked) stop_ ? stop_() : engine.stop();
    // A run that ends by itself has nobody at hand who would interrupt it: --duration, --packets.
    const bool is_over = status.input == InputState::Over && settings_.when_full == WhenFull::Shed;
    if (is_asked || is_over) end.hasten();
  });
  LedgerSnapshot ledger = final_ledger(engine, sources);
  observers.finish(ledger);
  const ExitStatus status = report(ledger, problems(), observers.elapsed().count());
  if (engine.ledger().balances()) return status;
  say("the ledger does not balance: this is a defect of flowloom, please report it");
  return ExitStatus::Unbalanced;
}

/// Everything that is written by name while the run goes on, or at its end.
std::vector<std::string> Session::writable_folders() const {
  std::vector<std::string> folders;
  if (folder_) folders.push_back(folder_->path());
  if (!options_.couchdb_spool.empty()) folders.push_back(options_.couchdb_spool);
  if (!options_.stats.empty() && options_.stats != "-") {
    folders.push_back(std::filesystem::absolute(options_.stats).parent_path());
  }
  return folders;
}

/// Gives the user what he is going to write to; one sentence where that fails.
std::string Session::hand_over(const HostUser& user) const {
  if (options_.user.empty() || geteuid() != 0) return "";
  const auto failed = [&](const std::string& path, int error) {
    return fmt::format("{} cannot be given to the user {}: {}", path, options_.user,
                       describe_errno(error));
  };
  if (folder_) {
    if (const int error = folder_->give_to(user.uid, user.gid); error != 0) {
      return failed(folder_->path(), error);
    }
  }
  const std::string& spool = options_.couchdb_spool;
  if (options_.write.find("couchdb") != std::string::npos && !spool.empty() &&
      chown(spool.c_str(), user.uid, user.gid) != 0) {
    return failed(spool, errno);
  }
  return "";
}

/// After everything is open, before anything hostile is looked at. One sentence where it fails.
std::string Session::give_up_privileges() {
  if (options_.user.empty() && !options_.sandbox) return "";
  HostUser user;
  if (!options_.user.empty()) (void)find_user(options_.user, user);  // check_options() has seen it
  if (std::string wrong = hand_over(user); !wrong.empty()) return wrong;
  // A server is found by files that may be anywhere; a recording may be anywhere itself.
  const bool everything =
      options_.pace == Pace::Stored || options_.write.find("couchdb") != std::string::npos;
  confinement_.emplace(writable_folders(),
                       everything ? Reading::Everything : Reading::SystemAndOwn);
  if (!confinement_->keeps_to_folders()) {
    say("this kernel has no Landlock: the run is not kept to its output folder");
  }
  int error = options_.user.empty() ? 0 : Confinement::become(user);
  if (error == 0) error = confinement_->confine_thread();
  return error == 0 ? "" : fmt::format("privileges cannot be given up: {}", describe_errno(error));
}

LedgerSnapshot Session::final_ledger(const Engine& engine,
                                     const std::vector<PacketSource*>& sources) const {
  SourceStats stats;
  for (const PacketSource* source : sources) stats += source->stats();
  LedgerSnapshot snapshot = snapshot_of(engine.ledger(), stats, engine.shed());
  if (pipeline_) snapshot.writers = pipeline_->statuses();
  return snapshot;
}

ExitStatus Session::report(const LedgerSnapshot& snapshot,
                           const std::vector<InputProblem>& problems, double seconds) const {
  ExitStatus status = ExitStatus::Ok;
  for (const InputProblem& problem : problems) {
    say(problem.message);
    status = worse(status, problem.severity == ProblemSeverity::Unreadable
                               ? ExitStatus::InputUnreadable
                               : ExitStatus::InputDamaged);
  }
  status = worse(status, say_shed(snapshot.shed));
  for (const WriterStatus& w : snapshot.writers) {
    if (!w.rotation_error.empty()) {
      say(fmt::format("the file of the writer {} could not be begun anew: {}; nothing is lost",
                      w.name, w.rotation_error));
    }
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
  if (!options_.quiet) {
    print_to_user(format_summary(snapshot, seconds));
    if (folder_) print_to_user(fmt::format("{:<12}{}\n", "files", folder_->path()));
  }
  if (filter_ && options_.verbose && !filter_->unsupported().empty()) say(filter_->unsupported());
  return status;
}

}  // namespace flowloom
