// Which connections a shard reports as probes, when, and that reports keep the total order.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "pipeline/probe_watch.hpp"
#include "support/shard_runner.hpp"

namespace flowloom::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Timestamp kStart{seconds{1'000'000}};
constexpr std::uint16_t kFirstPort = 30000;

/// Remembers probes, and holds every event to the order of its key.
class ProbeConsumer final : public StreamConsumer {
 public:
  struct Told {
    std::uint64_t first_packet;
    Timestamp at;
    Probe probe;
    Endpoint sender;
    friend bool operator==(const Told& a, const Told& b) {
      return a.first_packet == b.first_packet && a.at == b.at && a.probe.kind == b.probe.kind &&
             a.probe.answer == b.probe.answer && a.sender == b.sender;
    }
  };

  void on_data(const EventKey& key, const ConnectionView&, ConsumerSlot&, Direction, StreamOffset,
               ByteView) override {
    note(key);
  }
  void on_probe(const EventKey& key, const ConnectionView& view, const Probe& probe) override {
    note(key);
    ConnectionRecord record;
    view.describe(record);
    told.push_back({record.first_packet, key.clock, probe, record.side(probe.sender).endpoint});
  }
  void on_close(const EventKey& key, const ConnectionView&, ConsumerSlot&) override { note(key); }

  std::vector<Told> told;

 private:
  void note(const EventKey& key) {
    EXPECT_LT(last_, key);
    last_ = key;
  }
  EventKey last_;
};

ShardConfig config(Duration syn_timeout = seconds{10}) {
  ShardConfig config = small_config();
  config.max_flows = 4096;
  config.syn_timeout = syn_timeout;
  config.probes = ReportProbes::Yes;
  return config;
}

PacketBuilder syn(unsigned n) {
  return PacketBuilder()
      .from(endpoint4(1, static_cast<std::uint16_t>(kFirstPort + n)))
      .flags("S")
      .seq(n);
}

PacketBuilder refusal(unsigned n) {
  return PacketBuilder()
      .from(endpoint4(2, 80))
      .to(endpoint4(1, static_cast<std::uint16_t>(kFirstPort + n)))
      .flags("R.")
      .ack(n + 1);
}

TEST(Probes, JudgedTwoSecondsAfterTheFirstPacket) {
  ProbeConsumer consumer;
  ShardRunner runner(config(), consumer);
  runner.feed(syn(1).build(kStart));
  runner.feed(syn(2).build(kStart + milliseconds{100}));
  runner.feed(refusal(2).build(kStart + milliseconds{110}));
  const Timestamp due = ProbeWatch::due_time(kStart);
  EXPECT_GT(due, kStart + seconds{2} - milliseconds{10});
  EXPECT_LT(due, kStart + seconds{2} + milliseconds{20});
  runner.advance_clock(due - Duration{1});
  EXPECT_TRUE(consumer.told.empty());
  runner.advance_clock(due);
  ASSERT_EQ(consumer.told.size(), 1U);
  EXPECT_EQ(consumer.told[0].probe.answer, ProbeAnswer::Silence);
  EXPECT_EQ(consumer.told[0].sender, endpoint4(1, kFirstPort + 1));
  runner.finish();
  ASSERT_EQ(consumer.told.size(), 2U);
  EXPECT_EQ(consumer.told[1].probe.answer, ProbeAnswer::Refused);
}

TEST(Probes, NothingAfterItsTimeCounts) {
  ProbeConsumer consumer;
  ShardRunner runner(config(), consumer);
  const Timestamp due = ProbeWatch::due_time(kStart);
  runner.feed(syn(1).build(kStart));
  runner.feed(refusal(1).build(due - Duration{1}));
  runner.feed(syn(2).build(due));
  runner.feed(refusal(2).build(ProbeWatch::due_time(due)));
  runner.finish();
  ASSERT_EQ(consumer.told.size(), 2U);
  EXPECT_EQ(consumer.told[0].probe.answer, ProbeAnswer::Refused);
  EXPECT_EQ(consumer.told[1].probe.answer, ProbeAnswer::Silence);
}

TEST(Probes, AConnectionThatEndsEarlierIsJudgedThen) {
  ProbeConsumer consumer;
  ShardRunner runner(config(milliseconds{100}), consumer);
  runner.feed(syn(1).build(kStart));
  runner.advance_clock(kStart + milliseconds{100});
  ASSERT_EQ(consumer.told.size(), 1U);
  EXPECT_EQ(consumer.told[0].at, kStart + milliseconds{100});
  runner.finish();
  EXPECT_EQ(consumer.told.size(), 1U) << "once";
}

TEST(Probes, ABareAckOfAServerIsNotWatched) {
  ProbeConsumer consumer;
  ShardRunner runner(config(), consumer);
  runner.feed(PacketBuilder().from(endpoint4(2, 80)).to(endpoint4(1, 40000)).build(kStart));
  runner.feed(PacketBuilder().from(endpoint4(1, 40001)).to(endpoint4(2, 80)).build(kStart));
  runner.finish();
  ASSERT_EQ(consumer.told.size(), 1U);
  EXPECT_EQ(consumer.told[0].probe.kind, ScanKind::Ack);
  EXPECT_EQ(consumer.told[0].sender, endpoint4(1, 40001));
}

TEST(Probes, NothingIsToldUnlessAskedFor) {
  ShardConfig silent = config();
  silent.probes = ReportProbes::No;
  ProbeConsumer consumer;
  ShardRunner runner(silent, consumer);
  runner.feed(syn(1).build(kStart));
  runner.finish();
  EXPECT_TRUE(consumer.told.empty());
}

std::vector<ProbeConsumer::Told> run_random(unsigned seed, std::uint32_t burst) {
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random()) % n; };
  ProbeConsumer consumer;
  ShardRunner runner(config(milliseconds{300 + below(4000)}), consumer, burst);
  Timestamp now = kStart;
  for (unsigned i = 0; i < 3000; ++i) {
    now += milliseconds{below(100) == 0 ? below(3000) : below(12)};
    const unsigned n = below(600);
    switch (below(4)) {
      case 0:
        runner.feed(refusal(n).build(now));
        break;
      case 1:
        runner.feed(syn(n).flags("F").build(now));
        break;
      default:
        runner.feed(syn(n).build(now));
        break;
    }
  }
  runner.finish();
  return consumer.told;
}

TEST(Probes, TheSameForAnyBurst) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const auto expected = run_random(seed, kBurstMax);
    EXPECT_GT(expected.size(), 300U);
    EXPECT_TRUE(run_random(seed, 1) == expected) << seed;
    EXPECT_TRUE(run_random(seed, 7) == expected) << seed;
  }
}

}  // namespace
}  // namespace flowloom::test
