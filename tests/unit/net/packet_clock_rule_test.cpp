// From stamps to the clock: ordinary traffic, single odd stamps, confirmed steps, extremes.
#include "net/packet_clock_rule.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <random>
#include <vector>

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

// A run of usual stamps at once is what the rule makes of them one by one; a run that is not usual
// is never taken for one.
TEST(PacketClockRule, RunsAreAsOneByOne) {
  std::mt19937_64 random(7);
  std::uint64_t usual = 0;
  for (int round = 0; round < 2000; ++round) {
    PacketClockRule rule;
    std::int64_t stamp = kBase;
    if (round % 5 != 0) rule.advance(from_nanoseconds(stamp));
    if (round % 3 == 0) { // re-based, by a step back that was confirmed
      stamp -= 5 * kSecond;
      rule.advance(from_nanoseconds(stamp));
      rule.advance(from_nanoseconds(stamp));
    }
    if (round % 11 == 0) rule.advance(from_nanoseconds(kBase * 2)); // waits for confirmation
    std::vector<Timestamp> stamps;
    for (std::uint64_t count = 1 + random() % 6; count > 0; --count) {
      const std::uint64_t kind = random() % 30;
      if (kind == 0) {
        stamp -= static_cast<std::int64_t>(random() % 3000);
      } else if (kind == 1) {
        stamp += 3600 * kSecond + static_cast<std::int64_t>(random() % 3) - 1;
      } else if (kind == 2) {
        stamp = random() % 2 == 0 ? to_nanoseconds(kTimeMin) : to_nanoseconds(kTimeMax);
      } else {
        stamp += static_cast<std::int64_t>(random() % 3000);
      }
      stamps.push_back(from_nanoseconds(stamp));
      if (kind == 2) stamp = kBase;
    }
    if (!rule.is_usual_run(stamps.size(), [&](std::size_t i) { return stamps[i]; })) continue;
    ++usual;
    PacketClockRule one_by_one = rule;
    const PacketClockRule::Run run = rule.begin_run();
    for (const Timestamp at : stamps) {
      ASSERT_FALSE(one_by_one.wants_next(at));
      ASSERT_EQ(run.clock_of(at), one_by_one.advance(at)) << "round " << round;
    }
    rule.end_run(stamps.back());
    const Timestamp next = stamps.back() + std::chrono::microseconds{1};
    EXPECT_EQ(rule.advance(next), one_by_one.advance(next)) << "round " << round;
    EXPECT_EQ(rule.bad_timestamps(), one_by_one.bad_timestamps());
  }
  EXPECT_GT(usual, 500U);
  EXPECT_LT(usual, 1900U);
}

}  // namespace
}  // namespace flowloom
