// Two receiving workers on the queues of a net_ring port, fed in lock-step from one capture that is
// dealt out so that directions, fragments and tunnels arrive at the wrong one: every connection
// comes to what it comes to with one queue.
#include <gtest/gtest.h>
#include <rte_dev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "eal_fixture.hpp"
#include "support/dealt_capture.hpp"

namespace flowloom::test {
namespace {

constexpr unsigned kQueues = 2;
constexpr unsigned kRingSize = 64;
constexpr unsigned kMbufs = 63;

/// Stamps packets as they stand in the capture, as hardware might. Nothing else is its own.
class StampedSource final : public PacketSource {
 public:
  StampedSource(EthdevSettings settings, std::vector<Timestamp> stamps)
      : inner_(std::move(settings)), stamps_(std::move(stamps)) {}
  SourceState receive(Burst& burst) override {
    const SourceState state = inner_.receive(burst);
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      burst.packets[i].stamp = burst.packets[i].clock = stamps_.at(next_++);
    }
    return state;
  }
  void release(Burst& burst) override { inner_.release(burst); }
  [[nodiscard]] SourceStats stats() const override { return inner_.stats(); }

 private:
  EthdevSource inner_;
  std::vector<Timestamp> stamps_;
  std::size_t next_ = 0;
};

/// Counts connections that have ended, for another thread.
class CloseMeter final : public MessageWriter {
 public:
  CloseMeter(MessageWriter& inner, std::atomic<std::size_t>& closes)
      : inner_(inner), closes_(closes) {}
  void write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) override {
    for (const StreamMessage* message : messages) {
      if (message->kind == StreamMessage::Kind::Close) ++closes_;
    }
    inner_.write(messages, inlet);
  }
  void idle() override { inner_.idle(); }
  void finish() override { inner_.finish(); }

 private:
  MessageWriter& inner_;
  std::atomic<std::size_t>& closes_;
};

class RingHandOver : public ::testing::Test {
 protected:
  void SetUp() override {
    flowloom::testing::shared_eal();
    pool_ = rte_pktmbuf_pool_create("hand_over_test", kMbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
    ASSERT_NE(pool_, nullptr);
    for (std::size_t i = 0; i < kQueues; ++i) {
      rings_[i] = rte_ring_create(("hand_over_ring" + std::to_string(i)).c_str(), kRingSize, -1,
                                  RING_F_SP_ENQ | RING_F_SC_DEQ);
      ASSERT_NE(rings_[i], nullptr);
    }
    const int port = rte_eth_from_rings("hand_over_test", rings_.data(), kQueues, rings_.data(), 1,
                                        0);
    ASSERT_GE(port, 0) << Eal::recent_log();
    port_ = static_cast<std::uint16_t>(port);
    const rte_eth_conf conf{};
    ASSERT_EQ(rte_eth_dev_configure(port_, kQueues, 0, &conf), 0);
    for (std::uint16_t q = 0; q < kQueues; ++q) {
      ASSERT_EQ(rte_eth_rx_queue_setup(port_, q, kRingSize, 0, nullptr, pool_), 0);
    }
    ASSERT_EQ(rte_eth_dev_start(port_), 0);
  }
  void TearDown() override {
    rte_eth_dev_stop(port_);
    rte_eth_dev_close(port_);
    rte_eal_hotplug_remove("vdev", "net_ring_hand_over_test");
    for (rte_ring* ring : rings_) rte_ring_free(ring);
    EXPECT_EQ(rte_mempool_avail_count(pool_), kMbufs) << "frames were lost";
    rte_mempool_free(pool_);
  }

  [[nodiscard]] EthdevSettings queue(std::uint16_t q) const {
    EthdevSettings result;
    result.queues.push_back(testing::ring_queue(port_, q));
    result.held_max = kRingSize;
    return result;
  }
  /// Returns when its buffer has come back: all that it caused has happened.
  void send_and_wait(const MemoryFrame& frame, unsigned queue) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
    ASSERT_NE(mbuf, nullptr);
    char* room = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.bytes.size()));
    ASSERT_NE(room, nullptr);
    std::copy(frame.bytes.begin(), frame.bytes.end(), room);
    ASSERT_EQ(rte_ring_enqueue(rings_[queue], mbuf), 0);
    while (rte_mempool_avail_count(pool_) != kMbufs) std::this_thread::yield();
  }
  Outcome run_on_rings(const std::vector<MemoryFrame>& frames, const Deal& deal);

  rte_mempool* pool_ = nullptr;
  std::array<rte_ring*, kQueues> rings_{};
  std::uint16_t port_ = 0;
};

Outcome RingHandOver::run_on_rings(const std::vector<MemoryFrame>& frames, const Deal& deal) {
  std::vector<unsigned> dealt;
  std::array<std::vector<Timestamp>, kQueues> stamps;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    dealt.push_back(deal(i, frames[i]));
    stamps[dealt[i]].push_back(frames[i].stamp);
  }
  StampedSource left(queue(0), stamps[0]);
  StampedSource right(queue(1), stamps[1]);
  EngineSettings s = settings(kQueues, kBurstMax);
  s.when_full = WhenFull::Shed;  // as live ports do
  s.order = SourceOrder::AsReceived;
  RecordingWriter writer;
  Engine engine(s, {&left, &right}, &writer);
  std::thread running([&] {
    ThreadLauncher launcher;
    engine.run(launcher, std::chrono::seconds{1}, [](const RunStatus&) {});
  });
  for (std::size_t i = 0; i < frames.size(); ++i) send_and_wait(frames[i], dealt[i]);
  engine.stop();
  running.join();
  EXPECT_TRUE(engine.ledger().balances());
  EXPECT_TRUE(writer.in_order());
  return {engine.ledger(), writer.outcomes()};
}

// case: J12
TEST_F(RingHandOver, TwoQueuesAreAsGoodAsOne) {
  const std::vector<MemoryFrame> frames = capture(9, 60);
  const Outcome one = run_one_queue(frames);
  for (const NamedDeal& deal : all_deals(kQueues)) {
    SCOPED_TRACE(deal.name);
    const Outcome split = run_on_rings(frames, deal.deal);
    EXPECT_GT(split.ledger.handed_over, 0U);
    expect_same(one, split);
  }
}

// Connections that are open when the last packet has come end by their time-outs while the run goes
// on: with one worker, with two behind one source, and with a queue for each.
TEST_F(RingHandOver, TimeOutsEndConnectionsOnSilentPorts) {
  const std::vector<MemoryFrame> frames = capture(11, 20);
  const Outcome recorded = run_one_queue(frames);
  EthdevSettings both = queue(0);
  both.queues.push_back(queue(1).queues.front());
  for (const auto& [workers, parts] :
       {std::pair{1U, std::vector{both}}, {2U, {both}}, {2U, {queue(0), queue(1)}}}) {
    SCOPED_TRACE(std::to_string(workers) + " workers, sources: " + std::to_string(parts.size()));
    std::vector<std::unique_ptr<EthdevSource>> owned;
    std::vector<PacketSource*> sources;
    for (const EthdevSettings& part : parts) {
      sources.push_back(owned.emplace_back(std::make_unique<EthdevSource>(part)).get());
    }
    EngineSettings s = settings(workers, kBurstMax);
    s.order = SourceOrder::AsReceived;
    s.shard.idle_timeout = s.shard.syn_timeout = std::chrono::milliseconds{1000};
    s.shard.closed_timeout = std::chrono::milliseconds{1000};
    std::atomic<std::size_t> closes{0};
    RecordingWriter recording;
    CloseMeter writer(recording, closes);
    Engine engine(s, sources, &writer);
    std::thread running([&] {
      ThreadLauncher launcher;
      engine.run(launcher, std::chrono::seconds{1}, [](const RunStatus&) {});
    });
    for (const MemoryFrame& frame : frames) send_and_wait(frame, 0);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (closes < recorded.connections.size() &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    EXPECT_EQ(closes, recorded.connections.size()) << "before the run was ended";
    engine.stop();
    running.join();
    EXPECT_TRUE(engine.ledger().balances());
    EXPECT_TRUE(recording.in_order());
    const Ledger ledger = engine.ledger();
    EXPECT_EQ(ledger.connections_closed[static_cast<std::size_t>(CloseReason::Eof)], 0U);
  }
}

}  // namespace
}  // namespace flowloom::test
