// The whole data path: frames in memory, Front, Shard, a consumer that counts; without reading
// and without writing. Making the frames stands outside the timed part. `flowloom bench` measures
// the same with its floor and its stages; this one is for comparing two builds.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <tuple>

#include "perf/traffic/traffic_source.hpp"
#include "pipeline/front.hpp"
#include "pipeline/shard.hpp"
#include "stream/counting_consumer.hpp"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;
using traffic::TrafficConfig;
using traffic::TrafficKind;
using traffic::TrafficSource;

ShardConfig shard_config(std::uint32_t flows) {
  ShardConfig config;
  config.max_flows = flows + flows / 8 + kBurstMax;
  return config;
}

/// A shard with the traffic that it follows, past handshakes and first segments.
class Pipeline {
 public:
  explicit Pipeline(const TrafficConfig& config)
      : source_(config), shard_(shard_config(config.flows), consumer_) {
    constexpr std::uint64_t kLaps = 6; // bulk makes three packets per connection and lap
    const std::uint64_t warm_up = source_.setup_packets() + kLaps * config.flows;
    while (shard_.ledger().received < warm_up) {
      source_.receive(burst_);
      handle_burst();
    }
  }

  /// Seconds for the next `packets`.
  double run(std::size_t packets) {
    std::size_t left = source_.prepare(packets);
    const auto start = Clock::now();
    while (left > 0) {
      source_.receive(burst_);
      left -= burst_.size;
      handle_burst();
    }
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  /// Whether everything that was made was delivered, and the books balance.
  bool finish() {
    source_.end();
    while (source_.receive(burst_) == SourceState::Packets) handle_burst();
    shard_.finish();
    const traffic::TrafficTruth& truth = source_.truth();
    return shard_.ledger().balances() &&
           consumer_.bytes() == truth.payload_bytes - truth.duplicate_bytes &&
           shard_.ledger().connections_created == truth.connections;
  }

 private:
  void handle_burst() {
    for (std::uint32_t i = 0; i < burst_.size; ++i) burst_.packets[i].verdict = Verdict::Tcp;
    front_.run(burst_);
    shard_.prefetch(burst_);
    shard_.track(burst_);
    front_.release(burst_.packets[burst_.size - 1].number);
    source_.release(burst_);
  }

  TrafficSource source_;
  CountingConsumer consumer_;
  Shard shard_;
  Burst burst_;
  Front front_{FrontSettings{}};
};

void bm_pipeline(benchmark::State& state, TrafficKind kind, std::size_t chunk) {
  TrafficConfig config;
  config.kind = kind;
  config.flows = static_cast<std::uint32_t>(state.range(0));
  Pipeline pipeline(config);
  for (auto _ : state) state.SetIterationTime(pipeline.run(chunk));
  if (!pipeline.finish()) state.SkipWithError("not everything was delivered once");
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(chunk));
}

// Chunks stay in the second-level cache, as what a NIC has just written does.
constexpr std::size_t kSmallChunk = 2048;
constexpr std::size_t kLargeChunk = 256;
void bm_small(benchmark::State& state) { bm_pipeline(state, TrafficKind::Small, kSmallChunk); }
void bm_bulk(benchmark::State& state) { bm_pipeline(state, TrafficKind::Bulk, kLargeChunk); }
void bm_reorder(benchmark::State& state) {
  bm_pipeline(state, TrafficKind::Reorder, kLargeChunk);
}
BENCHMARK(bm_small)->Arg(1'000)->Arg(100'000)->Arg(1'000'000)->UseManualTime();
BENCHMARK(bm_bulk)->Arg(1'000)->Arg(100'000)->Arg(1'000'000)->UseManualTime();
BENCHMARK(bm_reorder)->Arg(1'000)->UseManualTime();

}  // namespace
}  // namespace flowloom

BENCHMARK_MAIN();
