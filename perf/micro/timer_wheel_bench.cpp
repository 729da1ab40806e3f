// The timer wheel with a million objects: filing them, letting time pass while they live on (their
// deadlines move, nothing touches the wheel), firing them, and what a packet pays when nothing is
// due.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/timer_wheel.hpp"

namespace flowloom {
namespace {

constexpr Timestamp kStart = from_nanoseconds(1'700'000'000'000'000'000);
constexpr Duration kSpread = std::chrono::seconds{60};
constexpr Duration kStep = std::chrono::milliseconds{1};

struct Deadlines {
  std::vector<Timestamp> of;
  std::uint64_t expired = 0;
  Timestamp last = kTimeMin;
  bool in_order = true;

  Timestamp deadline(std::uint32_t index) const { return of[index]; }
  std::uint64_t rank(std::uint32_t index) const { return index; }
  void prefetch(std::uint32_t index) const { __builtin_prefetch(&of[index]); }
  static void expect(std::uint32_t) {}
  void expire(std::uint32_t, Timestamp deadline) {
    in_order = in_order && last <= deadline;
    last = deadline;
    ++expired;
  }
};

/// Objects whose deadlines lie anywhere within kSpread.
class Fixture {
 public:
  explicit Fixture(std::uint32_t objects) : wheel_(objects) {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
    deadlines_.of.resize(objects);
    for (std::uint32_t i = 0; i < objects; ++i) {
      const auto share = static_cast<std::int64_t>((i * kOdd) >> 40); // 24 bits
      deadlines_.of[i] = kStart + kStep * 20 + Duration{kSpread.count() / (1 << 24) * share};
    }
    wheel_.advance(kStart, deadlines_);
  }

  void arm_all() {
    for (std::uint32_t i = 0; i < deadlines_.of.size(); ++i) wheel_.arm(i, deadlines_.of[i]);
  }
  /// Every object is heard of: it lives for another round.
  void postpone_all() {
    for (Timestamp& t : deadlines_.of) t += kSpread + kStep * 40;
  }
  void pass_round() {
    for (Timestamp t = kStart; t < kStart + kSpread + kStep * 40; t += kStep) {
      wheel_.advance(t, deadlines_);
    }
  }
  void drain() { wheel_.drain(deadlines_); }
  [[nodiscard]] bool all_fired() const {
    return deadlines_.in_order && deadlines_.expired == deadlines_.of.size();
  }
  [[nodiscard]] bool none_fired() const { return deadlines_.expired == 0; }
  [[nodiscard]] TimerWheel& wheel() { return wheel_; }
  [[nodiscard]] Deadlines& deadlines() { return deadlines_; }

 private:
  TimerWheel wheel_;
  Deadlines deadlines_;
};

/// Times `work` on a fresh fixture per iteration; set-up and `check` are not in the figure.
template <class Prepare, class Work, class Check>
void run(benchmark::State& state, Prepare prepare, Work work, Check check) {
  for (auto _ : state) {
    state.PauseTiming();
    auto fixture = std::make_unique<Fixture>(static_cast<std::uint32_t>(state.range(0)));
    prepare(*fixture);
    state.ResumeTiming();
    work(*fixture);
    state.PauseTiming();
    if (!check(*fixture)) state.SkipWithError("what fired is not what was due");
    fixture.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void bm_arm(benchmark::State& state) {
  run(
      state, [](Fixture&) {}, [](Fixture& f) { f.arm_all(); },
      [](Fixture& f) {
        f.drain();
        return f.all_fired();
      });
}

/// Filing again what lives on is all that a connection costs per round of the wheel.
void bm_rearm_lazily(benchmark::State& state) {
  run(
      state,
      [](Fixture& f) {
        f.arm_all();
        f.postpone_all();
      },
      [](Fixture& f) { f.pass_round(); },
      [](Fixture& f) {
        if (!f.none_fired()) return false;
        f.drain();
        return f.all_fired();
      });
}

void bm_fire(benchmark::State& state) {
  run(
      state, [](Fixture& f) { f.arm_all(); }, [](Fixture& f) { f.pass_round(); },
      [](Fixture& f) { return f.all_fired(); });
}

BENCHMARK(bm_arm)->Arg(1'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(bm_rearm_lazily)->Arg(1'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(bm_fire)->Arg(1'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

/// A packet every 67 ns while a million objects wait for far later: the look at next_due(), and
/// the tick now and then.
void bm_packets_pass(benchmark::State& state) {
  constexpr Duration kPacketInterval = std::chrono::nanoseconds{67};
  Fixture f(static_cast<std::uint32_t>(state.range(0)));
  for (Timestamp& t : f.deadlines().of) t = kTimeMax;
  f.arm_all();
  Timestamp now = kStart;
  std::uint64_t ticks = 0;
  for (auto _ : state) {
    now += kPacketInterval;
    if (now < f.wheel().next_due()) continue;
    f.wheel().advance(now, f.deadlines());
    ++ticks;
  }
  if (!f.none_fired()) state.SkipWithError("something fired");
  state.counters["ticks"] = static_cast<double>(ticks);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(bm_packets_pass)->Arg(1'000'000);

}  // namespace
}  // namespace flowloom

BENCHMARK_MAIN();
