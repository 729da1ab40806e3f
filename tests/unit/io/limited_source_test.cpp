// A run's limits, shared by sources on several threads.
#include "io/limited_source.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "io/memory_source.hpp"

namespace flowloom {
namespace {

using namespace std::chrono_literals;

std::vector<MemoryFrame> frames(std::size_t count) {
  return std::vector<MemoryFrame>(count, MemoryFrame{.stamp = from_nanoseconds(1), .bytes = {0}});
}

/// Empty every second time, as live inputs are.
class HaltingSource final : public PacketSource {
 public:
  explicit HaltingSource(PacketSource& inner) : inner_(inner) {}
  SourceState receive(Burst& burst) override {
    burst.size = 0;
    return calls_++ % 2 == 0 ? SourceState::Idle : inner_.receive(burst);
  }
  void release(Burst& burst) override { inner_.release(burst); }
  [[nodiscard]] SourceStats stats() const override { return inner_.stats(); }

 private:
  PacketSource& inner_;
  unsigned calls_ = 0;
};

std::uint64_t drain(PacketSource& source) {
  Burst burst;
  std::uint64_t sum = 0;
  while (source.receive(burst) != SourceState::End) {
    sum += burst.size;
    source.release(burst);
  }
  return sum;
}

TEST(LimitedSource, EndsAtTheNumberOfPackets) {
  MemorySource packets(frames(1000));
  RunLimits limits(100, 0ns);
  LimitedSource source(packets, limits);
  Burst burst;
  burst.limit = 7;
  ASSERT_EQ(SourceState::Packets, source.receive(burst));
  EXPECT_EQ(7U, burst.size);
  EXPECT_EQ(7U, burst.limit);
  EXPECT_EQ(93U, drain(source));
}

TEST(LimitedSource, LeavesAShorterInputAlone) {
  MemorySource packets(frames(50));
  RunLimits limits(100, 0ns);
  LimitedSource source(packets, limits);
  EXPECT_EQ(50U, drain(source));
}

TEST(LimitedSource, NoLimitsAreNone) {
  MemorySource packets(frames(5000));
  RunLimits limits(0, 0ns);
  LimitedSource source(packets, limits);
  EXPECT_EQ(5000U, drain(source));
}

TEST(LimitedSource, EndsWhenItsTimeIsOver) {
  MemorySource packets(frames(0));
  RunLimits limits(0, 1ns);
  LimitedSource source(packets, limits);
  std::this_thread::sleep_for(1ms);
  Burst burst;
  EXPECT_EQ(SourceState::End, source.receive(burst));
}

TEST(LimitedSource, SeveralSourcesShareOneLimitExactly) {
  constexpr std::uint64_t kLimit = 20'000;
  RunLimits limits(kLimit, 0ns);
  std::vector<std::uint64_t> sums(3);
  std::vector<std::thread> threads;
  for (auto& sum : sums) {
    threads.emplace_back([&sum, &limits] {
      MemorySource packets(frames(10'007));
      HaltingSource halting(packets);
      LimitedSource source(halting, limits);
      sum = drain(source);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(kLimit, sums[0] + sums[1] + sums[2]);
}

}  // namespace
}  // namespace flowloom
