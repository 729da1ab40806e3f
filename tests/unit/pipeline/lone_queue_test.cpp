// The queue of first segments against a list: the same order, whoever leaves it when.
#include "pipeline/lone_queue.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace flowloom {
namespace {

/// What the queue asks of a segment.
struct Waiting {
  std::uint64_t number;
  bool gone;
  void leave() { gone = true; }
  [[nodiscard]] bool has_left() const { return gone; }
};

constexpr std::uint32_t kCapacity = 13;

class Subject {
 public:
  /// False where the queue refuses.
  bool add(std::uint64_t number) {
    const std::uint32_t place = queue_.add(~number);
    if (place == kNoIndex) return false;
    EXPECT_LT(place, kCapacity);
    for (const std::uint32_t other : places_) EXPECT_NE(place, other);
    queue_[place] = {number, false};
    places_.push_back(place);
    return true;
  }
  void remove(std::size_t nth) {
    queue_.remove(places_[nth]);
    places_.erase(places_.begin() + static_cast<std::ptrdiff_t>(nth));
  }
  void expect_in_order() const {
    ASSERT_EQ(queue_.in_use(), places_.size());
    if (!places_.empty()) {
      ASSERT_EQ(queue_.first(), places_.front());
    }
    for (const std::uint32_t place : places_) {
      ASSERT_FALSE(queue_[place].gone);
      ASSERT_EQ(queue_.hash(place), ~queue_[place].number);
    }
  }
  [[nodiscard]] std::size_t size() const { return places_.size(); }

 private:
  LoneQueue<Waiting> queue_{kCapacity};
  std::vector<std::uint32_t> places_;  // oldest first
};

TEST(LoneQueue, KeepsTheirOrderWhoeverLeaves) {
  constexpr std::uint64_t kSeed = 20;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  Subject queue;
  std::uint32_t refused = 0;
  for (std::uint64_t step = 1; step <= 20'000; ++step) {
    if (random() % 2 == 0) {
      refused += queue.add(step) ? 0U : 1U;
    } else if (queue.size() > 0) {
      queue.remove(random() % 3 == 0 ? random() % queue.size() : 0);
    }
    queue.expect_in_order();
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(refused, 0U);
}

// A hole is room again once all before it have gone, and not before.
TEST(LoneQueue, HolesCountUntilTheirTurn) {
  Subject queue;
  for (std::uint64_t number = 1; number <= kCapacity; ++number) EXPECT_TRUE(queue.add(number));
  while (queue.size() > 1) queue.remove(1);
  EXPECT_FALSE(queue.add(100));
  queue.remove(0);
  for (std::uint64_t number = 1; number <= kCapacity; ++number) EXPECT_TRUE(queue.add(number));
  EXPECT_FALSE(queue.add(100));
  queue.expect_in_order();
}

TEST(LoneQueue, WithoutRoomTakesNobody) {
  LoneQueue<Waiting> queue(0);
  EXPECT_EQ(queue.add(1), kNoIndex);
}

}  // namespace
}  // namespace flowloom
