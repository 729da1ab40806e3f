// The writers of packets: what stands in their files, also where a connection comes in several
// messages, where files cannot all be open, and where the disk is full.
#include "sinks/app_flow_sink.hpp"
#include "sinks/pcap_sink.hpp"

#include "sink_test_support.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <memory>

namespace flowloom {
namespace {

using test::feed;
using test::kOrig;
using test::kResp;
using test::MessageBuilder;

constexpr std::int64_t kSecond = 1'000'000'000;

class PacketSinksTest : public ::testing::Test {
 protected:
  PacketSinksTest() { std::filesystem::create_directory(folder_ / "out"); }
  PcapSink pcap(std::size_t open_files = 100, std::uint64_t flat_files = 10'000) {
    return PcapSink(test::open_folder(folder_ / "out"), {.writer = "pcap",
                                                         .suffix = ".pcapng",
                                                         .open_files_max = open_files,
                                                         .flat_files_max = flat_files});
  }
  AppFlowSink app_flow(std::string_view list = "") {
    std::vector<AppFlowColumn> columns;
    EXPECT_EQ("", parse_app_flow_columns(list, columns));
    return AppFlowSink(test::open_folder(folder_ / "out"),
                       {.writer = "app-flow", .suffix = ".app_flow"}, columns);
  }
  [[nodiscard]] std::vector<std::string> files() const {
    return test::files_below(folder_ / "out");
  }
  [[nodiscard]] std::string only_file() const {
    EXPECT_EQ(1U, files().size());
    return test::read_file(folder_ / ("out/" + files().front()));
  }
  test::TempFolder folder_;
};

/// Lengths of blocks stand at both ends: the number of blocks of each type, or nothing where a
/// file is not whole blocks.
std::map<std::uint32_t, int> blocks_of(const std::string& file) {
  std::map<std::uint32_t, int> counts;
  for (std::size_t at = 0; at < file.size();) {
    std::uint32_t head[2] = {};
    if (file.size() - at < 12) return {};
    std::memcpy(head, file.data() + at, sizeof head);
    std::uint32_t tail = 0;
    if (head[1] % 4 != 0 || head[1] > file.size() - at) return {};
    std::memcpy(&tail, file.data() + at + head[1] - 4, sizeof tail);
    if (tail != head[1]) return {};
    ++counts[head[0]];
    at += head[1];
  }
  return counts;
}

constexpr std::uint32_t kSection = 0x0a0d0d0a;
constexpr std::uint32_t kPacket = 6;

TEST_F(PacketSinksTest, MessagesOfAConnectionMakeOneCapture) {
  std::string whole;
  for (const bool in_one : {true, false}) {
    PcapSink sink = pcap();
    MessageBuilder first(13);
    first.packet(kOrig, kSecond, "abcde").packet(kResp, 2 * kSecond + 1, "fgh");
    MessageBuilder last(13);
    if (!in_one) {
      first.progress();
      feed(sink, first);
      EXPECT_TRUE(files().front().ends_with(".pcapng.part"));
      last.after(first.message());
      last.packet(kResp, 3 * kSecond, "", {.marks = packet_marks::kRetransmission});
      feed(sink, last);
    } else {
      first.packet(kResp, 3 * kSecond, "", {.marks = packet_marks::kRetransmission});
      feed(sink, first);
    }
    sink.finish();
    EXPECT_EQ(1U, sink.status().records);
    const std::string file = only_file();
    EXPECT_EQ(3, blocks_of(file)[kPacket]);
    EXPECT_EQ(2, blocks_of(file)[kSection]);
    EXPECT_NE(std::string::npos, file.find("retransmission"));
    EXPECT_NE(std::string::npos, file.find(R"({"uid":"C)"));
    EXPECT_TRUE(files().front().ends_with(".pcapng"));
    EXPECT_TRUE(in_one || whole == file) << "borders of messages show";
    whole = file;
    std::filesystem::remove(folder_ / ("out/" + files().front()));
  }
}

TEST_F(PacketSinksTest, AGapIsToldAtThePacketThatMadeItKnown) {
  PcapSink sink = pcap();
  MessageBuilder first;
  // Announced, and its packet comes with the next message.
  first.gap(kResp, {.offset = 5, .length = 77, .cause = GapCause::Cut}).progress();
  feed(sink, first);
  MessageBuilder last;
  last.after(first.message()).packet(kOrig, kSecond, "x", {.gaps = {0, 1}});
  feed(sink, last);
  sink.finish();
  EXPECT_NE(std::string::npos, only_file().find("gap: 77 bytes from 10.1.1.1:80 at 5, cut"));
}

TEST_F(PacketSinksTest, MoreConnectionsThanOpenFiles) {
  PcapSink sink = pcap(2, 3);
  constexpr std::uint64_t kConnections = 9;
  std::vector<std::unique_ptr<MessageBuilder>> messages;
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t n = 1; n <= kConnections; ++n) {
      messages.push_back(std::make_unique<MessageBuilder>());
      MessageBuilder& message = *messages.back();
      message.number(n).packet(kOrig, round * kSecond, std::string(100, 'p'));
      message.message().first = round == 0;
      message.record().start = from_nanoseconds(kSecond);
      if (round < 2) message.progress();
      feed(sink, message);
    }
  }
  sink.finish();
  EXPECT_EQ(kConnections, sink.status().records);
  EXPECT_EQ("", sink.status().first_error);
  ASSERT_EQ(kConnections, files().size());
  std::size_t spread = 0;
  for (const std::string& name : files()) {
    EXPECT_EQ(3, blocks_of(test::read_file(folder_ / ("out/" + name)))[kPacket]) << name;
    spread += name.starts_with("04/");  // the fourth quarter since 1970
  }
  EXPECT_EQ(kConnections - 3, spread);
}

TEST_F(PacketSinksTest, FullDiskLeavesWholeBlocksAndIsCounted) {
  PcapSink sink = pcap();
  MessageBuilder first;
  first.packet(kOrig, kSecond, std::string(500, 'a')).progress();
  MessageBuilder second;
  MessageBuilder whole;
  whole.number(2).packet(kOrig, kSecond, std::string(3000, 'c'));
  {
    const test::FileSizeLimit limit(2000);
    feed(sink, first);
    second.after(first.message()).packet(kResp, 2 * kSecond, std::string(3000, 'b'));
    feed(sink, second);
    feed(sink, whole);
  }
  sink.finish();
  EXPECT_EQ(0U, sink.status().records);
  EXPECT_EQ(2U, sink.status().dropped);
  EXPECT_NE("", sink.status().first_error);
  EXPECT_GT(sink.status().dropped_bytes, 6000U);
  const std::string file = only_file();  // the other one would have been no whole capture
  EXPECT_TRUE(files().front().ends_with(".part"));
  EXPECT_EQ(1, blocks_of(file)[kPacket]);
}

TEST_F(PacketSinksTest, TheTenColumns) {
  AppFlowSink sink = app_flow();
  MessageBuilder first;
  first.packet(kOrig, 1600000000 * kSecond + 999'000, "").progress();
  feed(sink, first);
  MessageBuilder last;
  last.after(first.message());
  last.packet(kResp, 1600000000 * kSecond + 1'999'000, "", {.payload_length = 48});
  last.packet(kOrig, 1600000000 * kSecond + 1'999'001, "", {.payload_length = 24});
  last.packet(kResp, 1600000000 * kSecond, "");  // stamps may go back
  feed(sink, last);
  sink.finish();
  EXPECT_EQ(
      "1600000000.000999 0 0 0.0 0.0 0 0.0 0.0 0.0 0.0\n"
      "1600000000.001999 1 48 0.0 48.0 48 0.001000 0.0 0.0 0.001000\n"
      "1600000000.001999001 0 24 24.0 48.0 72 0.000000001 0.001000001 0.0 0.001000001\n"
      "1600000000.000000 1 0 24.0 48.0 72 -0.001999001 0.001000001 -0.001999 -0.000999\n",
      only_file());
}

TEST_F(PacketSinksTest, ColumnsOfChoice) {
  AppFlowSink sink = app_flow("Notes,FrameLength,Flow");
  MessageBuilder builder;
  builder.packet(kResp, 0, "",
                 {.wire_length = 60,
                  .marks = packet_marks::kBadChecksum | packet_marks::kOutOfOrder});
  builder.packet(kOrig, 0, "");
  feed(sink, builder);
  sink.finish();
  EXPECT_EQ("oc 60 10.1.1.1:80==>10.1.1.101:3177\n- 0 10.1.1.101:3177==>10.1.1.1:80\n",
            only_file());
  std::vector<AppFlowColumn> columns;
  EXPECT_NE("", parse_app_flow_columns("Notes,,Flow", columns));
}

}  // namespace
}  // namespace flowloom
