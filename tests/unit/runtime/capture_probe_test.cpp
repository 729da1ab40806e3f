// What is found out about capture files before DPDK opens them.
#include "runtime/capture_probe.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/capture_file.hpp"

namespace flowloom {
namespace {

using testing::pattern;
using testing::pcap_bytes;
using testing::pcapng_bytes;
using testing::Record;
using testing::write_bytes;

constexpr std::uint32_t kLinktypeRaw = 101;

std::vector<Record> three_records() {
  return {{1, pattern(60, 1)}, {2, pattern(9014, 2)}, {3, {}}};
}

class CaptureProbeTest : public ::testing::Test {
 protected:
  std::string write(const std::vector<std::uint8_t>& bytes) {
    const std::string path = folder_.file("capture");
    write_bytes(path, bytes);
    return path;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(CaptureProbeTest, FindsTheLinkTypeInEveryFormat) {
  const std::vector<Record> records = three_records();
  const std::vector<std::vector<std::uint8_t>> files = {
      pcap_bytes(records, kLinktypeRaw),
      pcap_bytes(records, kLinktypeRaw, true),
      pcap_bytes(records, kLinktypeRaw, false, 0xa1b23c4d),
      pcap_bytes(records, kLinktypeRaw | 0xf4000000u),
      pcapng_bytes(records, kLinktypeRaw),
      pcapng_bytes(records, kLinktypeRaw, true)};
  for (const auto& file : files) {
    const CaptureProbe probe = probe_capture(write(file));
    EXPECT_EQ(probe.problem, "");
    EXPECT_EQ(probe.linktype, kLinktypeRaw);
    EXPECT_TRUE(probe.regular);
  }
}

TEST_F(CaptureProbeTest, MeasuresAllRecords) {
  const std::vector<Record> records = three_records();
  for (const auto& file : {pcap_bytes(records), pcap_bytes(records, 1, true), pcapng_bytes(records),
                           pcapng_bytes(records, 1, true)}) {
    const CaptureExtent extent = measure_capture(write(file));
    EXPECT_EQ(extent.packets, 3u);
    EXPECT_EQ(extent.largest, 9014u);
  }
}

TEST_F(CaptureProbeTest, NamesWhatIsWrong) {
  EXPECT_EQ(probe_capture(folder_.file("none")).problem,
            "cannot be opened: No such file or directory");
  EXPECT_EQ(probe_capture(folder_.file("")).problem, "is a folder, not a capture file");
  EXPECT_EQ(probe_capture(write({})).problem, "is empty");
  EXPECT_EQ(probe_capture(write(pattern(100, 3))).problem, "is not a pcap or pcapng file");
  EXPECT_EQ(probe_capture(write({0xd4, 0xc3, 0xb2, 0xa1})).problem, "is not a pcap or pcapng file");
  EXPECT_NE(probe_capture(write({0x1f, 0x8b, 8, 0, 0})).problem.find("compressed"),
            std::string::npos);
  std::vector<std::uint8_t> section = pcapng_bytes({});
  section.resize(28);
  EXPECT_NE(probe_capture(write(section)).problem.find("without an interface"), std::string::npos);
}

TEST_F(CaptureProbeTest, LeavesPipesAlone) {
  const std::string path = folder_.file("pipe");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(probe_capture(path).problem, "");  // would hang if it opened it
  EXPECT_FALSE(probe_capture(path).regular);
  EXPECT_EQ(probe_capture("-").problem, "");
}

TEST_F(CaptureProbeTest, EndsOnEveryTruncationAndEveryFlippedByte) {
  const std::vector<Record> records = {{1, pattern(20, 1)}, {2, pattern(30, 2)}};
  for (const auto& whole : {pcap_bytes(records), pcapng_bytes(records)}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::string path = write({whole.begin(), whole.begin() + static_cast<long>(size)});
      probe_capture(path);
      EXPECT_LE(measure_capture(path).packets, 2u);
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::vector<std::uint8_t> bytes = whole;
      bytes[at] ^= 0xff;
      const std::string path = write(bytes);
      probe_capture(path);
      EXPECT_LE(measure_capture(path).packets, whole.size() / 12);
    }
  }
}

}  // namespace
}  // namespace flowloom
