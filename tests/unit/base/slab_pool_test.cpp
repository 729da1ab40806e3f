// SlabPool: every index once, zeroed objects, last freed first reused.
#include "base/slab_pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "base/time.hpp"

namespace flowloom {
namespace {

struct Object {
  std::uint64_t a;
  std::uint32_t b[5];
};

bool is_zero(const Object& object) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&object);
  return std::all_of(bytes, bytes + sizeof object, [](unsigned char c) { return c == 0; });
}

TEST(SlabPool, HandsOutEachIndexOnceAndZeroed) {
  constexpr std::uint32_t kCapacity = 50;
  SlabPool<Object> pool(kCapacity);
  std::vector<std::uint32_t> taken;
  std::mt19937 random(7);
  for (int step = 0; step < 20000; ++step) {
    if (random() % 2 == 0 && !taken.empty()) {
      const std::size_t i = random() % taken.size();
      pool.give_back(taken[i]);
      taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      const std::uint32_t index = pool.take();
      ASSERT_EQ(index == kNoIndex, taken.size() == kCapacity);
      if (index != kNoIndex) {
        ASSERT_LT(index, kCapacity);
        ASSERT_EQ(std::count(taken.begin(), taken.end(), index), 0);
        ASSERT_TRUE(is_zero(pool[index]));
        std::memset(static_cast<void*>(&pool[index]), 0xff, sizeof(Object));
        taken.push_back(index);
      }
    }
    ASSERT_EQ(pool.in_use(), taken.size());
    ASSERT_LE(pool.high_water(), kCapacity);
  }
}

TEST(SlabPool, ReusesTheLastFreedFirst) {
  SlabPool<Object> pool(10);
  const std::uint32_t a = pool.take();
  const std::uint32_t b = pool.take();
  pool.give_back(a);
  pool.give_back(b);
  EXPECT_EQ(pool.take(), b);
  EXPECT_EQ(pool.take(), a);
  EXPECT_EQ(pool.high_water(), 2u);
}

TEST(SlabPool, EmptyPoolHasNothing) {
  SlabPool<Object> none;
  EXPECT_EQ(none.take(), kNoIndex);
  SlabPool<Object> zero(0);
  EXPECT_EQ(zero.take(), kNoIndex);
}

#ifndef NDEBUG
TEST(SlabPoolDeathTest, GivingBackWhatWasNeverTakenIsFound) {
  SlabPool<Object> pool(10);
  EXPECT_DEATH(pool.give_back(3), "fresh_");
}
#endif

TEST(SaturatingAdd, StopsAtTheEnds) {
  EXPECT_EQ(saturating_add(kTimeMax, Duration{1}), kTimeMax);
  EXPECT_EQ(saturating_add(kTimeMin, Duration{-1}), kTimeMin);
  EXPECT_EQ(saturating_add(from_nanoseconds(5), Duration{-7}), from_nanoseconds(-2));
}

}  // namespace
}  // namespace flowloom
