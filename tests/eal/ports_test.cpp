// Ports of every kind of vdev, from the words of the command line to packets.
#include "runtime/ports.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <set>

#include "eal_fixture.hpp"
#include "runtime/nic_rss.hpp"
#include "support/capture_file.hpp"

namespace flowloom {
namespace {

using testing::pattern;
using testing::RunningPorts;

constexpr PortSettings kSmall{.held_max = 64, .receive_descriptors = 64};

class PortsTest : public ::testing::Test {
 protected:
  std::string capture(const std::string& name, std::size_t packets, std::size_t size,
                      std::uint32_t linktype = 1) {
    std::vector<testing::Record> records;
    for (std::size_t i = 0; i < packets; ++i) {
      records.push_back(
          {static_cast<std::int64_t>(i), pattern(size, static_cast<std::uint32_t>(i))});
    }
    const std::string path = folder_.file(name);
    testing::write_bytes(path, testing::pcap_bytes(records, linktype));
    return path;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(PortsTest, EndlessReplayNeverEnds) {
  const RunningPorts running(
      {"net_pcap0,rx_pcap=" + capture("a", 100, 3000, 101) + ",infinite_rx=1"}, 1, kSmall);
  EthdevSource source(running.source());
  Burst burst;
  for (std::size_t received = 0; received < 1000;) {
    ASSERT_EQ(source.receive(burst), SourceState::Packets);
    for (std::uint32_t i = 0; i < burst.size; ++i, ++received) {
      const Packet& packet = burst.packets[i];
      const std::vector<std::uint8_t> bytes(packet.frame, packet.frame + packet.captured);
      ASSERT_EQ(bytes, pattern(3000, static_cast<std::uint32_t>(received % 100)));
      EXPECT_EQ(packet.link, LinkType::Raw);
      EXPECT_GT(to_nanoseconds(packet.stamp), 1'600'000'000'000'000'000);
    }
    source.release(burst);
  }
  EXPECT_EQ(source.frames_copied(), 0u) << "endless frames fit one buffer";
}

TEST_F(PortsTest, EndlessFilesAreDealtToWorkers) {
  const std::string a = capture("a", 10, 60);
  const RunningPorts running(
      {"net_pcap0,rx_pcap=" + a + ",rx_pcap=" + capture("b", 2000, 60) + ",infinite_rx=1"}, 2,
      kSmall);
  ASSERT_EQ(running.plan().pollers.size(), 2u);
  for (std::size_t poller = 0; poller < 2; ++poller) {
    EthdevSource source(running.source(poller));
    Burst burst;
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(source.receive(burst), SourceState::Packets);
      source.release(burst);
    }
  }
}

TEST_F(PortsTest, RefusesToRepeatNothing) {
  testing::shared_eal();
  testing::AddedVdevs vdevs;
  const std::string path = capture("empty", 0, 0);
  vdevs.add("net_pcap0,rx_pcap=" + path);
  // As if it had been asked for without end, which net_pcap itself does not refuse.
  EXPECT_THROW(discover_ports({parse_vdev("net_pcap0,rx_pcap=" + path + ",infinite_rx=1")}),
               RuntimeSetupError);
}

TEST_F(PortsTest, NullPortHasAQueuePerWorker) {
  const RunningPorts running({"net_null0,size=60"}, 3, kSmall);
  ASSERT_EQ(running.plan().pollers.size(), 3u);
  for (std::size_t poller = 0; poller < 3; ++poller) {
    EthdevSource source(running.source(poller));
    Burst burst;
    ASSERT_EQ(source.receive(burst), SourceState::Packets);
    EXPECT_EQ(burst.size, kBurstMax);
    EXPECT_EQ(burst.packets[0].captured, 60u);
    source.release(burst);
  }
}

TEST_F(PortsTest, RingPortIsIdleWhileEmpty) {
  const RunningPorts running({"net_ring0"}, 1, kSmall);
  EthdevSource source(running.source());
  Burst burst;
  EXPECT_EQ(source.receive(burst), SourceState::Idle);
  EXPECT_EQ(source.receive(burst), SourceState::Idle);
}

TEST_F(PortsTest, AFileBesideALivePortStillEndsItself) {
  const RunningPorts running({"net_pcap0,rx_pcap=" + capture("a", 100, 60), "net_ring0"}, 1,
                             kSmall);
  EthdevSource source(running.source());
  Burst burst;
  std::size_t received = 0;
  while (source.receive(burst) == SourceState::Packets) {
    received += burst.size;
    source.release(burst);
  }
  EXPECT_EQ(received, 100u);
  EXPECT_EQ(source.receive(burst), SourceState::Idle) << "the ring may still have some";
  EXPECT_TRUE(source.problems().empty());
}

TEST_F(PortsTest, EstimateCoversWhatIsTaken) {
  // Not the sum that EAL needs, but what the pools themselves say they take.
  const std::string path = capture("a", 3000, 5000);
  for (const std::string& vdev :
       {"net_pcap0,rx_pcap=" + path, "net_pcap0,rx_pcap=" + path + ",rx_pcap=" + path,
        "net_pcap0,rx_pcap=" + path + ",infinite_rx=1", std::string("net_null0")}) {
    for (const unsigned workers : {1u, 2u}) {
      const EalNeeds needs = estimate_eal_needs({"--vdev", vdev}, workers, kSmall);
      const RunningPorts running({vdev}, workers, kSmall);
      std::uint64_t megabytes = 0;
      for (const std::string& line : running.ports().description()) {
        const std::size_t end = line.rfind(" MB");
        if (end == std::string::npos) continue;
        megabytes += std::stoull(line.substr(line.rfind(' ', end - 1)));
      }
      EXPECT_GT(megabytes, 0u);
      EXPECT_GE(needs.bytes >> 20, megabytes) << vdev;
      EXPECT_LE(needs.bytes >> 20, 3 * megabytes + 64) << vdev;
    }
  }
}

TEST_F(PortsTest, DescribesWhatWasConfigured) {
  const RunningPorts running({"net_pcap0,rx_pcap=" + capture("a", 1, 60)}, 1, kSmall);
  const std::vector<std::string>& lines = running.ports().description();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].find("pool flowloom_rx_0: "), 0u) << lines[0];
  EXPECT_NE(lines[1].find("net_pcap0 (net_pcap)"), std::string::npos) << lines[1];
  EXPECT_NE(lines[1].find("1 of 1 queues"), std::string::npos) << lines[1];
}

/// net_null as if it spread packets: it has a key and a table, and keeps the key that it is given
/// only when it is told a second time.
class SpreadingPort {
 public:
  SpreadingPort(const PortSettings& settings, std::uint16_t workers) {
    testing::shared_eal();
    vdevs_.add("net_null0");
    std::vector<PortFacts> facts = discover_ports(vdevs_.specs());
    facts.at(0).queues.spread = QueueSpread::Symmetric;
    plan_ = make_lcore_plan({Eal::lcores(), queues_of(facts), workers, WriterCore::None});
    ports_ = std::make_unique<Ports>(std::move(facts), plan_, settings);
  }
  [[nodiscard]] const Ports& ports() const { return *ports_; }
  [[nodiscard]] const LcorePlan& plan() const { return plan_; }

 private:
  testing::AddedVdevs vdevs_;
  LcorePlan plan_;
  std::unique_ptr<Ports> ports_;
};

TEST_F(PortsTest, SelfTestPassesWithTheSymmetricKey) {
  const SpreadingPort port(kSmall, 3);
  EXPECT_EQ(port.plan().shape, PlanShape::RunToCompletion);
  EXPECT_EQ(port.plan().pollers.size(), 3U);
  EXPECT_TRUE(port.ports().complaints().empty()) << port.ports().complaints()[0];
  const auto owners = port.ports().flow_owners(3);
  ASSERT_TRUE(owners.has_value());
  // Whatever the port's numbers, what it brings to a queue is owned by that queue's worker.
  std::set<unsigned> used;
  for (std::uint8_t last = 0; last < 64; ++last) {
    std::array<std::uint8_t, 40> headers{0x45};
    headers[15] = last;
    headers[21] = 80;
    Packet packet{};
    packet.frame = headers.data();
    packet.tcp_offset = 20;
    packet.verdict = Verdict::Tcp;
    Endpoint from{IpAddress::v4(&headers[12]), 80};
    Endpoint to{IpAddress::v4(&headers[16]), 0};
    std::vector<std::uint16_t> table(128);
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<std::uint16_t>(i % 3);
    const unsigned queue = rss_queue(rss_hash(symmetric_rss_key(40), from, to), table);
    EXPECT_EQ(owners->owner_of(packet), queue);
    used.insert(queue);
  }
  EXPECT_EQ(used.size(), 3U);
}

TEST_F(PortsTest, SelfTestSaysWhenDirectionsComeApart) {
  PortSettings settings = kSmall;
  for (std::uint8_t i = 0; i < 40; ++i) {
    settings.rss_key.push_back(static_cast<std::uint8_t>(i * 37 + 11));
  }
  const SpreadingPort port(settings, 2);
  ASSERT_EQ(port.ports().complaints().size(), 1U);
  EXPECT_NE(port.ports().complaints()[0].find("two directions of a connection to different"),
            std::string::npos)
      << port.ports().complaints()[0];
  EXPECT_FALSE(port.ports().flow_owners(2).has_value());
}

TEST_F(PortsTest, TooLargeAPoolIsOneSentence) {
  PortSettings large = kSmall;
  large.held_max = 4u << 20;
  try {
    const RunningPorts running({"net_null0"}, 1, large);
    FAIL();
  } catch (const RuntimeSetupError& error) {
    EXPECT_NE(std::string(error.what()).find("has no memory for"), std::string::npos)
        << error.what();
  }
}

TEST_F(PortsTest, NoPortIsAnError) {
  testing::shared_eal();
  EXPECT_THROW(discover_ports({}), RuntimeSetupError);
}

}  // namespace
}  // namespace flowloom
