// 802.11 aggregates among other frames: every subframe comes out, in order, and frames are
// released when their last part is.
#include "io/amsdu_splitter.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/memory_source.hpp"

namespace flowloom {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// A QoS data frame that carries `contents` as an A-MSDU, or plain where there is one.
Bytes wifi_aggregate(const std::vector<std::string>& contents) {
  Bytes frame(26, 0);
  frame[0] = 0x88; // QoS data
  frame[24] = 0x80; // A-MSDU present
  for (const std::string& content : contents) {
    while (frame.size() % 4 != 2) frame.push_back(0); // subframes are padded to four bytes
    frame.insert(frame.end(), 12, 0x02);
    frame.push_back(0);
    frame.push_back(static_cast<std::uint8_t>(content.size()));
    frame.insert(frame.end(), content.begin(), content.end());
  }
  return frame;
}

MemoryFrame frame_of(Bytes bytes, LinkType link) {
  MemoryFrame frame;
  frame.bytes = std::move(bytes);
  frame.link = link;
  return frame;
}

struct Seen {
  std::vector<std::string> contents;
  std::uint32_t subframes = 0;
};

Seen read_all(MemorySource& inner, std::uint32_t limit) {
  AmsduSplitter splitter(inner);
  Seen seen;
  Burst burst;
  burst.limit = limit;
  std::uint64_t number = 0;
  while (splitter.receive(burst) == SourceState::Packets) {
    EXPECT_LE(burst.size, limit);
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      const Packet& packet = burst.packets[i];
      EXPECT_EQ(packet.number, ++number);
      const std::size_t skip = packet.link == LinkType::Ethernet ? 14 : 0;
      seen.contents.emplace_back(packet.frame + skip, packet.frame + packet.captured);
      seen.subframes += packet.has(packet_flags::kSubframe) ? 1U : 0U;
    }
    splitter.release(burst);
  }
  return seen;
}

TEST(AmsduSplitter, GivesEverySubframeInOrder) {
  Bytes ethernet(14, 1);
  ethernet.push_back('e');
  std::vector<MemoryFrame> frames;
  for (int i = 0; i < 40; ++i) frames.push_back(frame_of(ethernet, LinkType::Ethernet));
  frames.push_back(frame_of(wifi_aggregate({"one", "second", "3"}), LinkType::Ieee80211));
  frames.push_back(frame_of(ethernet, LinkType::Ethernet));
  for (const std::uint32_t limit : {1U, 2U, 7U, 32U}) {
    MemorySource inner(frames);
    const Seen seen = read_all(inner, limit);
    ASSERT_EQ(seen.contents.size(), 44U);
    EXPECT_EQ(seen.contents[39], "e");
    EXPECT_EQ(seen.contents[40], "one");
    EXPECT_EQ(seen.contents[41], "second");
    EXPECT_EQ(seen.contents[42], "3");
    EXPECT_EQ(seen.contents[43], "e");
    EXPECT_EQ(seen.subframes, 2U);
    EXPECT_EQ(inner.released(), 42U);
  }
}

TEST(AmsduSplitter, PassesOtherFramesOnAsTheyAre) {
  MemorySource inner({frame_of(Bytes(60, 7), LinkType::Ethernet)});
  const Seen seen = read_all(inner, 32);
  ASSERT_EQ(seen.contents.size(), 1U);
  EXPECT_EQ(seen.contents[0].size(), 46U);
  EXPECT_EQ(seen.subframes, 0U);
}

}  // namespace
}  // namespace flowloom
