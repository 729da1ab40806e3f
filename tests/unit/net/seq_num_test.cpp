// Sequence numbers and their unwrapping, around every place where they wrap.
#include "net/seq_num.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "net/stream_offset.hpp"

namespace flowloom {
namespace {

constexpr std::uint32_t kStarts[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffff5, 0xffffffff};

TEST(SeqNum, OrderIsCircular) {
  for (const std::uint32_t start : kStarts) {
    const SeqNum s{start};
    EXPECT_FALSE(s.before(s));
    EXPECT_TRUE(s.at_or_before(s));
    EXPECT_TRUE(s.before(s + 1));
    EXPECT_FALSE((s + 1).before(s));
    EXPECT_TRUE(s.before(s + 0x7fffffff));
    EXPECT_FALSE(s.before(s + 0x80000001));
    EXPECT_TRUE((s - 1).before(s));
    EXPECT_EQ(s.distance_to(s + 5), 5);
    EXPECT_EQ((s + 5).distance_to(s), -5);
    EXPECT_EQ(s + 3 - 3, s);
  }
}

TEST(SeqNum, WindowIsHalfOpen) {
  for (const std::uint32_t start : kStarts) {
    const SeqNum s{start};
    EXPECT_TRUE(s.in_window(s, 1));
    EXPECT_FALSE(s.in_window(s, 0));
    EXPECT_TRUE((s + 9).in_window(s, 10));
    EXPECT_FALSE((s + 10).in_window(s, 10));
    EXPECT_FALSE((s - 1).in_window(s, 10));
  }
}

TEST(Unwrap, FollowsAStreamOverManyWraps) {
  for (const std::uint32_t start : kStarts) {
    StreamOffset at = 0;
    SeqNum seq{start};
    for (int i = 0; i < 40; ++i) {
      const auto step = static_cast<std::uint32_t>(kMaxWindow);
      const StreamOffset next = unwrap(seq + step, at, seq);
      ASSERT_EQ(next, at + kMaxWindow);
      at = next;
      seq = seq + step;
    }
    EXPECT_EQ(at, 40 * kMaxWindow);
    EXPECT_EQ(unwrap(SeqNum{start} - 1, 0, SeqNum{start}), -1);
  }
}

}  // namespace
}  // namespace flowloom
