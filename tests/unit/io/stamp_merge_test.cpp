// Which live input may pass: by rows, and against the order of stamps in random arrivals.
#include "io/stamp_merge.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace flowloom {
namespace {

constexpr Duration kLateness{30};

Timestamp at(std::int64_t ns) { return from_nanoseconds(ns); }

MergeInput shows(std::int64_t stamp) { return {.head = at(stamp)}; }
MergeInput silent(std::int64_t until) { return {.head = {}, .silent_until = at(until)}; }

MergeChoice choose(const std::vector<MergeInput>& inputs, std::uint32_t asked = 0) {
  return choose_input(inputs, kLateness, asked);
}

TEST(StampMerge, AnInputAloneNeverWaits) {
  EXPECT_EQ(0U, choose({shows(1000)}).pass);
}

TEST(StampMerge, AsksBeforeItWaits) {
  EXPECT_EQ(0U, choose({{}, {}}).ask);
  EXPECT_EQ(1U, choose({{}, {}}, 1).ask);
  const MergeChoice nobody = choose({{}, {}}, 3);
  EXPECT_FALSE(nobody.ask || nobody.pass);
}

TEST(StampMerge, TheEarliestPassesAndTiesGoByOrder) {
  EXPECT_EQ(1U, choose({shows(20), shows(10), shows(15)}).pass);
  EXPECT_EQ(0U, choose({shows(10), shows(10)}).pass);
}

TEST(StampMerge, WaitsForASilentInputAsLongAsItMayBeLate) {
  EXPECT_EQ(0U, choose({shows(100), silent(130)}).pass);
  const MergeChoice early = choose({shows(100), silent(129)});
  EXPECT_EQ(1U, early.ask);
  EXPECT_FALSE(early.pass);
  const MergeChoice asked = choose({shows(100), silent(129)}, 2);
  EXPECT_FALSE(asked.ask || asked.pass);
}

TEST(StampMerge, OnesThatEndedAreNotWaitedFor) {
  EXPECT_EQ(1U, choose({{.head = {}, .silent_until = kTimeMin, .ended = true}, shows(5)}).pass);
}

// Packets become visible late, by less than the lateness: they pass in the order of their stamps.
TEST(StampMerge, RandomArrivalsPassInTheOrderOfTheirStamps) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    struct Coming {
      std::int64_t stamp;
      std::int64_t visible;
    };
    std::vector<std::vector<Coming>> coming(3);
    std::size_t total = 0;
    for (auto& list : coming) {
      std::int64_t stamp = 0;
      std::int64_t visible = 0;
      while ((stamp += static_cast<std::int64_t>(random() % 40)) < 1000) {
        visible = std::max(visible, stamp + static_cast<std::int64_t>(random() % 30));
        list.push_back({stamp, visible});
        ++total;
      }
    }
    std::vector<MergeInput> inputs(coming.size());
    std::vector<std::size_t> next(coming.size());
    std::vector<std::int64_t> passed;
    for (std::int64_t now = 0; now < 2000; ++now) {
      std::uint32_t asked = 0;
      for (;;) {
        const MergeChoice choice = choose_input(inputs, kLateness, asked);
        if (choice.pass) {
          passed.push_back(to_nanoseconds(*inputs[*choice.pass].head));
          inputs[*choice.pass].head.reset();
        } else if (choice.ask) {
          const std::size_t i = *choice.ask;
          asked |= 1U << i;
          const bool any = next[i] < coming[i].size() && coming[i][next[i]].visible <= now;
          if (any) {
            inputs[i].head = at(coming[i][next[i]++].stamp);
          } else {
            inputs[i].silent_until = at(now);
          }
        } else {
          break;
        }
      }
    }
    ASSERT_EQ(total, passed.size());
    ASSERT_TRUE(std::is_sorted(passed.begin(), passed.end())) << "round " << round;
  }
}

}  // namespace
}  // namespace flowloom
