// How long waiting lasts at least: never less than was asked for, so a quiet thread costs little.
#include "base/backoff.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace flowloom {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kRoundsWithoutSleep = 80;
constexpr int kPauses = 16;

Clock::duration time_of(Backoff& backoff, int rounds) {
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < rounds; ++i) backoff.wait();
  return Clock::now() - begin;
}

TEST(Backoff, SleepsLongerEachTimeUpToItsLimit) {
  Backoff backoff(200us);
  time_of(backoff, kRoundsWithoutSleep);
  EXPECT_GE(time_of(backoff, 100), 100 * 101 / 2 * 2us);
  EXPECT_GE(time_of(backoff, 50), 50 * 200us);
}

TEST(Backoff, SleepsAtOnceAndTwiceAsLongEachTimeWhereBatchesAreWaitedFor) {
  Backoff backoff(200us, Backoff::For::Batches);
  time_of(backoff, kPauses);
  EXPECT_GE(time_of(backoff, 7), 127 * 2us);
  EXPECT_GE(time_of(backoff, 50), 50 * 200us);
}

TEST(Backoff, IsShortAgainAfterItsReset) {
  Backoff backoff(Backoff::kLongSleep);
  time_of(backoff, kRoundsWithoutSleep + 500);
  const Clock::duration asleep = time_of(backoff, 20);
  EXPECT_GE(asleep, 20 * 1ms);
  backoff.reset();
  Clock::duration shortest = asleep;
  for (int i = 0; i < 50; ++i) {  // the machine may be busy: one of them is not disturbed
    backoff.reset();
    shortest = std::min(shortest, time_of(backoff, 10));
  }
  EXPECT_LT(shortest, 1ms);
}

}  // namespace
}  // namespace flowloom
