// Copies stay whole until they are freed, in one piece each, whatever the sizes.
#include "io/copy_ring.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

namespace flowloom {
namespace {

TEST(CopyRing, HoldsAFewOfTheLargestHoweverLittleIsAskedFor) {
  CopyRing ring(1, 1000);
  const std::vector<std::uint8_t> frame(1000, 7);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(ring.has_room()) << i;
    ring.copy(frame.data(), frame.size());
  }
  EXPECT_FALSE(ring.has_room());
}

TEST(CopyRing, IsWholeAgainWhenEverythingIsFree) {
  CopyRing ring(4096, 1024);
  const std::vector<std::uint8_t> frame(1024, 7);
  const std::uint8_t* const first = ring.copy(frame.data(), frame.size());
  ring.free_to(ring.mark());
  EXPECT_EQ(first, ring.copy(frame.data(), frame.size()));
}

TEST(CopyRing, KeepsEachEmptyCopyApart) {
  CopyRing ring(4096, 1024);
  ring.copy(nullptr, 0);
  const std::size_t first = ring.mark();
  ring.copy(nullptr, 0);
  EXPECT_NE(first, ring.mark());
}

// The model: a queue of vectors.
TEST(CopyRing, KeepsWhatIsNotFreedYet) {
  constexpr std::size_t kLargest = 700;
  CopyRing ring(10'000, kLargest);
  struct Held {
    const std::uint8_t* copy;
    std::size_t mark;
    std::vector<std::uint8_t> bytes;
  };
  std::deque<Held> held;
  std::mt19937 random(1);
  std::size_t refused = 0;
  for (int step = 0; step < 100'000; ++step) {
    if (ring.has_room() && random() % 5 < 3) {
      std::vector<std::uint8_t> bytes(random() % (kLargest + 1));
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
      const std::uint8_t* const copy = ring.copy(bytes.data(), bytes.size());
      held.push_back({copy, ring.mark(), std::move(bytes)});
    } else if (!held.empty()) {
      if (!ring.has_room()) ++refused;
      for (std::size_t n = std::min<std::size_t>(held.size(), random() % 3 + 1); n > 0; --n) {
        const Held& oldest = held.front();
        ASSERT_TRUE(std::equal(oldest.bytes.begin(), oldest.bytes.end(), oldest.copy));
        const std::size_t mark = oldest.mark;
        held.pop_front();
        if (n == 1) ring.free_to(mark);
      }
    }
  }
  EXPECT_GT(refused, 100U);
}

}  // namespace
}  // namespace flowloom
