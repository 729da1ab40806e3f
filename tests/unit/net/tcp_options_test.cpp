// TCP options: every kind that is read, and what garbage does.
#include "net/tcp_options.hpp"

#include <gtest/gtest.h>

#include <random>

#include "frame_bytes.hpp"

namespace flowloom::test {
namespace {

TEST(TcpOptions, OfASyn) {
  const Bytes bytes =
      join({{2, 4, 5, 0xb4, 4, 2, 8, 10}, be32(0x11223344), be32(0), {1, 3, 3, 200}});
  const TcpOptions options = parse_tcp_options(bytes);
  EXPECT_EQ(options.mss, 1460);
  EXPECT_EQ(options.window_scale, 200);  // raw
  EXPECT_EQ(options.timestamp_value, 0x11223344U);
  EXPECT_TRUE(options.has(TcpOptions::kMss));
  EXPECT_TRUE(options.has(TcpOptions::kWindowScale));
  EXPECT_TRUE(options.has(TcpOptions::kSackPermitted));
  EXPECT_TRUE(options.has(TcpOptions::kTimestamps));
  EXPECT_FALSE(options.has(TcpOptions::kMalformed));
}

TEST(TcpOptions, AlignedTimestampsAndTheSameElsewhere) {
  for (const Bytes& bytes :
       {join({{1, 1, 8, 10}, be32(7), be32(9)}), join({{8, 10}, be32(7), be32(9), {1, 1}})}) {
    const TcpOptions options = parse_tcp_options(bytes);
    EXPECT_EQ(options.timestamp_value, 7U);
    EXPECT_EQ(options.timestamp_echo, 9U);
    EXPECT_EQ(options.present, TcpOptions::kTimestamps);
  }
}

TEST(TcpOptions, SackBlocks) {
  const Bytes bytes = join({{1, 1, 5, 34},
                            be32(1),
                            be32(2),
                            be32(3),
                            be32(4),
                            be32(5),
                            be32(6),
                            be32(0xfffffff0),
                            be32(8)});
  const TcpOptions options = parse_tcp_options(bytes);
  ASSERT_EQ(options.sack_count, 4);
  EXPECT_EQ(options.sack[0].begin, SeqNum{1});
  EXPECT_EQ(options.sack[3].begin, SeqNum{0xfffffff0});
  EXPECT_EQ(options.sack[3].end, SeqNum{8});
  EXPECT_EQ(parse_tcp_options(Bytes{5, 2}).sack_count, 0);
  EXPECT_EQ(parse_tcp_options(Bytes{5, 6, 1, 2, 3, 4}).sack_count, 0);
}

TEST(TcpOptions, StopsWhereALengthDoesNotFit) {
  for (const Bytes& bad : {Bytes{2}, Bytes{2, 0}, Bytes{2, 1}, Bytes{2, 4, 5}, Bytes{99, 255}}) {
    const TcpOptions options = parse_tcp_options(join({{3, 3, 7}, bad}));
    EXPECT_TRUE(options.has(TcpOptions::kMalformed));
    EXPECT_TRUE(options.has(TcpOptions::kWindowScale));
    EXPECT_FALSE(options.has(TcpOptions::kMss));
  }
}

TEST(TcpOptions, EndMarkerEnds) {
  const TcpOptions options = parse_tcp_options(Bytes{1, 0, 3, 3, 7, 99, 255});
  EXPECT_EQ(options.present, 0);
}

TEST(TcpOptions, WrongLengthOfAKnownKindIsPassedOver) {
  const TcpOptions options =
      parse_tcp_options(Bytes{2, 3, 9, 4, 3, 9, 8, 3, 9, 3, 4, 9, 9, 3, 3, 5});
  EXPECT_EQ(options.present, TcpOptions::kWindowScale);
  EXPECT_EQ(options.window_scale, 5);
}

TEST(TcpOptions, LastCopyCounts) {
  EXPECT_EQ(parse_tcp_options(Bytes{3, 3, 7, 3, 3, 2}).window_scale, 2);
}

TEST(TcpOptions, RandomBytesStayInside) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes(random() % 41);  // on the heap at its exact size, so that ASan sees a step outside
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random() % 12);
    EXPECT_LE(parse_tcp_options(bytes).sack_count, kMaxSackBlocks);
  }
}

}  // namespace
}  // namespace flowloom::test
