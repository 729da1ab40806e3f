// What drivers put beside a frame: checksum results, stripped tags, chains; and stamps where a
// driver has none. Frames are made by hand and sent through net_ring.
#include <gtest/gtest.h>
#include <rte_dev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "eal_fixture.hpp"
#include "io/device_clock.hpp"
#include "net/tcp_checksum.hpp"
#include "support/capture_file.hpp"

namespace flowloom {
namespace {

using testing::pattern;

constexpr unsigned kRingSize = 256;
constexpr unsigned kMbufs = 511;

// A port whose receive queues are rings that the test fills.
class EthdevOffloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::shared_eal();
    pool_ = rte_pktmbuf_pool_create("offload_test", kMbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
    ASSERT_NE(pool_, nullptr);
    for (std::size_t i = 0; i < 2; ++i) {
      rings_[i] = rte_ring_create(("offload_ring" + std::to_string(i)).c_str(), kRingSize, -1, 0);
      ASSERT_NE(rings_[i], nullptr);
    }
    // The driver wants a ring to send to; nothing is sent.
    const int port = rte_eth_from_rings("offload_test", rings_, 2, rings_, 1, 0);
    ASSERT_GE(port, 0) << Eal::recent_log();
    port_ = static_cast<std::uint16_t>(port);
    const rte_eth_conf conf{};
    ASSERT_EQ(rte_eth_dev_configure(port_, 2, 0, &conf), 0);
    for (std::uint16_t q = 0; q < 2; ++q) {
      ASSERT_EQ(rte_eth_rx_queue_setup(port_, q, 64, 0, nullptr, pool_), 0);
    }
    ASSERT_EQ(rte_eth_dev_start(port_), 0);
  }
  void TearDown() override {
    rte_eth_dev_stop(port_);
    rte_eth_dev_close(port_);
    rte_eal_hotplug_remove("vdev", "net_ring_offload_test");
    for (rte_ring* ring : rings_) {
      EXPECT_EQ(rte_ring_count(ring), 0u);
      rte_ring_free(ring);
    }
    EXPECT_EQ(rte_mempool_avail_count(pool_), kMbufs) << "frames were lost";
    rte_mempool_free(pool_);
  }

  rte_mbuf* make(const std::vector<std::uint8_t>& bytes, std::uint64_t flags = 0) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
    char* room = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), room);
    mbuf->ol_flags |= flags;
    return mbuf;
  }
  void send(rte_mbuf* mbuf, std::size_t queue = 0) {
    ASSERT_EQ(rte_ring_enqueue(rings_[queue], mbuf), 0);
  }
  EthdevSettings settings(std::uint32_t held_max = 64) const {
    EthdevSettings result;
    for (std::uint16_t q = 0; q < 2; ++q) {
      result.queues.push_back(testing::ring_queue(port_, q));
    }
    result.held_max = held_max;
    return result;
  }
  std::vector<testing::Seen> receive(EthdevSource& source) {
    std::vector<testing::Seen> all;
    Burst burst;
    while (source.receive(burst) == SourceState::Packets) {
      for (std::uint32_t i = 0; i < burst.size; ++i) {
        const Packet& p = burst.packets[i];
        all.push_back({{p.frame, p.frame + p.captured}, p});
      }
      source.release(burst);
    }
    return all;
  }

  rte_mempool* pool_ = nullptr;
  rte_ring* rings_[2] = {};
  std::uint16_t port_ = 0;
};

TEST_F(EthdevOffloadTest, ChecksumResultsBecomeFlags) {
  const std::vector<std::uint8_t> frame = pattern(60, 1);
  send(make(frame, RTE_MBUF_F_RX_L4_CKSUM_GOOD));
  send(make(frame, RTE_MBUF_F_RX_L4_CKSUM_BAD));
  send(make(frame, RTE_MBUF_F_RX_L4_CKSUM_NONE));
  send(make(frame, RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN));
  EthdevSource source(settings());
  const auto seen = receive(source);
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].packet.flags, packet_flags::kChecksumGood);
  EXPECT_EQ(seen[1].packet.flags, packet_flags::kChecksumBad);
  EXPECT_EQ(seen[2].packet.flags, packet_flags::kChecksumGood);
  EXPECT_EQ(seen[3].packet.flags, 0);
}

TEST_F(EthdevOffloadTest, StrippedTagsArePutBack) {
  const std::vector<std::uint8_t> frame = pattern(60, 1);
  rte_mbuf* mbuf = make(frame, RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
  mbuf->vlan_tci = 0x2005;
  send(mbuf);
  EthdevSource source(settings());
  const auto seen = receive(source);
  ASSERT_EQ(seen.size(), 1u);
  std::vector<std::uint8_t> expected(frame.begin(), frame.begin() + 12);
  expected.insert(expected.end(), {0x81, 0x00, 0x20, 0x05});
  expected.insert(expected.end(), frame.begin() + 12, frame.end());
  EXPECT_EQ(seen[0].bytes, expected);
  EXPECT_EQ(seen[0].packet.wire_length, 64u);
}

TEST_F(EthdevOffloadTest, ChainsAreMadeContiguous) {
  rte_mbuf* chain = make(pattern(100, 1));
  for (std::uint32_t i = 2; i <= 4; ++i) {
    ASSERT_EQ(rte_pktmbuf_chain(chain, make(pattern(i == 3 ? 0 : 100 * i, i))), 0);
  }
  send(chain);
  EthdevSource source(settings());
  const auto seen = receive(source);
  ASSERT_EQ(seen.size(), 1u);
  std::vector<std::uint8_t> expected = pattern(100, 1);
  for (const auto& part : {pattern(200, 2), pattern(400, 4)}) {
    expected.insert(expected.end(), part.begin(), part.end());
  }
  EXPECT_EQ(seen[0].bytes, expected);
  EXPECT_EQ(source.frames_copied(), 1u);
}

TEST_F(EthdevOffloadTest, LivePacketsAreStampedWhenTheyAreReceived) {
  using std::chrono::system_clock;
  const auto now = [] {
    return std::chrono::duration_cast<Duration>(system_clock::now().time_since_epoch()).count();
  };
  EthdevSource source(settings());
  Burst burst;
  EXPECT_EQ(source.receive(burst), SourceState::Idle);
  const std::int64_t before = now();
  send(make(pattern(60, 1)));
  send(make(pattern(60, 2)));
  const auto seen = receive(source);
  const std::int64_t after = now();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_GE(to_nanoseconds(seen[0].packet.stamp), before);
  EXPECT_LE(to_nanoseconds(seen[0].packet.stamp), after);
  EXPECT_EQ(seen[0].packet.stamp, seen[1].packet.stamp);
  EXPECT_EQ(source.receive(burst), SourceState::Idle) << "a live source does not end";
}

/// A counter of half-nanoseconds, on the system's clock.
bool half_nanoseconds(std::uint16_t, std::uint64_t& ticks) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  ticks = 2 * static_cast<std::uint64_t>(std::chrono::duration_cast<Duration>(now).count());
  return true;
}

TEST_F(EthdevOffloadTest, StampsOfHardwareAreTaken) {
  int offset = -1;
  std::uint64_t flag = 0;
  ASSERT_EQ(rte_mbuf_dyn_rx_timestamp_register(&offset, &flag), 0);
  const auto stamped = [&](std::uint64_t ticks, std::uint64_t flags) {
    rte_mbuf* mbuf = make(pattern(60, 1), flags);
    *RTE_MBUF_DYNFIELD(mbuf, static_cast<std::size_t>(offset), rte_mbuf_timestamp_t*) = ticks;
    return mbuf;
  };
  EthdevSettings s = settings();
  for (EthdevQueue& queue : s.queues) queue.stamps = StampSource::DeviceTicks;
  s.read_ticks = half_nanoseconds;
  EthdevSource source(s);
  // The first packets tell what the counter means; until then they have the time of receiving.
  send(stamped(0, flag));
  ASSERT_EQ(receive(source).size(), 1u);
  std::this_thread::sleep_for(DeviceClock::kInterval * 2);
  std::uint64_t ticks = 0;
  half_nanoseconds(port_, ticks);
  const std::uint64_t sent = ticks - 2 * 1'000'000;  // a millisecond ago
  send(stamped(sent, flag));
  send(stamped(sent + 2 * 500, flag));
  send(stamped(sent, 0));
  const auto seen = receive(source);
  ASSERT_EQ(seen.size(), 3u);
  const auto expected = static_cast<std::int64_t>(sent / 2);
  EXPECT_NEAR(static_cast<double>(to_nanoseconds(seen[0].packet.stamp) - expected), 0, 100'000);
  EXPECT_NEAR(static_cast<double>((seen[1].packet.stamp - seen[0].packet.stamp).count()), 500, 20);
  EXPECT_GE(to_nanoseconds(seen[2].packet.stamp), static_cast<std::int64_t>(ticks / 2))
      << "a packet without a stamp has the time of receiving";
}

Timestamp system_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return Timestamp{std::chrono::duration_cast<Duration>(now)};
}

/// Polls silent queues until they tell the time; kTimeMin where they do not within a second.
Timestamp time_in_silence(EthdevSource& source) {
  Burst burst;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(source.receive(burst), SourceState::Idle);
    if (const auto clock = source.idle_clock()) return *clock;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return kTimeMin;
}

TEST_F(EthdevOffloadTest, TimePassesOnSilentPorts) {
  EthdevSource source(settings());
  Timestamp last = kTimeMin;
  for (int round = 0; round < 3; ++round) {
    const Timestamp before = system_now();
    const Timestamp told = time_in_silence(source);
    EXPECT_LE(told, system_now()) << "of the future nothing is known";
    EXPECT_GE(told, before - std::chrono::milliseconds{10});
    EXPECT_GT(told, last);
    last = told;
    if (round > 0) send(make(pattern(60, 1)));
    const auto seen = receive(source);
    ASSERT_EQ(seen.size(), round > 0 ? 1u : 0u);
    for (const auto& [bytes, packet] : seen) {
      EXPECT_GE(packet.clock, told);
      EXPECT_EQ(packet.clock, packet.stamp);
    }
  }
  EXPECT_EQ(source.stats().bad_timestamps, 0u);
}

TEST_F(EthdevOffloadTest, TimeIsToldNowAndThenOnly) {
  EthdevSource source(settings());
  const Timestamp end = system_now() + std::chrono::milliseconds{500};
  Burst burst;
  int told = 0;
  while (system_now() < end) {
    EXPECT_EQ(source.receive(burst), SourceState::Idle);
    if (source.idle_clock()) ++told;
  }
  EXPECT_GE(told, 1);
  EXPECT_LE(told, 6) << "the step is a tenth of a second";
}

TEST_F(EthdevOffloadTest, TimeWaitsForPacketsThatHaveNoRoom) {
  for (std::uint8_t i = 0; i < 2 * kBurstMax; ++i) send(make({i}));
  EthdevSource source(settings(kBurstMax));
  Burst first;
  ASSERT_EQ(source.receive(first), SourceState::Packets);
  EXPECT_EQ(time_in_silence(source), kTimeMin);
  source.release(first);
  EXPECT_EQ(receive(source).size(), kBurstMax);
  EXPECT_NE(time_in_silence(source), kTimeMin);
}

TEST_F(EthdevOffloadTest, TimeWaitsForPacketsThatHardwareHasStamped) {
  int offset = -1;
  std::uint64_t flag = 0;
  ASSERT_EQ(rte_mbuf_dyn_rx_timestamp_register(&offset, &flag), 0);
  EthdevSettings s = settings();
  for (EthdevQueue& queue : s.queues) queue.stamps = StampSource::DeviceTicks;
  s.read_ticks = half_nanoseconds;
  EthdevSource source(s);
  const auto send_stamped = [&](std::uint64_t ticks) {
    rte_mbuf* mbuf = make(pattern(60, 1), flag);
    *RTE_MBUF_DYNFIELD(mbuf, static_cast<std::size_t>(offset), rte_mbuf_timestamp_t*) = ticks;
    send(mbuf);
  };
  std::uint64_t ticks = 0;
  for (int i = 0; i < 2; ++i) {  // what the counter means
    half_nanoseconds(port_, ticks);
    send_stamped(ticks);
    ASSERT_EQ(receive(source).size(), 1u);
    std::this_thread::sleep_for(DeviceClock::kInterval * 2);
  }
  // It comes after the look into the queue, and before the clock is read; and hardware has kept it.
  std::optional<Timestamp> told;
  Burst burst;
  for (int i = 0; i < 100 && !told; ++i) {
    ASSERT_EQ(source.receive(burst), SourceState::Idle);
    half_nanoseconds(port_, ticks);
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    told = source.idle_clock();
  }
  ASSERT_TRUE(told);
  send_stamped(ticks - 2 * 8'000'000);
  const auto seen = receive(source);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].packet.clock, seen[0].packet.stamp) << "time had passed it by";
  EXPECT_GE(seen[0].packet.clock, *told);
}

TEST_F(EthdevOffloadTest, LiveQueuesTakeTurns) {
  for (std::uint32_t i = 0; i < 80; ++i) {
    send(make({static_cast<std::uint8_t>(i)}), 0);
    send(make({static_cast<std::uint8_t>(i)}), 1);
  }
  EthdevSource source(settings());
  const auto seen = receive(source);
  ASSERT_EQ(seen.size(), 160u);
  std::uint8_t next[2] = {0, 0};
  std::size_t longest_run = 0;
  std::size_t run = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].bytes[0], next[seen[i].packet.input]++);
    EXPECT_EQ(seen[i].packet.number, i + 1);
    if (i > 0) {
      EXPECT_GE(seen[i].packet.clock, seen[i - 1].packet.clock);
    }
    run = i > 0 && seen[i].packet.input == seen[i - 1].packet.input ? run + 1 : 1;
    longest_run = std::max(longest_run, run);
  }
  EXPECT_LE(longest_run, kBurstMax);
}

TEST_F(EthdevOffloadTest, WaitsWhenTooManyFramesAreHeld) {
  for (std::uint8_t i = 0; i < 100; ++i) send(make({i}));
  EthdevSource source(settings(kBurstMax));
  Burst first;
  Burst second;
  ASSERT_EQ(source.receive(first), SourceState::Packets);
  EXPECT_EQ(first.size, kBurstMax);
  EXPECT_EQ(source.receive(second), SourceState::Idle);
  source.release(first);
  EXPECT_EQ(source.receive(second), SourceState::Packets);
  EXPECT_EQ(second.packets[0].frame[0], 32);
  source.release(second);
  EXPECT_EQ(receive(source).size(), 36u);
}

TEST_F(EthdevOffloadTest, GivesHeldAndPendingFramesBackAtTheEnd) {
  for (std::uint8_t i = 0; i < 40; ++i) send(make({i}));
  EthdevSource source(settings());
  Burst held;
  Burst more;
  more.limit = 1;
  EXPECT_EQ(source.receive(held), SourceState::Packets);
  EXPECT_EQ(source.receive(more), SourceState::Packets);  // seven stay pending
}  // TearDown counts the pool

}  // namespace
}  // namespace flowloom
