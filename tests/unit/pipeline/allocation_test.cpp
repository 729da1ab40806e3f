// Nothing is allocated on the path: `operator new` is counted, and after a first lap over the
// traffic it must not be called again. Its own executable, because it replaces operator new.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <random>
#include <vector>

#include "net/packet_clock_rule.hpp"
#include "pipeline/front.hpp"
#include "pipeline/shard.hpp"
#include "stream/counting_consumer.hpp"
#include "support/random_conversations.hpp"
#include "support/shard_runner.hpp"

namespace {
std::atomic<std::uint64_t> g_allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted(bytes, alignof(std::max_align_t));
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted(bytes, alignof(std::max_align_t));
}
void* operator new[](std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace flowloom::test {
namespace {

/// Everything the path knows: reordering, loss, repetition, refused SYNs, resets, time-outs.
std::vector<Frame> mixed_frames() {
  std::mt19937_64 random(3);
  const TrafficShape shape = {.loss_percent = 5, .acks = TrafficShape::Acks::OfWhatWasSent};
  std::vector<Conversation> conversations = make_conversations(300, shape, random);
  Conversation scan;
  for (std::uint16_t port = 2000; port < 4000; ++port) {
    scan.frames.push_back(PacketBuilder()
                              .from(endpoint4(7, port))
                              .to(endpoint4(8, 22))
                              .flags(port % 2 == 0 ? "S" : "R")
                              .seq(port)
                              .vlan(static_cast<std::uint16_t>(port % 5))
                              .build(Timestamp{}));
  }
  conversations.push_back(std::move(scan));
  return interleaved(conversations, std::chrono::milliseconds{5}, random);
}

class Lap {
 public:
  explicit Lap(const std::vector<Frame>& frames) : frames_(frames) {}

  /// All frames once more, later than before.
  void run(Shard& shard) {
    const Duration shift = (frames_.back().stamp - frames_.front().stamp) * lap_++;
    for (const Frame& frame : frames_) {
      Packet& packet = burst_.packets[burst_.size++];
      packet = Packet{};
      packet.frame = frame.bytes.data();
      packet.stamp = packet.clock = frame.stamp + shift;
      packet.number = ++number_;
      packet.captured = packet.wire_length = static_cast<std::uint32_t>(frame.bytes.size());
      packet.link = LinkType::Ethernet;
      packet.verdict = Verdict::Tcp;
      if (burst_.size < burst_.limit) continue;
      front_.run(burst_);
      shard.track(burst_);
      front_.release(number_);
      burst_.size = 0;
    }
  }

 private:
  const std::vector<Frame>& frames_;
  Front front_{FrontSettings{}};
  Burst burst_;
  std::uint64_t number_ = 0;
  int lap_ = 0;
};

TEST(Allocations, TheCounterCounts) {
  const std::uint64_t before = g_allocations.load();
  delete new int;
  EXPECT_EQ(g_allocations.load(), before + 1);
}

TEST(Allocations, NoneAfterTheFirstLap) {
  const std::vector<Frame> frames = mixed_frames();
  ShardConfig config = small_config();
  config.max_flows = 1000; // fewer than there are: eviction is on the path too
  CountingConsumer consumer;
  Shard shard(config, consumer);
  Lap lap(frames);
  lap.run(shard);
  const std::uint64_t before = g_allocations.load();
  for (int i = 0; i < 3; ++i) lap.run(shard);
  shard.finish();
  EXPECT_EQ(g_allocations.load(), before);
  EXPECT_TRUE(shard.ledger().balances());
  EXPECT_GT(consumer.bytes(), 1'000'000u);
  EXPECT_TRUE(shard.memory_in_use() == Shard::MemoryInUse{});
}

}  // namespace
}  // namespace flowloom::test
