// flowloom bench: made traffic through the whole data path, no files and no NIC. Says how fast,
// how near to the floor (the same packets only received), and whether the result was exact.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <barrier>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench_feed.hpp"
#include "bench_report.hpp"
#include "bench_worker.hpp"
#include "commands.hpp"
#include "options.hpp"
#include "parse.hpp"
#include "perf/traffic/patterns.hpp"
#include "port_feed.hpp"
#include "session.hpp"

namespace flowloom {

namespace {

using traffic::TrafficConfig;
using traffic::TrafficKind;

constexpr std::uint32_t kMaxFlows = 100'000'000;
constexpr unsigned kMaxWorkers = 64;
constexpr double kMaxSeconds = 3600;
constexpr const char* kCopied = "copied";

struct BenchOptions {
  std::string traffic = "small";
  std::string source = "memory";
  std::string consume = "in-place";
  std::uint32_t flows = 100'000;
  std::uint32_t segment = traffic::kLargestSegment;
  unsigned workers = 1;
  double seconds = 2;
  bool json = false;
};

constexpr const char* kHelpFooter = R"(
Figures:
  gbps is TCP payload; wire_gbps is frames with FCS, preamble and gap. ns_per_packet is wall time
  of the timed parts per worker, cpu_ns_per_packet what its thread had of it. floor_ns_per_packet
  is the same packets received, first line of each read, and released. stages were measured on
  other packets of the same run.
  With --consume copied each worker has a writer thread. copy_floor_ns_per_packet is the same
  packets received and their payload copied into 1 MiB, again and again, nothing else;
  copy_floor_ratio is ns_per_packet divided by it. writer_waits are the times that workers waited
  for their writers, which is in ns_per_packet; writer_cpu_ns_per_packet is what a writer's thread
  took.
Exit status: 5 where not every byte of the traffic was delivered and received, or a pool is not
empty at the end.

Examples:
  flowloom bench                                    64-byte frames over 100,000 connections
  flowloom bench --traffic bulk --flows 1000 --json
  flowloom bench --traffic http --workers 2
  flowloom bench --traffic bulk --flows 1000 --consume copied
)";

template <std::size_t N>
std::vector<std::string> names(const std::array<std::string_view, N>& list) {
  return {list.begin(), list.end()};
}

bool has_large_frames(TrafficKind kind) {
  return kind != TrafficKind::Small && kind != TrafficKind::SynFlood;
}

/// Chunks of this size stay in the second-level cache beside the tables' hot part, as packets that
/// a NIC has just written do, but for the frames that are kept (PacketSource::keep_released()).
std::size_t chunk_packets(TrafficKind kind) {
  constexpr std::size_t kSmallFrames = 2048;
  constexpr std::size_t kLargeFrames = 256;
  return has_large_frames(kind) ? kLargeFrames : kSmallFrames;
}

/// Packet time between two packets: line rate of 10 Gb/s for small frames, of 100 Gb/s for large
/// ones. Connections of http need a round of all connections to take long enough that time-outs
/// find work, and short enough that set-up (4.5 packets each) and a round end within the shortest
/// of them, 10 s.
Duration packet_interval(TrafficKind kind, std::uint32_t flows) {
  constexpr Duration kRound = std::chrono::milliseconds{1500};
  if (kind == TrafficKind::Http) return std::max(kRound / flows, Duration{1});
  return std::chrono::nanoseconds{has_large_frames(kind) ? 123 : 67};
}

/// Connections in the table once it is in its steady state, and some to spare.
std::uint32_t table_capacity(const TrafficConfig& config, const ShardConfig& defaults) {
  constexpr std::uint64_t kSpareDivisor = 8;
  std::uint64_t live = config.flows;
  if (config.kind == TrafficKind::Http) {
    // Closed connections linger.
    live += static_cast<std::uint64_t>(defaults.closed_timeout / config.packet_interval) /
            traffic::HttpPattern::kSteps;
  }
  if (config.kind == TrafficKind::SynFlood) live += defaults.max_flows;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(live + live / kSpareDivisor + kBurstMax, 0x7fffffff));
}

/// Packets until every page in use was touched and every connection is past its first segments.
std::uint64_t warm_up_packets(const TrafficConfig& config, const ShardConfig& shard) {
  constexpr std::uint64_t kLaps = 2;
  switch (config.kind) {
    case TrafficKind::Http:
      return static_cast<std::uint64_t>(shard.closed_timeout / config.packet_interval) +
             kLaps * config.flows;
    case TrafficKind::SynFlood:
      return shard.max_flows + kLaps * config.flows * traffic::SynFloodPattern::kPeriod;
    case TrafficKind::Small:
      return kLaps * config.flows;
    case TrafficKind::Bulk:
    case TrafficKind::Reorder:
    case TrafficKind::Loss:
    case TrafficKind::Fragments:
      break;
  }
  constexpr std::uint64_t kGroupPackets = 3;
  return (kLaps + traffic::BulkPattern::kFirstLaps) * kGroupPackets * config.flows;
}

TrafficConfig traffic_of(const BenchOptions& options, unsigned worker) {
  TrafficConfig config;
  config.kind = *traffic::traffic_kind_from_name(options.traffic);
  config.flows = std::max(options.flows / options.workers, 1U);
  config.packet_interval = packet_interval(config.kind, config.flows);
  config.queue = static_cast<std::uint8_t>(worker);
  config.segment_bytes = options.segment;
  config.ahead_max = static_cast<std::uint32_t>(chunk_packets(config.kind));
  return config;
}

/// As of a run that writes packs.
ExporterConfig exporter_config(const BenchOptions& options, const ShardConfig& shard) {
  ExporterConfig config;
  config.max_flows = shard.max_flows;
  config.memory = EngineSettings{}.export_memory / options.workers;
  config.early_bytes = EarlyBytes::Bare;
  config.farewell = Farewell::Summary;
  return config;
}

BenchSettings settings_of(const BenchOptions& options, const TrafficConfig& config) {
  BenchSettings settings;
  settings.shard.max_flows = table_capacity(config, ShardConfig{});
  settings.shard.hold_first = HoldFirst::InFlood;
  settings.chunk_packets = chunk_packets(config.kind);
  settings.warm_up_packets = warm_up_packets(config, settings.shard);
  if (options.consume == kCopied) settings.exporter = exporter_config(options, settings.shard);
  settings.duration = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(options.seconds));
  return settings;
}

/// A CPU of its own for each thread; with more threads than CPUs they share.
void pin_to_cpu(unsigned thread) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  const auto count = static_cast<unsigned>(CPU_COUNT(&allowed));
  if (count == 0) return;
  unsigned skip = count - 1 - thread % count; // from the last: interrupts gather on the first
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one); // unpinned is only noisier
    return;
  }
}

/// Threads that stay where they are put: workers first, then writers.
class PinnedLauncher final : public Launcher {
 public:
  explicit PinnedLauncher(unsigned workers) : workers_(workers) {}

  void launch(Role role, unsigned index, std::function<void()> body) override {
    const unsigned thread = role == Role::Writer ? workers_ + index : index;
    threads_.emplace_back([thread, body = std::move(body)] {
      pin_to_cpu(thread);
      body();
    });
  }
  void join() override { threads_.clear(); }

 private:
  unsigned workers_;
  std::vector<std::jthread> threads_;
};

std::vector<BenchFigures> measure(const BenchOptions& options,
                                  const std::vector<std::unique_ptr<BenchFeed>>& feeds,
                                  Launcher& launcher) {
  std::vector<std::unique_ptr<BenchWorker>> workers;
  for (unsigned i = 0; i < options.workers; ++i) {
    workers.push_back(
        std::make_unique<BenchWorker>(*feeds[i], settings_of(options, traffic_of(options, i))));
  }
  std::barrier together(static_cast<std::ptrdiff_t>(options.workers));
  for (unsigned i = 0; i < options.workers; ++i) {
    BenchWriter* const writer = workers[i]->writer();
    if (writer != nullptr) launcher.launch(Role::Writer, i, [writer] { writer->run(); });
    launcher.launch(Role::Worker, i, [&, i] {
      workers[i]->set_up();
      together.arrive_and_wait();
      workers[i]->measure();
      together.arrive_and_wait(); // nobody's ending disturbs who still measures
      workers[i]->finish();
    });
  }
  launcher.join();
  std::vector<BenchFigures> figures;
  for (const auto& worker : workers) figures.push_back(worker->figures());
  return figures;
}

std::vector<BenchFigures> measure_memory(const BenchOptions& options) {
  std::vector<std::unique_ptr<BenchFeed>> feeds;
  for (unsigned i = 0; i < options.workers; ++i) {
    feeds.push_back(std::make_unique<MemoryFeed>(traffic_of(options, i)));
  }
  PinnedLauncher launcher(options.workers);
  return measure(options, feeds, launcher);
}

std::vector<BenchFigures> measure_port(const BenchOptions& options, BenchPort port) {
  BenchPorts ports(port, options.workers,
                   options.consume == kCopied ? WriterCore::Own : WriterCore::None);
  std::vector<std::unique_ptr<BenchFeed>> feeds;
  for (unsigned i = 0; i < options.workers; ++i) {
    feeds.push_back(ports.feed(i, traffic_of(options, i)));
  }
  return measure(options, feeds, ports.launcher());
}

std::vector<BenchFigures> measure_source(const BenchOptions& options) {
  if (options.source == "null") return measure_port(options, BenchPort::Null);
  if (options.source == "ring") return measure_port(options, BenchPort::Ring);
  return measure_memory(options);
}

ExitStatus run(const BenchOptions& options) {
  const std::vector<BenchFigures> figures = measure_source(options);
  print_report({options.traffic, options.source, options.consume, options.flows}, figures,
               options.json ? BenchFormat::Json : BenchFormat::Table);
  if (is_exact(figures)) return ExitStatus::Ok;
  say("not every byte of the traffic was delivered once, or something is left in the pools: these "
      "figures do not count");
  return ExitStatus::Unbalanced;
}

}  // namespace

int bench_command(std::span<char* const> arguments) {
  CLI::App app("Measures the data path with traffic made in memory.", "flowloom bench");
  BenchOptions options;
  app.add_option("--traffic", options.traffic, "What to make")
      ->check(CLI::IsMember(names(traffic::kTrafficNames)))
      ->capture_default_str();
  app.add_option("--flows", options.flows, "Live connections, of all workers together")
      ->check(CLI::Range(1U, kMaxFlows))
      ->capture_default_str();
  app.add_option("--segment", options.segment,
                 "Payload bytes of a segment of bulk, reorder, loss and fragments")
      ->check(CLI::Range(traffic::kSmallestSegment, traffic::kLargestSegment))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "Engine time to measure; set-up is not in it")
      ->check(CLI::Range(0.001, kMaxSeconds))
      ->capture_default_str();
  app.add_option("--workers", options.workers, "Threads, each with traffic of its own")
      ->check(CLI::Range(1U, kMaxWorkers))
      ->capture_default_str();
  app.add_option("--source", options.source,
                 "memory: frames in this process; ring: the same through DPDK's net_ring, a queue "
                 "for each worker; null: a net_null port, whose packets hold no TCP")
      ->check(CLI::IsMember({"memory", "null", "ring"}))
      ->capture_default_str();
  app.add_option("--consume", options.consume,
                 "in-place: bytes are counted where they are; copied: an exporter copies them, as "
                 "with a writer, for a thread that counts them")
      ->check(CLI::IsMember({"in-place", kCopied}))
      ->capture_default_str();
  app.add_flag("--json", options.json, "One JSON object instead of a table");
  app.footer(kHelpFooter);
  if (const auto status = parse(app, arguments)) return *status;
  return static_cast<int>(run(options));
}

}  // namespace flowloom
