// What steering costs the RX thread: bursts of parsed packets spread over workers' rings, and the
// release of what they are done with. The workers do nothing but take.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/backoff.hpp"
#include "base/hash.hpp"
#include "runtime/steering.hpp"

namespace flowloom {
namespace {

/// Only counts what comes back.
class Frames final : public PacketSource {
 public:
  SourceState receive(Burst&) override { return SourceState::End; }
  void release(Burst& burst) override { released += burst.size; }
  [[nodiscard]] SourceStats stats() const override { return {}; }
  std::uint64_t released = 0;
};

void take_all(Steering& steering, unsigned worker) {
  Burst burst;
  EventKey progress{};
  Backoff backoff;
  while (true) {
    const Steering::State state = steering.receive(worker, burst, progress);
    if (state == Steering::State::Packets) {
      backoff.reset();
      const Packet& last = burst.packets[burst.size - 1];
      benchmark::DoNotOptimize(last.flow_hash);
      steering.done(worker, last.clock, last.number);
      continue;
    }
    steering.done(worker, progress.clock, progress.number);
    if (state == Steering::State::End) return;
    backoff.wait();
  }
}

void bm_distribute(benchmark::State& state) {
  const auto workers = static_cast<unsigned>(state.range(0));
  Steering steering(workers);
  Frames frames;
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < workers; ++i) {
    threads.emplace_back([&steering, i] { take_all(steering, i); });
  }
  Burst burst;
  burst.size = kBurstMax;
  std::uint64_t number = 0;
  for (auto _ : state) {
    for (Packet& packet : burst.packets) {
      packet.number = ++number;
      packet.flow_hash = mix(number, 0x9e3779b97f4a7c15);
      packet.clock = from_nanoseconds(static_cast<std::int64_t>(number));
      packet.verdict = Verdict::Tcp;
    }
    steering.distribute(burst, frames);
    steering.release_done(frames);
  }
  steering.finish();
  while (steering.release_done(frames)) std::this_thread::yield();
  if (frames.released != number) state.SkipWithError("a frame was not released");
  state.SetItemsProcessed(static_cast<std::int64_t>(number));
  state.counters["ns_per_packet"] = benchmark::Counter(
      static_cast<double>(number) / 1e9,
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(bm_distribute)->Arg(1)->Arg(2);

}  // namespace
}  // namespace flowloom

BENCHMARK_MAIN();
