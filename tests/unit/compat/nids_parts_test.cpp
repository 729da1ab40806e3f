// Parts of the libnids drop-in that its clients see only by chance: resets, options, queues.
#include <gtest/gtest.h>

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "compat/nids/half_buffer.hpp"
#include "compat/nids/ip_rules.hpp"
#include "compat/nids/link_rules.hpp"
#include "compat/nids/packet_queue.hpp"
#include "compat/nids/reset_sender.hpp"
#include "compat/nids/scan_log.hpp"
#include "compat/nids/segment_store.hpp"
#include "compat/nids/tcp_values.hpp"

namespace flowloom::nids {
namespace {

/// RFC 1071 as its text has it: 16-bit words, carries added back.
std::uint16_t plain_checksum(const std::vector<std::uint8_t>& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    sum += std::uint32_t{bytes[i]} << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0U);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

TEST(NidsResets, AreFourValidPacketsAtWhatIsExpectedAndHalfAWindowOn) {
  tcp_stream stream{};
  stream.addr = {1234, 80, inet_addr("10.0.0.1"), inet_addr("10.0.0.2")};
  stream.server.ack_seq = 1000;
  stream.server.window = 8000;
  stream.server.wscale = 4;
  stream.client.ack_seq = 0xfffffff0;
  stream.client.window = 100;
  stream.client.wscale = 1;
  const auto resets = resets_of(stream);
  const std::uint32_t seqs[] = {1000, 17000, 0xfffffff0, 0x22};
  for (std::size_t i = 0; i < resets.size(); ++i) {
    const std::vector<std::uint8_t> packet(resets[i].begin(), resets[i].end());
    EXPECT_EQ(plain_checksum({packet.begin(), packet.begin() + 20}), 0);
    std::vector<std::uint8_t> segment(packet.begin() + 12, packet.begin() + 20);  // addresses
    segment.insert(segment.end(), {0, 6, 0, 20});
    segment.insert(segment.end(), packet.begin() + 20, packet.end());
    EXPECT_EQ(plain_checksum(segment), 0);
    EXPECT_EQ(load_be32(&packet[24]), seqs[i]);
    EXPECT_EQ(packet[33], TH_RST);
    EXPECT_EQ(load_be16(&packet[20]), i < 2 ? 1234 : 80);
    EXPECT_EQ(packet[15], i < 2 ? 1 : 2);
  }
}

struct OptionCase {
  const char* what;
  std::vector<std::uint8_t> options;
  bool fine;
};

TEST(NidsIpOptions, AreJudgedAsTheOldKernelDid) {
  const OptionCase cases[] = {
      {"end at once", {0, 9, 9, 9}, true},
      {"no operations", {1, 1, 1, 1}, true},
      {"loose source route", {131, 3, 4, 0}, false},
      {"strict source route", {1, 137, 3, 4}, false},
      {"room to record", {7, 7, 4, 0, 0, 0, 0, 0}, true},
      {"full record", {7, 7, 8, 0, 0, 0, 0, 0}, true},
      {"record without room for an address", {7, 7, 6, 0, 0, 0, 0, 0}, false},
      {"pointer into the option's head", {7, 7, 3, 0, 0, 0, 0, 0}, false},
      {"two records", {7, 3, 4, 7, 3, 4, 0, 0}, false},
      {"stamp", {68, 8, 5, 0, 0, 0, 0, 0}, true},
      {"stamp with address and no room for it", {68, 8, 5, 1, 0, 0, 0, 0}, false},
      {"stamp of an unknown kind", {68, 8, 5, 2, 0, 0, 0, 0}, false},
      {"too many stamps were missed", {68, 4, 5, 0xf0}, false},
      {"an unknown option", {148, 4, 0, 0}, true},
      {"longer than the header", {148, 5, 0, 0}, false},
      {"of one byte", {148, 1, 0, 0}, false},
      {"type alone at the end", {1, 1, 1, 148}, false},
  };
  for (const OptionCase& one : cases) {
    std::vector<std::uint8_t> header(20);
    header[0] = static_cast<std::uint8_t>(0x45 + one.options.size() / 4);
    header.insert(header.end(), one.options.begin(), one.options.end());
    EXPECT_EQ(options_are_fine(header.data()), one.fine) << one.what;
  }
}

TEST(NidsTcpValues, LastTimestampCountsAndScaleIsBounded) {
  std::vector<std::uint8_t> tcp(20);
  const std::vector<std::uint8_t> options = {3, 3, 200, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0,
                                             8, 10, 0, 0, 0, 2, 0, 0, 0, 0};
  tcp.insert(tcp.end(), options.begin(), options.end());
  EXPECT_EQ(timestamp_of(tcp.data(), 44), 2U);
  EXPECT_EQ(timestamp_of(tcp.data(), 40), 1U);  // the second has no room any more
  EXPECT_EQ(timestamp_of(tcp.data(), 20), std::nullopt);
  EXPECT_EQ(window_scale_of(tcp.data(), 44), 1U << 14);
}

TEST(NidsLinkRules, NoFrameIsReadBehindItsEnd) {
  for (const int link : {DLT_EN10MB, DLT_NULL, DLT_PPP, DLT_IEEE802, DLT_FDDI, DLT_LINUX_SLL,
                         DLT_IEEE802_11, DLT_PRISM_HEADER, DLT_IEEE802_11_RADIO, DLT_RAW}) {
    std::mt19937 random(7);
    for (std::uint32_t size = 0; size < 200; ++size) {
      std::vector<std::uint8_t> frame(size);  // of its exact size, for the sanitizer
      std::generate(frame.begin(), frame.end(),
                    [&] { return static_cast<std::uint8_t>(random() & 8); });
      EXPECT_TRUE(link_type_is_known(link));
      find_ip_header(link, {frame.data(), size, size});
    }
  }
}

TEST(NidsHalfBuffer, KeepsWhatIsLeftAndGrowsAsLibnidsDoes) {
  HalfBuffer buffer;
  half_stream half{};
  const std::vector<std::uint8_t> bytes(3000, 'x');
  buffer.append(half, ByteView(bytes).first(100));
  EXPECT_EQ(half.bufsize, 4096);
  buffer.drop(half, 40);
  EXPECT_EQ(half.offset, 40);
  buffer.append(half, ByteView(bytes));
  EXPECT_EQ(half.count, 3100);
  buffer.drop(half, 0);
  const std::vector<std::uint8_t> others(3000, 'y');
  buffer.append(half, ByteView(others));
  EXPECT_EQ(half.bufsize, 8192);
  EXPECT_EQ(std::string(half.data, 6060), std::string(3060, 'x') + std::string(3000, 'y'));
  half_stream other{};
  buffer.append(other, ByteView(bytes));  // does not disturb what the first one keeps
  EXPECT_EQ(other.bufsize, 6000);
  EXPECT_EQ(half.data[6059], 'y');
  buffer.release(half);
  buffer.release(other);
}

TEST(NidsSegmentStore, SegmentsDoNotShareMemory) {
  std::mt19937 random(3);
  SegmentStore store;
  std::map<skbuff*, std::vector<std::uint8_t>> held;
  for (int step = 0; step < 3000; ++step) {
    if (held.size() > 50 || (random() % 2 == 0 && !held.empty())) {
      const auto gone = std::next(held.begin(), static_cast<long>(random() % held.size()));
      ASSERT_EQ(0, std::memcmp(gone->first->data, gone->second.data(), gone->second.size()));
      store.give_back(gone->first);
      held.erase(gone);
      continue;
    }
    const std::vector<std::uint8_t> bytes(random() % 65536, static_cast<std::uint8_t>(step));
    skbuff* const taken = store.take(bytes);
    ASSERT_NE(taken, nullptr);
    ASSERT_TRUE(held.emplace(taken, bytes).second);
  }
  for (const auto& [segment, bytes] : held) store.give_back(segment);
}

TEST(NidsPacketQueue, DropsOrWaitsWhenFull) {
  const pcap_pkthdr header{{}, 1, 1};
  const u_char byte = 'a';
  PacketQueue live(2, WhenFull::Drop);
  for (int i = 0; i < 5; ++i) live.push(header, &byte);
  EXPECT_EQ(live.dropped(), 3U);
  PacketQueue file(1, WhenFull::Wait);
  int got = 0;
  std::thread worker([&] {
    for (PacketQueue::Packet packet; file.pop(packet);) got += packet.data[0] == 'a' ? 1 : 0;
  });
  for (int i = 0; i < 100; ++i) file.push(header, &byte);
  file.close();
  worker.join();
  EXPECT_EQ(got, 100);
}

/// Distinct ports asked for, a second apart, until the alarm; 0: none.
int ports_until_alarm(ScanDelay delay, int delay_ms) {
  ScanLog log({16, 5, delay_ms, delay, {}});
  for (int port = 1; port <= 50; ++port) {
    const auto* host = log.add({1, 2, static_cast<std::uint16_t>(port), TH_SYN,
                                from_nanoseconds(std::int64_t{port} * 1'000'000'000)});
    if (host != nullptr) return host->n_packets;
  }
  return 0;
}

TEST(NidsScanLog, CountsAgeWhereTheDelayIsHonoured) {
  EXPECT_EQ(ports_until_alarm(ScanDelay::Ignored, 100), 6);
  EXPECT_EQ(ports_until_alarm(ScanDelay::Honoured, 100), 0);
  EXPECT_EQ(ports_until_alarm(ScanDelay::Honoured, 3000), 6);
}

TEST(NidsChecksumControl, FirstRuleThatFitsDecides) {
  const nids_chksum_ctl rules[] = {
      {inet_addr("10.0.0.5"), 0xffffffff, NIDS_DO_CHKSUM, 0},
      {inet_addr("10.0.0.0"), inet_addr("255.0.0.0"), NIDS_DONT_CHKSUM, 0}};
  const ChecksumControl control{rules, 2};
  EXPECT_TRUE(control.checks(inet_addr("10.0.0.5")));
  EXPECT_FALSE(control.checks(inet_addr("10.0.0.6")));
  EXPECT_TRUE(control.checks(inet_addr("11.0.0.6")));
}

}  // namespace
}  // namespace flowloom::nids
