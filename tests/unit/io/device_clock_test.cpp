// Ticks of a counter become time: at any rate, with drift, and when somebody sets the time.
#include "io/device_clock.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>

namespace flowloom {
namespace {

constexpr std::int64_t kStart = 1'700'000'000'000'000'000;
constexpr std::int64_t kMillisecond = 1'000'000;

/// A counter of this rate that stood at `begin` at kStart.
struct Counter {
  double per_nanosecond;
  std::uint64_t begin;
  [[nodiscard]] std::uint64_t at(std::int64_t ns) const {
    return begin + static_cast<std::uint64_t>(std::llround(static_cast<double>(ns) *
                                                           per_nanosecond));
  }
};

TEST(DeviceClock, FollowsCountersOfAnyRate) {
  std::mt19937_64 random(1);
  for (const Counter counter : {Counter{1, 0}, Counter{0.15625, 12345}, Counter{1.000'02, 5},
                                Counter{0.64, ~std::uint64_t{0} - 1000}}) {
    DeviceClock clock;
    EXPECT_FALSE(clock.is_known());
    for (std::int64_t ms = 0; ms <= 1000; ms += 100) {
      const Timestamp now = from_nanoseconds(kStart + ms * kMillisecond);
      EXPECT_TRUE(clock.is_due(now));
      clock.align(counter.at(ms * kMillisecond), now);
      EXPECT_FALSE(clock.is_due(now));
    }
    ASSERT_TRUE(clock.is_known());
    for (int i = 0; i < 1000; ++i) {
      const auto ns = static_cast<std::int64_t>(random() % (1100 * kMillisecond));
      // The counter's own resolution is all that is lost.
      const double error = static_cast<double>(
          (clock.at(counter.at(ns)) - from_nanoseconds(kStart + ns)).count());
      EXPECT_LE(std::abs(error), 2 / counter.per_nanosecond + 1) << ns;
    }
  }
}

TEST(DeviceClock, FollowsTheSystemsTimeWhenItIsSet) {
  const Counter counter{1, 77};
  constexpr std::int64_t kSetBack = 3'600'000 * kMillisecond;
  DeviceClock clock;
  for (std::int64_t ms = 0; ms <= 500; ms += 100) {
    clock.align(counter.at(ms * kMillisecond), from_nanoseconds(kStart + ms * kMillisecond));
  }
  for (const std::int64_t shift : {-kSetBack, kSetBack}) {
    const Timestamp now = from_nanoseconds(kStart + 600 * kMillisecond + shift);
    clock.align(counter.at(600 * kMillisecond), now);
    EXPECT_EQ(clock.at(counter.at(600 * kMillisecond)), now);
    // The rate is still that of before.
    const auto later = clock.at(counter.at(650 * kMillisecond)) - now;
    EXPECT_NEAR(static_cast<double>(later.count()), 50.0 * kMillisecond, 10);
  }
}

TEST(DeviceClock, SurvivesACounterThatBeginsAnew) {
  DeviceClock clock;
  const auto align = [&](std::uint64_t ticks, std::int64_t ms) {
    clock.align(ticks, from_nanoseconds(kStart + ms * kMillisecond));
  };
  align(1'000'000'000, 0);
  align(1'100'000'000, 100);
  align(0, 200);
  align(100'000'000, 300);
  EXPECT_EQ(clock.at(100'000'000), from_nanoseconds(kStart + 300 * kMillisecond));
  EXPECT_NEAR(static_cast<double>(to_nanoseconds(clock.at(50'000'000)) - kStart),
              250.0 * kMillisecond, 10);
}

}  // namespace
}  // namespace flowloom
