// From stamps to the clock: ordinary traffic, single odd stamps, confirmed steps, extremes.
#include "net/packet_clock_rule.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace flowloom {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr std::int64_t kYear = 31'556'952 * kSecond;
constexpr std::int64_t kBase = 1'500'000'000 * kSecond;

std::int64_t advance(PacketClockRule& rule, std::int64_t stamp) {
  return to_nanoseconds(rule.advance(from_nanoseconds(stamp)));
}

TEST(PacketClockRule, FollowsStampsForward) {
  PacketClockRule rule;
  for (const std::int64_t at : {0L, 1L, kSecond, kSecond + kHour, kSecond + 2 * kHour}) {
    EXPECT_EQ(advance(rule, kBase + at), kBase + at);
  }
  EXPECT_EQ(rule.bad_timestamps(), 0U);
}

TEST(PacketClockRule, SmallStepsBackHoldTheClock) {
  PacketClockRule rule;
  advance(rule, kBase);
  EXPECT_EQ(advance(rule, kBase - kSecond), kBase);
  EXPECT_EQ(advance(rule, kBase + 5), kBase + 5);
  EXPECT_EQ(rule.bad_timestamps(), 0U);
}

std::int64_t advance(PacketClockRule& rule, std::int64_t stamp, std::int64_t next) {
  return to_nanoseconds(rule.advance(from_nanoseconds(stamp), from_nanoseconds(next)));
}

TEST(PacketClockRule, TheNextStampConfirmsTheStepOfThisOne) {
  PacketClockRule rule;
  advance(rule, kBase);
  const std::int64_t later = kBase + 10 * kHour;
  EXPECT_TRUE(rule.wants_next(from_nanoseconds(later)));
  EXPECT_EQ(advance(rule, later, later + 1), later);
  EXPECT_FALSE(rule.wants_next(from_nanoseconds(later + 1)));
  EXPECT_EQ(advance(rule, later + 1), later + 1);
  EXPECT_EQ(rule.bad_timestamps(), 0U);
}

TEST(PacketClockRule, TheNextStampConfirmsAStepBack) {
  PacketClockRule rule;
  advance(rule, kBase);
  EXPECT_EQ(advance(rule, kBase - 10 * kHour, kBase - 10 * kHour + 3), kBase);
  EXPECT_EQ(advance(rule, kBase - 10 * kHour + 3), kBase + 3);
  EXPECT_EQ(rule.bad_timestamps(), 0U);
}

TEST(PacketClockRule, TheNextStampRefutesTheStepOfThisOne) {
  PacketClockRule rule;
  advance(rule, kBase);
  EXPECT_EQ(advance(rule, kBase + 48 * kYear, kBase + 1), kBase);
  EXPECT_EQ(advance(rule, kBase + 1, kBase + 2), kBase + 1);
  EXPECT_EQ(advance(rule, kBase + 20 * kYear, kBase + 40 * kYear), kBase + 1);
  EXPECT_EQ(advance(rule, kBase + 40 * kYear, kBase + 2), kBase + 1);
  EXPECT_EQ(advance(rule, kBase + 2), kBase + 2);
  EXPECT_EQ(rule.bad_timestamps(), 3U);
}

// case: K03
TEST(PacketClockRule, OnePacketYearsAheadAgesNobody) {
  PacketClockRule rule;
  advance(rule, kBase);
  EXPECT_EQ(advance(rule, kBase + 48 * kYear), kBase);
  EXPECT_EQ(rule.bad_timestamps(), 1U);
  EXPECT_EQ(advance(rule, kBase + kSecond), kBase + kSecond);
  EXPECT_EQ(rule.bad_timestamps(), 1U);
}

TEST(PacketClockRule, OnePacketYearsBackAgesNobody) {
  PacketClockRule rule;
  advance(rule, kBase);
  EXPECT_EQ(advance(rule, 0), kBase);
  EXPECT_EQ(advance(rule, kBase + kSecond), kBase + kSecond);
  EXPECT_EQ(rule.bad_timestamps(), 1U);
}

TEST(PacketClockRule, ConfirmedStepForwardIsTime) {
  PacketClockRule rule;
  advance(rule, kBase);
  EXPECT_EQ(advance(rule, kBase + 10 * kHour), kBase);
  EXPECT_EQ(advance(rule, kBase + 10 * kHour + 1), kBase + 10 * kHour + 1);
  EXPECT_EQ(advance(rule, kBase + 10 * kHour + kSecond), kBase + 10 * kHour + kSecond);
  EXPECT_EQ(rule.bad_timestamps(), 0U);
}

TEST(PacketClockRule, ConfirmedStepBackIsAnotherBase) {
  PacketClockRule rule;
  advance(rule, kBase);
  const std::int64_t back = kBase - 10 * kHour;
  EXPECT_EQ(advance(rule, back), kBase);
  EXPECT_EQ(advance(rule, back + 5), kBase + 5);  // 5 ns have passed since the step
  EXPECT_EQ(advance(rule, back + kSecond), kBase + kSecond);
  EXPECT_EQ(rule.bad_timestamps(), 0U);
  // Forward again, confirmed: time passes on the new base.
  EXPECT_EQ(advance(rule, back + 5 * kHour), kBase + kSecond);
  EXPECT_EQ(advance(rule, back + 5 * kHour + 1), kBase + 5 * kHour + 1);
}

TEST(PacketClockRule, FirstPacketAhead) {
  PacketClockRule rule;
  const std::int64_t ahead = kBase + 48 * kYear;
  EXPECT_EQ(advance(rule, ahead), ahead);
  EXPECT_EQ(advance(rule, kBase), ahead);
  EXPECT_EQ(advance(rule, kBase + 7), ahead + 7);
}

TEST(PacketClockRule, UnconfirmedOddStampsAreAllCounted) {
  PacketClockRule rule;
  advance(rule, kBase);
  advance(rule, kBase + 10 * kHour);
  advance(rule, kBase + 30 * kHour);
  advance(rule, kBase - 30 * kHour);
  EXPECT_EQ(rule.bad_timestamps(), 3U);
  EXPECT_EQ(advance(rule, kBase + 1), kBase + 1);
  EXPECT_EQ(rule.bad_timestamps(), 3U);
}

// Two inputs of different clocks merged packet by packet: the first one's stamps go on.
TEST(PacketClockRule, InterleavedSecondClockIsIgnored) {
  PacketClockRule rule;
  for (std::int64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(advance(rule, kBase + i), kBase + i);
    EXPECT_EQ(advance(rule, kBase - kYear + i), kBase + i);
  }
  EXPECT_EQ(rule.bad_timestamps(), 100U);
}

TEST(PacketClockRule, NeverRunsBackWhateverTheStamps) {
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  const std::int64_t odd[] = {kMin, kMin + 1, -kBase, -1, 0, 1, kBase, kBase + 1, kMax - 1, kMax};
  std::mt19937 random(5);
  for (int run = 0; run < 300; ++run) {
    PacketClockRule rule;
    std::int64_t last = kMin;
    for (int i = 0; i < 100; ++i) {
      const std::int64_t clock = advance(rule, odd[random() % std::size(odd)]);
      ASSERT_GE(clock, last);
      last = clock;
    }
  }
}

TEST(PacketClockRule, GoesOnAfterAnExtremeStep) {
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  PacketClockRule rule;
  advance(rule, kMin);
  advance(rule, kBase);
  EXPECT_EQ(advance(rule, kBase + 1), kBase + 1);
  EXPECT_EQ(advance(rule, kBase + kSecond), kBase + kSecond);
}

TEST(PacketClockRule, TimePassesWithoutPacketsWhereItIsTrusted) {
  PacketClockRule rule;
  EXPECT_FALSE(rule.pass(from_nanoseconds(kBase))) << "there is no clock yet";
  advance(rule, kBase);
  EXPECT_EQ(from_nanoseconds(kBase + kSecond), rule.pass(from_nanoseconds(kBase + kSecond)));
  EXPECT_FALSE(rule.pass(from_nanoseconds(kBase))) << "back";
  EXPECT_FALSE(rule.pass(from_nanoseconds(kBase + 10'000 * kSecond))) << "hours at a time";
  // A packet that was late after all has the clock of now, and is no bad stamp.
  EXPECT_EQ(advance(rule, kBase + kSecond / 2), kBase + kSecond);
  EXPECT_EQ(advance(rule, kBase + 2 * kSecond), kBase + 2 * kSecond);
  EXPECT_EQ(rule.bad_timestamps(), 0U);
}

}  // namespace
}  // namespace flowloom
