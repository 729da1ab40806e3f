// EthdevSource keeps the contract of packet sources, and reads captures as CaptureSource does:
// one, several merged, and those of the folder that FLOWLOOM_CAPTURES names.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <random>

#include "contract/packet_source_contract.hpp"
#include "eal_fixture.hpp"
#include "io/capture_source.hpp"
#include "support/capture_file.hpp"

namespace flowloom {
namespace {

using testing::Record;
using testing::RunningPorts;
using testing::Seen;

constexpr PortSettings kSettings{.held_max = 1024, .receive_descriptors = 64};

/// A source with the file, the vdev and the port that it stands on.
class SelfContainedSource final : public PacketSource {
 public:
  explicit SelfContainedSource(const std::vector<ContractFrame>& frames) {
    std::vector<Record> records;
    for (const ContractFrame& frame : frames) {
      records.push_back({to_nanoseconds(frame.stamp) / 1000, frame.bytes});
    }
    testing::write_bytes(path_, testing::pcap_bytes(records));
    running_ =
        std::make_unique<RunningPorts>(std::vector{"net_pcap0,rx_pcap=" + path_}, 1, kSettings);
    source_ = std::make_unique<EthdevSource>(running_->source());
  }
  SourceState receive(Burst& burst) override { return source_->receive(burst); }
  void release(Burst& burst) override { source_->release(burst); }
  ByteView keep_released(std::uint64_t packets, FrameKeeper& keeper) override {
    return source_->keep_released(packets, keeper);
  }
  [[nodiscard]] SourceStats stats() const override { return source_->stats(); }

 private:
  testing::TemporaryFolder folder_;
  std::string path_ = folder_.file("contract.pcap");
  std::unique_ptr<RunningPorts> running_;
  std::unique_ptr<EthdevSource> source_;
};

struct EthdevMaker {
  static std::unique_ptr<PacketSource> make(const std::vector<ContractFrame>& frames) {
    return std::make_unique<SelfContainedSource>(frames);
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Ethdev, PacketSourceContract, EthdevMaker);

// As many as may be held are handed over before any is released: where frames were kept, that takes
// the place of some.
TEST(EthdevKeptFrames, AreMbufsAndAreGivenUpOnlyWhereOthersNeedTheRoom) {
  const auto frames = contract_frames(3000);
  for (const std::uint32_t bursts_held : {1U, kSettings.held_max / kBurstMax}) {
    SelfContainedSource source(frames);
    KeptFrames kept(source);
    std::deque<Burst> held;
    std::uint64_t packets = 0;
    for (Burst burst; source.receive(burst) == SourceState::Packets;) {
      kept.expect_intact();
      packets += burst.size;
      held.push_back(burst);
      if (held.size() < bursts_held) continue;
      for (; !held.empty(); held.pop_front()) {
        source.release(held.front());
        kept.released(held.front());
      }
    }
    for (; !held.empty(); held.pop_front()) source.release(held.front());
    EXPECT_EQ(packets, frames.size());
    EXPECT_GT(kept.seen(), frames.size() - kSettings.held_max);
    EXPECT_EQ(kept.reuses() > 0, bursts_held > 1) << kept.reuses();
  }
}

std::vector<Seen> receive_all(PacketSource& source) {
  std::vector<Seen> all;
  Burst burst;
  for (SourceState state{}; (state = source.receive(burst)) != SourceState::End;) {
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      const Packet& packet = burst.packets[i];
      all.push_back({{packet.frame, packet.frame + packet.captured}, packet});
    }
    if (burst.size > 0) source.release(burst);
  }
  return all;
}

Timestamp whole_microseconds(Timestamp t) {
  return from_nanoseconds(to_nanoseconds(t) / 1000 * 1000);
}

// What net_pcap keeps: whole frames, microseconds, order, links. The wire length it does not.
void expect_as_read(const std::vector<std::string>& paths, bool by_ports) {
  std::vector<std::string> vdevs;
  for (const std::string& path : paths) {
    if (vdevs.empty() || by_ports) vdevs.push_back("net_pcap" + std::to_string(vdevs.size()));
    vdevs.back() += ",rx_pcap=" + path;
  }
  const RunningPorts running(vdevs, 1, kSettings);
  EthdevSource ethdev(running.source());
  CaptureSource capture(paths);
  const std::vector<Seen> run = receive_all(ethdev);
  const std::vector<Seen> read = receive_all(capture);
  ASSERT_EQ(run.size(), read.size());
  for (std::size_t i = 0; i < run.size(); ++i) {
    ASSERT_EQ(run[i].bytes, read[i].bytes) << "packet " << i + 1;
    ASSERT_EQ(run[i].packet.stamp, whole_microseconds(read[i].packet.stamp)) << "packet " << i + 1;
    ASSERT_EQ(run[i].packet.clock, whole_microseconds(read[i].packet.clock)) << "packet " << i + 1;
    ASSERT_EQ(run[i].packet.input, read[i].packet.input) << "packet " << i + 1;
    ASSERT_EQ(run[i].packet.link, read[i].packet.link) << "packet " << i + 1;
    ASSERT_EQ(run[i].packet.number, read[i].packet.number);
  }
  EXPECT_EQ(ethdev.stats().bad_timestamps, capture.stats().bad_timestamps);
  EXPECT_EQ(ethdev.problems().size(), capture.problems().size());
}

// Stamps as captures have them: mostly ascending, with repeats, small and large steps both ways.
std::vector<Record> unruly_records(std::mt19937& random, std::size_t count) {
  std::vector<Record> records;
  std::int64_t stamp = 1'000'000'000'000'000 + static_cast<std::int64_t>(random() % 1000);
  for (std::size_t i = 0; i < count; ++i) {
    const auto dice = random() % 100;
    if (dice < 80) stamp += static_cast<std::int64_t>(random() % 50);
    if (dice >= 80 && dice < 90) stamp -= static_cast<std::int64_t>(random() % 3000);
    if (dice == 97) stamp += 3'700'000'000;
    if (dice == 98) stamp -= 5'000'000;
    std::int64_t shown = stamp;
    if (dice == 99) shown += 1'500'000'000'000'000;
    records.push_back({shown, testing::pattern(random() % 100, static_cast<std::uint32_t>(i))});
  }
  return records;
}

TEST(EthdevVersusCaptureTest, MergesUnrulyCapturesAlike) {
  constexpr std::uint32_t kSeeds = 20;
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const testing::TemporaryFolder folder;
    std::vector<std::string> paths;
    for (std::size_t file = 0; file < 1 + seed % 4; ++file) {
      paths.push_back(folder.file(std::to_string(file) + ".pcap"));
      testing::write_bytes(paths.back(), testing::pcap_bytes(unruly_records(random, random() % 300),
                                                             file % 2 == 0 ? 1 : 101));
    }
    expect_as_read(paths, seed % 2 == 0);
  }
}

TEST(EthdevVersusCaptureTest, ReadsRealCapturesAlike) {
  const char* folder = std::getenv("FLOWLOOM_CAPTURES");
  if (folder == nullptr) return;  // the made captures above stand for them
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string extension = entry.path().extension();
    if (extension != ".pcap" && extension != ".cap") continue;
    SCOPED_TRACE(entry.path().string());
    if (!check_vdev_files({"--vdev=net_pcap0,rx_pcap=" + entry.path().string()}).problems.empty()) {
      continue;
    }
    expect_as_read({entry.path()}, false);
  }
}

}  // namespace
}  // namespace flowloom
