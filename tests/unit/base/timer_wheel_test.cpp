// The timer wheel against a sorted map: the same objects fire, in the same order, at the same
// step, whatever is armed, postponed, hastened and cancelled meanwhile.
#include "base/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <utility>
#include <vector>

namespace flowloom {
namespace {

constexpr std::uint32_t kObjects = 200;
constexpr Duration kTick{std::int64_t{1} << TimerWheel::kTickShift};

struct Fired {
  std::uint32_t index;
  Timestamp deadline;
  friend bool operator==(const Fired&, const Fired&) = default;
};

/// What an expiring object does, decided by nothing but itself: nothing, arm itself again, or
/// cancel another one.
struct Reaction {
  Duration again{0};  // 0: not
  std::uint32_t cancels = kNoIndex;
};

Reaction reaction_of(std::uint32_t index, Timestamp deadline) {
  const auto ns = static_cast<std::uint64_t>(to_nanoseconds(deadline));
  const std::uint64_t dice = (ns / 1000 + index * 2654435761u) % 7;
  Reaction reaction;
  if (dice < 2) reaction.again = Duration{1 + ns % 3'000'000'000};
  if (dice == 2) reaction.again = Duration{1 + ns % 30'000'000}; // within the tick or so
  if (dice == 3) reaction.cancels = (index + 1) % kObjects;
  return reaction;
}

/// The obviously correct one: true deadlines in a sorted map.
class Model {
 public:
  void set(std::uint32_t index, Timestamp deadline) {
    cancel(index);
    deadlines_[index] = deadline;
    order_[{deadline, rank(index)}] = index;
  }
  void cancel(std::uint32_t index) {
    const auto it = deadlines_.find(index);
    if (it == deadlines_.end()) return;
    order_.erase({it->second, rank(index)});
    deadlines_.erase(it);
  }
  [[nodiscard]] bool armed(std::uint32_t index) const { return deadlines_.count(index) != 0; }
  [[nodiscard]] Timestamp deadline(std::uint32_t index) const { return deadlines_.at(index); }
  [[nodiscard]] std::size_t size() const { return deadlines_.size(); }
  /// Ranks go against indices, so that order by index is found out.
  static std::uint64_t rank(std::uint32_t index) { return 1000 - index; }

  std::vector<Fired> advance(Timestamp now) {
    std::vector<Fired> fired;
    while (!order_.empty() && order_.begin()->first.first <= now) {
      const std::uint32_t index = order_.begin()->second;
      const Timestamp deadline = order_.begin()->first.first;
      cancel(index);
      fired.push_back({index, deadline});
      const Reaction reaction = reaction_of(index, deadline);
      if (reaction.again > Duration{0}) set(index, deadline + reaction.again);
      if (reaction.cancels != kNoIndex) cancel(reaction.cancels);
    }
    return fired;
  }

 private:
  std::map<std::uint32_t, Timestamp> deadlines_;
  std::map<std::pair<Timestamp, std::uint64_t>, std::uint32_t> order_;
};

/// The wheel, with the objects' true deadlines beside it as a shard has them.
class Subject {
 public:
  Subject() : wheel_(kObjects), deadlines_(kObjects) {}
  void arm(std::uint32_t index, Timestamp deadline) {
    deadlines_[index] = deadline;
    wheel_.arm(index, deadline);
  }
  void enqueue(unsigned queue, std::uint32_t index, Timestamp deadline) {
    deadlines_[index] = deadline;
    wheel_.enqueue(queue, index, deadline);
  }
  /// Later than before: nobody tells the wheel.
  void postpone(std::uint32_t index, Timestamp deadline) { deadlines_[index] = deadline; }
  void cancel(std::uint32_t index) { wheel_.cancel(index); }
  std::vector<Fired> advance(Timestamp now) {
    fired_.clear();
    if (now >= wheel_.next_due()) wheel_.advance(now, *this);
    return fired_;
  }
  std::vector<Fired> drain() {
    fired_.clear();
    wheel_.drain(*this);
    return fired_;
  }

  // What the wheel asks.
  [[nodiscard]] Timestamp deadline(std::uint32_t index) const { return deadlines_[index]; }
  [[nodiscard]] static std::uint64_t rank(std::uint32_t index) { return Model::rank(index); }
  static void prefetch(std::uint32_t) {}
  static void expect(std::uint32_t) {}
  void expire(std::uint32_t index, Timestamp deadline) {
    fired_.push_back({index, deadline});
    const Reaction reaction = reaction_of(index, deadline);
    if (reaction.again > Duration{0}) {
      deadlines_[index] = deadline + reaction.again;
      wheel_.arm_again(index, deadlines_[index], *this);
    }
    if (reaction.cancels != kNoIndex) cancel(reaction.cancels);
  }

 private:
  TimerWheel wheel_;
  std::vector<Timestamp> deadlines_;
  std::vector<Fired> fired_;
};

/// Deadlines where they hurt: a few ticks, about one turn of the wheel, many turns.
Duration some_delay(std::mt19937_64& random) {
  const Duration turn = kTick * TimerWheel::kSlots;
  switch (random() % 5) {
    case 0: return TimerWheel::kShortestTimeout;
    case 1: return TimerWheel::kShortestTimeout + Duration{random() % 50'000'000};
    case 2: return turn - kTick + Duration{random() % 25'000'000};  // three ticks
    case 3: return turn * 3 + Duration{random() % 100'000'000'000};
    default: return std::chrono::seconds{1 + static_cast<int>(random() % 20)};
  }
}

/// A queue's time-out; sometimes another one, which its order does not allow.
Duration queue_delay(unsigned queue, std::mt19937_64& random) {
  if (random() % 16 == 0) return some_delay(random);
  return queue == 0 ? Duration{std::chrono::seconds{2}} : Duration{std::chrono::seconds{30}};
}

Duration some_step(std::mt19937_64& random) {
  switch (random() % 8) {
    case 0: return Duration{0};
    case 1: return Duration{1};
    case 2: return kTick;
    case 3: return std::chrono::seconds{static_cast<int>(random() % 200)};
    default: return Duration{random() % 40'000'000};
  }
}

void run_against_model(std::uint64_t seed, Timestamp start) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Subject wheel;
  Model model;
  Timestamp now = start;
  wheel.advance(now);
  for (int step = 0; step < 3000; ++step) {
    const auto index = static_cast<std::uint32_t>(random() % kObjects);
    const Timestamp deadline = now + some_delay(random);
    const auto queue = static_cast<unsigned>(random() % TimerWheel::kQueues);
    switch (random() % 8) {
      case 6:
      case 7:
        model.set(index, now + queue_delay(queue, random));
        wheel.enqueue(queue, index, model.deadline(index));
        break;
      case 0:
        wheel.cancel(index);
        model.cancel(index);
        break;
      case 1:
        if (model.armed(index)) {
          // By any amount: one of several reasons to fire may go and leave the next one.
          const Timestamp later = model.deadline(index) + Duration{random() % 20'000'000};
          wheel.postpone(index, std::max(later, random() % 2 == 0 ? later : deadline));
          model.set(index, wheel.deadline(index));
        }
        break;
      case 2:
      case 3:
        wheel.arm(index, deadline); // new, sooner or later
        model.set(index, deadline);
        break;
      default:
        now += some_step(random);
        ASSERT_EQ(wheel.advance(now), model.advance(now)) << "step " << step;
    }
  }
  // At the end of input everything fires, however far; cancelled objects stay silent.
  std::vector<Fired> all = model.advance(now + std::chrono::hours{100000});
  std::vector<Fired> drained = wheel.drain();
  ASSERT_EQ(drained.size(), all.size());
  EXPECT_EQ(drained, all);
}

TEST(TimerWheel, FiresAsASortedMapDoes) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    run_against_model(seed, from_nanoseconds(1'700'000'000'000'000'000 + static_cast<int>(seed)));
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

TEST(TimerWheel, StartsAtAnyTime) {
  for (const std::int64_t start : {std::int64_t{0}, std::int64_t{-5'000'000'000},
                                   std::int64_t{-1'700'000'000'000'000'000}}) {
    run_against_model(99, from_nanoseconds(start));
  }
}

/// Delays that are all short, all the same, or as different as can be.
Duration delay_within(unsigned kind, std::mt19937_64& random) {
  switch (kind) {
    case 0: return TimerWheel::kShortestTimeout;
    case 1: return TimerWheel::kShortestTimeout + Duration{random() % 1000};
    case 2: return std::chrono::seconds{1 + static_cast<int>(random() % 300)};
    default: {
      const std::uint64_t up_to = ~std::uint64_t{0} >> (1 + random() % 40);
      return TimerWheel::kShortestTimeout + Duration{random() & (up_to / 2)};
    }
  }
}

// The end of input fits its ticks to what is armed; the wheel goes on from there.
TEST(TimerWheel, DrainsAnyRange) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Subject wheel;
    Model model;
    Timestamp now = from_nanoseconds(1'700'000'000'000'000'000);
    for (unsigned round = 0; round < 4; ++round) {
      wheel.advance(now);
      for (std::uint32_t index = 0; index < kObjects; ++index) {
        const Timestamp deadline =
            saturating_add(now, delay_within(static_cast<unsigned>(seed + round) % 4, random));
        if (random() % 4 == 0) {
          wheel.enqueue(0, index, deadline);
        } else {
          wheel.arm(index, deadline);
        }
        model.set(index, deadline);
      }
      const std::vector<Fired> all = model.advance(kTimeMax);
      ASSERT_EQ(wheel.drain(), all);
      if (kTimeMax - all.back().deadline < std::chrono::hours{1'000'000}) break;
      now = all.back().deadline + Duration{random() % 1'000'000'000};
    }
  }
}

TEST(TimerWheel, NothingIsDueBeforeNextDue) {
  struct Policy {
    Timestamp when;
    int fired = 0;
    [[nodiscard]] Timestamp deadline(std::uint32_t) const { return when; }
    [[nodiscard]] static std::uint64_t rank(std::uint32_t) { return 0; }
    static void prefetch(std::uint32_t) {}
    static void expect(std::uint32_t) {}
    void expire(std::uint32_t, Timestamp) { ++fired; }
  } policy;
  TimerWheel wheel(1);
  Timestamp now = from_nanoseconds(1'000'000'000);
  wheel.advance(now, policy);
  policy.when = now + std::chrono::seconds{3};
  wheel.arm(0, policy.when);
  while (policy.fired == 0 && now < policy.when + std::chrono::seconds{1}) {
    now = std::max(wheel.next_due(), now + Duration{1});
    wheel.advance(now, policy);
    EXPECT_EQ(policy.fired == 1, now >= policy.when);
  }
  EXPECT_EQ(policy.fired, 1);
  EXPECT_EQ(now, policy.when); // next_due() of the last tick is exact
}

// An object that stands for several: when the first of them goes, its place is the next one's.
TEST(TimerWheel, RankThatGrewDecides) {
  struct Policy {
    Timestamp when;
    std::vector<std::uint64_t> ranks;
    std::vector<std::uint32_t> fired;
    [[nodiscard]] Timestamp deadline(std::uint32_t) const { return when; }
    [[nodiscard]] std::uint64_t rank(std::uint32_t index) const { return ranks[index]; }
    static void prefetch(std::uint32_t) {}
    static void expect(std::uint32_t) {}
    void expire(std::uint32_t index, Timestamp) { fired.push_back(index); }
  } policy;
  const Timestamp now = from_nanoseconds(1'000'000'000);
  policy.when = now + std::chrono::seconds{3};
  policy.ranks = {1, 2};
  TimerWheel wheel(2);
  wheel.advance(now, policy);
  wheel.arm(0, policy.when);
  wheel.arm(1, policy.when);
  wheel.advance(policy.when - Duration{1}, policy); // in the tick where both are due
  policy.ranks[0] = 3;
  wheel.advance(policy.when, policy);
  EXPECT_EQ(policy.fired, (std::vector<std::uint32_t>{1, 0}));
}

}  // namespace
}  // namespace flowloom
