// Capture files through DPDK's net_pcap: every packet, in the order of their stamps, and the end.
#include "io/ethdev_source.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "eal_fixture.hpp"
#include "support/capture_file.hpp"

namespace flowloom {
namespace {

using testing::pattern;
using testing::pcap_bytes;
using testing::pcapng_bytes;
using testing::receive_all;
using testing::Record;
using testing::RunningPorts;
using testing::Seen;
using testing::write_bytes;

constexpr PortSettings kSmall{.held_max = 64, .receive_descriptors = 64};
constexpr std::int64_t kStart = 1'700'000'000'000'000;  // microseconds

class EthdevFileTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::vector<std::uint8_t>& bytes) {
    const std::string path = folder_.file(name);
    write_bytes(path, bytes);
    return path;
  }
  std::string vdev(const std::vector<std::string>& paths) {
    std::string text = "net_pcap" + std::to_string(next_vdev_++);
    for (const std::string& path : paths) text += ",rx_pcap=" + path;
    return text;
  }
  testing::TemporaryFolder folder_;
  int next_vdev_ = 0;
};

std::vector<Record> records(std::size_t count, std::int64_t step, std::uint32_t seed) {
  std::vector<Record> result;
  for (std::size_t i = 0; i < count; ++i) {
    const auto n = static_cast<std::uint32_t>(i);
    result.push_back(
        {kStart + static_cast<std::int64_t>(i) * step, pattern(14 + i % 80, seed + n)});
  }
  return result;
}

void expect_equal(const std::vector<Seen>& seen, const std::vector<Record>& expected) {
  ASSERT_EQ(seen.size(), expected.size());
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].bytes, expected[i].bytes) << i;
    EXPECT_EQ(to_nanoseconds(seen[i].packet.stamp), expected[i].microseconds * 1000) << i;
    EXPECT_EQ(seen[i].packet.number, i + 1);
    EXPECT_EQ(seen[i].packet.captured, expected[i].bytes.size());
    EXPECT_EQ(seen[i].packet.wire_length, expected[i].bytes.size());
    EXPECT_EQ(seen[i].packet.flags, 0);
    if (i > 0) {
      EXPECT_GE(seen[i].packet.clock, seen[i - 1].packet.clock);
    }
  }
}

TEST_F(EthdevFileTest, HandsOverEveryPacketOfAFileAndEnds) {
  // Around multiples of the burst: there the end shows only in an empty read.
  for (const std::size_t count : {0u, 1u, 31u, 32u, 33u, 64u, 1000u}) {
    const std::vector<Record> expected = records(count, 1000, 1);
    const RunningPorts running({vdev({write("a.pcap", pcap_bytes(expected))})}, 1, kSmall);
    EthdevSource source(running.source());
    expect_equal(receive_all(source), expected);
    EXPECT_TRUE(source.problems().empty());
    EXPECT_EQ(source.stats().missed, 0u);
    Burst burst;
    EXPECT_EQ(source.receive(burst), SourceState::End);
  }
}

TEST_F(EthdevFileTest, ReadsAllFormatsThatNetPcapReads) {
  const std::vector<Record> expected = records(100, 1'000'001, 9);
  for (const auto& file : {pcap_bytes(expected, 1, true), pcapng_bytes(expected),
                           pcap_bytes(expected, 1, false, 0xa1b23c4d)}) {
    const RunningPorts running({vdev({write("a.pcap", file)})}, 1, kSmall);
    EthdevSource source(running.source());
    expect_equal(receive_all(source), expected);
  }
}

struct Merged {
  std::size_t file;
  Record record;
};

// Stable by stamp over the files in order: what the merge must equal while stamps ascend.
std::vector<Merged> merged_oracle(const std::vector<std::vector<Record>>& files) {
  std::vector<Merged> all;
  for (std::size_t f = 0; f < files.size(); ++f) {
    for (const Record& record : files[f]) all.push_back({f, record});
  }
  std::stable_sort(all.begin(), all.end(), [](const Merged& a, const Merged& b) {
    return a.record.microseconds < b.record.microseconds;
  });
  return all;
}

TEST_F(EthdevFileTest, MergesQueuesAndPortsByStamp) {
  // Different densities, many equal stamps, one file that starts late, and an empty one.
  std::vector<std::vector<Record>> files = {
      records(500, 3, 1), records(200, 7, 1000), records(300, 2, 2000), {}, records(100, 1, 3000)};
  for (Record& record : files[4]) record.microseconds += 900;
  const std::vector<Merged> oracle = merged_oracle(files);
  for (const std::uint32_t limit : {1u, 7u, 32u}) {
    std::vector<std::string> paths;
    for (std::size_t f = 0; f < files.size(); ++f) {
      paths.push_back(write("f" + std::to_string(f), pcap_bytes(files[f])));
    }
    const RunningPorts running(
        {vdev({paths[0], paths[1]}), vdev({paths[2]}), vdev({paths[3], paths[4]})}, 1, kSmall);
    EthdevSource source(running.source());
    const std::vector<Seen> seen = receive_all(source, limit);
    ASSERT_EQ(seen.size(), oracle.size());
    for (std::size_t i = 0; i < seen.size(); ++i) {
      ASSERT_EQ(seen[i].packet.input, oracle[i].file) << i;
      ASSERT_EQ(seen[i].bytes, oracle[i].record.bytes) << i;
      ASSERT_EQ(seen[i].packet.number, i + 1);
    }
  }
}

TEST_F(EthdevFileTest, OnePacketFromTheFutureDoesNotHoldItsFileBack) {
  std::vector<Record> jumping = records(50, 10, 1);
  jumping[20].microseconds += std::int64_t{48} * 365 * 86400 * 1'000'000;
  const std::vector<Record> plain = records(50, 10, 500);
  const RunningPorts running(
      {vdev({write("a", pcap_bytes(jumping)), write("b", pcap_bytes(plain))})}, 1, kSmall);
  EthdevSource source(running.source());
  const std::vector<Seen> seen = receive_all(source);
  ASSERT_EQ(seen.size(), 100u);
  EXPECT_EQ(source.stats().bad_timestamps, 1u);
  for (std::size_t i = 1; i < seen.size(); ++i) {
    EXPECT_GE(seen[i].packet.clock, seen[i - 1].packet.clock);
    EXPECT_LT(to_nanoseconds(seen[i].packet.clock), (kStart + 1'000'000) * 1000);
  }
  // The packet keeps its place between its neighbours, and the stamp that was recorded.
  const auto found = std::find_if(seen.begin(), seen.end(),
                                  [&](const Seen& s) { return s.bytes == jumping[20].bytes; });
  ASSERT_NE(found, seen.end());
  EXPECT_EQ(to_nanoseconds(found->packet.stamp), jumping[20].microseconds * 1000);
  EXPECT_NEAR(static_cast<double>(found - seen.begin()), 40, 2);
}

TEST_F(EthdevFileTest, ReportsATruncatedFileAfterItsPackets) {
  const std::vector<Record> expected = records(40, 10, 5);
  const std::vector<std::uint8_t> whole = pcap_bytes(expected);
  const std::size_t last = 16 + expected.back().bytes.size();
  // Every place within the last record, which is lost.
  for (std::size_t cut = 1; cut < last; ++cut) {
    const std::string path =
        write("cut", {whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(cut)});
    const RunningPorts running({vdev({path})}, 1, kSmall);
    EthdevSource source(running.source());
    expect_equal(receive_all(source), {expected.begin(), expected.end() - 1});
    ASSERT_EQ(source.problems().size(), 1u) << cut;
    EXPECT_EQ(source.problems()[0].severity, ProblemSeverity::Damaged);
    EXPECT_EQ(source.problems()[0].message.find(path + ": ended early after 39 packets"), 0u)
        << source.problems()[0].message;
  }
}

TEST_F(EthdevFileTest, ADamagedFileDoesNotStopTheOthers) {
  const std::vector<Record> expected = records(100, 10, 5);
  std::vector<std::uint8_t> damaged = pcap_bytes(records(100, 10, 50));
  const std::size_t tenth = [&] {
    std::size_t at = 24;
    for (std::size_t i = 0; i < 10; ++i) at += 16 + 14 + i % 80;
    return at;
  }();
  damaged[tenth + 10] = 0xff;  // the captured length, far over the limit
  const RunningPorts running(
      {vdev({write("a", damaged)}), vdev({write("b", pcap_bytes(expected))})}, 1, kSmall);
  EthdevSource source(running.source());
  const std::vector<Seen> seen = receive_all(source);
  EXPECT_EQ(seen.size(), 110u);
  EXPECT_EQ(
      std::count_if(seen.begin(), seen.end(), [](const Seen& s) { return s.packet.input == 1; }),
      100);
  ASSERT_EQ(source.problems().size(), 1u);
  EXPECT_NE(source.problems()[0].message.find("after 10 packets"), std::string::npos);
}

TEST_F(EthdevFileTest, TakesRecordsWithoutBytes) {
  const std::vector<Record> expected = {
      {kStart, {}}, {kStart + 1, pattern(60, 1)}, {kStart + 2, {}}};
  const RunningPorts running({vdev({write("a", pcap_bytes(expected))})}, 1, kSmall);
  EthdevSource source(running.source());
  const std::vector<Seen> seen = receive_all(source);
  expect_equal(seen, expected);
  EXPECT_NE(seen[0].packet.frame, nullptr);
}

TEST_F(EthdevFileTest, CopiesJumboFramesToBeContiguous) {
  std::vector<Record> expected;
  const std::vector<std::size_t> sizes = {2048, 2049, 9014, 60, 65535, 4096, 65536, 66000};
  for (std::size_t i = 0; i < 400; ++i) {
    const auto n = static_cast<std::uint32_t>(i);
    expected.push_back({kStart + n, pattern(sizes[i % sizes.size()], n)});
  }
  const RunningPorts running({vdev({write("a", pcap_bytes(expected))})}, 1, kSmall);
  EthdevSettings settings = running.source();
  settings.scratch_bytes = ethdev_limits::kFrameMax;  // hardly a frame at a time
  EthdevSource source(settings);
  const std::vector<Seen> seen = receive_all(source);
  expect_equal(seen, expected);
  EXPECT_EQ(source.frames_copied(), 300u);  // all but those that fit a data room
  EXPECT_TRUE(source.problems().empty());
}

TEST_F(EthdevFileTest, AFrameBeyondWhatNetPcapCanExpressIsSnapped) {
  const std::vector<Record> expected = {{kStart, pattern(70000, 1)}, {kStart + 1, pattern(60, 2)}};
  const RunningPorts running({vdev({write("a", pcap_bytes(expected))})}, 1, kSmall);
  EthdevSource source(running.source());
  const std::vector<Seen> seen = receive_all(source);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_TRUE(seen[0].packet.has(packet_flags::kSnapped));
  EXPECT_EQ(seen[0].packet.wire_length, 70000u);
  EXPECT_EQ(seen[0].packet.captured, 70000u - 65536u);
  EXPECT_TRUE(std::equal(seen[0].bytes.begin(), seen[0].bytes.end(), expected[0].bytes.begin()));
  EXPECT_EQ(seen[1].bytes, expected[1].bytes);
}

// Held frames stay as they are while later ones arrive, nothing is lost when the source has to
// wait for their release, and the oldest go first.
void hold_as_many_as_possible(EthdevSource& source, const std::vector<Record>& expected,
                              std::uint32_t limit) {
  std::deque<Burst> held;
  std::size_t received = 0;
  std::size_t released = 0;
  std::uint64_t waits = 0;
  const auto release_oldest = [&] {
    Burst& oldest = held.front();
    for (std::uint32_t i = 0; i < oldest.size; ++i, ++released) {
      const Packet& packet = oldest.packets[i];
      const std::vector<std::uint8_t> bytes(packet.frame, packet.frame + packet.captured);
      ASSERT_EQ(bytes, expected[released].bytes) << released;
    }
    source.release(oldest);
    held.pop_front();
  };
  for (;;) {
    Burst burst;
    burst.limit = limit;
    const SourceState state = source.receive(burst);
    if (state == SourceState::End) break;
    if (state == SourceState::Packets) {
      received += burst.size;
      held.push_back(burst);
    } else {
      ++waits;
      ASSERT_FALSE(source.idle_clock()) << "a recording has no time but that of its packets";
      ASSERT_FALSE(held.empty()) << "waits for nothing";
      release_oldest();
    }
  }
  while (!held.empty()) release_oldest();
  EXPECT_EQ(received, expected.size());
  EXPECT_GT(waits, 0u);
}

TEST_F(EthdevFileTest, LosesNothingWhenFramesAreHeld) {
  const std::vector<Record> expected = records(5000, 10, 77);
  for (const std::uint32_t limit : {1u, 7u, 32u}) {
    const RunningPorts running({vdev({write("a", pcap_bytes(expected))})}, 1, kSmall);
    EthdevSource source(running.source());
    hold_as_many_as_possible(source, expected, limit);
    EXPECT_EQ(source.stats().missed, 0u);
  }
}

TEST_F(EthdevFileTest, LosesNothingWhenJumboFramesAreHeld) {
  std::vector<Record> expected;
  for (std::uint32_t i = 0; i < 600; ++i) {
    expected.push_back({kStart + i, pattern(i % 3 == 0 ? 65535 : 1 + i * 97 % 20000, i)});
  }
  const RunningPorts running({vdev({write("a", pcap_bytes(expected))})}, 1, kSmall);
  EthdevSettings settings = running.source();
  settings.scratch_bytes = 200'000;
  EthdevSource source(settings);
  hold_as_many_as_possible(source, expected, kBurstMax);
  EXPECT_EQ(source.stats().missed, 0u);
  EXPECT_TRUE(source.problems().empty());
}

TEST_F(EthdevFileTest, ManyFilesAllOfLargeFramesFitTheirPool) {
  constexpr std::size_t kFiles = 16;
  std::vector<std::vector<Record>> files(kFiles);
  std::vector<std::string> paths;
  for (std::size_t f = 0; f < kFiles; ++f) {
    for (std::uint32_t i = 0; i < 40; ++i) {
      files[f].push_back({kStart + i * 3 + static_cast<std::int64_t>(f) % 3,
                          pattern(65535, static_cast<std::uint32_t>(f) * 100 + i)});
    }
    paths.push_back(write("f" + std::to_string(f), pcap_bytes(files[f])));
  }
  const RunningPorts running({vdev(paths)}, 1, kSmall);
  EthdevSource source(running.source());
  const std::vector<Merged> oracle = merged_oracle(files);
  const std::vector<Seen> seen = receive_all(source);
  ASSERT_EQ(seen.size(), oracle.size());
  for (std::size_t i = 0; i < seen.size(); ++i) {
    ASSERT_EQ(seen[i].packet.input, oracle[i].file) << i;
    ASSERT_EQ(seen[i].bytes, oracle[i].record.bytes) << i;
  }
  EXPECT_EQ(source.stats().missed, 0u);
  EXPECT_TRUE(source.problems().empty());
}

TEST_F(EthdevFileTest, GivesFramesBackWhenItIsDestroyedEarly) {
  const std::vector<Record> expected = records(500, 10, 3);
  const std::string path = write("a", pcap_bytes(expected));
  const RunningPorts running({vdev({path})}, 1, kSmall);
  for (int i = 0; i < 3; ++i) {
    EthdevSource source(running.source());
    Burst first;
    Burst second;
    EXPECT_EQ(source.receive(first), SourceState::Packets);
    EXPECT_EQ(source.receive(second), SourceState::Packets);
  }  // the pool's own checks (and ASan) would see a frame that was lost or freed twice
}

TEST_F(EthdevFileTest, KnowsTheLinkTypeOfEachFile) {
  const std::vector<Record> expected = records(3, 10, 3);
  const RunningPorts running(
      {vdev({write("a", pcap_bytes(expected, 101)), write("b", pcapng_bytes(expected, 113))}),
       vdev({write("c", pcap_bytes(expected, 147))})},
      1, kSmall);
  EthdevSource source(running.source());
  for (const Seen& seen : receive_all(source)) {
    const std::vector<LinkType> links = {LinkType::Raw, LinkType::LinuxSll, LinkType::Unknown};
    EXPECT_EQ(seen.packet.link, links[seen.packet.input]);
  }
}

TEST_F(EthdevFileTest, StampsOutOfRangeSaturate) {
  std::vector<std::uint8_t> file = pcapng_bytes({{1, pattern(20, 1)}, {2, pattern(20, 2)}});
  for (std::size_t at = 48 + 12; at < 48 + 20; ++at) file[at] = 0xff;
  const RunningPorts running({vdev({write("a", file)})}, 1, kSmall);
  EthdevSource source(running.source());
  EXPECT_EQ(receive_all(source).size(), 2u);
}

}  // namespace
}  // namespace flowloom
