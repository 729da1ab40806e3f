// The reorder queue against a byte map, and its overlap policies against models that work on
// whole segments: every pair and every triple of intervals on a small grid, random longer series.
#include "tcp/reorder_queue.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <list>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace flowloom {
namespace {

constexpr std::uint32_t kOwner = 5;

ByteView view(const std::string& bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

ReorderQueue::Terms terms(OverlapPolicy policy) {
  return {.policy = policy, .owner = kOwner};
}

/// Bytes by position, and the pieces of BSD's list: sorted, not overlapping.
class Model {
 public:
  explicit Model(OverlapPolicy policy) : policy_(policy) {}

  InsertResult insert(StreamOffset offset, const std::string& bytes) {
    InsertResult result;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const auto held = bytes_.find(offset + static_cast<StreamOffset>(i));
      if (held == bytes_.end()) {
        ++result.fresh;
      } else {
        ++(held->second == bytes[i] ? result.duplicate : result.overlap);
      }
    }
    switch (policy_) {
      case OverlapPolicy::First: write(offset, bytes, false); break;
      case OverlapPolicy::Last: write(offset, bytes, true); break;
      default: insert_bsd(offset, bytes); break;
    }
    return result;
  }

  void forget_before(StreamOffset offset) {
    while (!bytes_.empty() && bytes_.begin()->first < offset) bytes_.erase(bytes_.begin());
    for (auto it = pieces_.begin(); it != pieces_.end();) {
      it->begin = std::max(it->begin, offset);
      it = it->begin >= it->end ? pieces_.erase(it) : std::next(it);
    }
  }
  [[nodiscard]] const std::map<StreamOffset, char>& bytes() const { return bytes_; }

 private:
  struct Piece {
    StreamOffset begin;
    StreamOffset end;
  };

  void write(StreamOffset offset, const std::string& bytes, bool over) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const StreamOffset at = offset + static_cast<StreamOffset>(i);
      if (over) {
        bytes_[at] = bytes[i];
      } else {
        bytes_.emplace(at, bytes[i]);
      }
    }
  }

  // 4.4BSD's tcp_reass: trim the newcomer by its predecessor, then what follows by the newcomer.
  void insert_bsd(StreamOffset offset, std::string bytes) {
    StreamOffset begin = offset;
    const StreamOffset end = offset + static_cast<StreamOffset>(bytes.size());
    auto next = pieces_.begin();
    while (next != pieces_.end() && next->begin <= begin) ++next;
    if (next != pieces_.begin()) {
      const Piece& before = *std::prev(next);
      if (before.end >= end) return;
      if (before.end > begin) {
        bytes.erase(0, static_cast<std::size_t>(before.end - begin));
        begin = before.end;
      }
    }
    while (next != pieces_.end() && next->begin < end) {
      if (next->end > end) {
        next->begin = end;
        break;
      }
      next = pieces_.erase(next);
    }
    pieces_.insert(next, {begin, end});
    write(begin, bytes, true);
  }

  OverlapPolicy policy_;
  std::map<StreamOffset, char> bytes_;
  std::list<Piece> pieces_;
};

/// All bytes held, by position; empties the queue.
std::map<StreamOffset, char> drained(ReorderQueue& queue, ReorderPool& pool) {
  std::map<StreamOffset, char> bytes;
  while (!queue.empty()) {
    StreamOffset at = queue.front(pool);
    const ByteView some = queue.front_bytes(pool);
    for (const std::uint8_t byte : some) bytes[at++] = static_cast<char>(byte);
    queue.pop_front(pool, some.size());
  }
  return bytes;
}

constexpr std::array<OverlapPolicy, 3> kPolicies = {OverlapPolicy::Bsd, OverlapPolicy::First,
                                                    OverlapPolicy::Last};

struct Interval {
  StreamOffset begin;
  StreamOffset end;
};

std::vector<Interval> intervals(StreamOffset grid) {
  std::vector<Interval> all;
  for (StreamOffset begin = 0; begin < grid; ++begin) {
    for (StreamOffset end = begin + 1; end <= grid; ++end) all.push_back({begin, end});
  }
  return all;
}

/// Inserts the intervals with bytes of their own each and compares with the model.
::testing::AssertionResult agrees(ReorderPool& pool, const std::vector<Interval>& series,
                                  OverlapPolicy policy, StreamOffset base) {
  ReorderQueue queue;
  Model model(policy);
  char letter = 'A';
  for (const Interval& interval : series) {
    const std::string bytes(static_cast<std::size_t>(interval.end - interval.begin), letter++);
    const InsertResult found =
        queue.insert(pool, base + interval.begin, view(bytes), terms(policy));
    const InsertResult wanted = model.insert(base + interval.begin, bytes);
    if (found.fresh != wanted.fresh || found.duplicate != wanted.duplicate ||
        found.overlap != wanted.overlap || found.no_memory != 0) {
      return ::testing::AssertionFailure() << "counts differ";
    }
  }
  if (queue.bytes() != model.bytes().size()) return ::testing::AssertionFailure() << "bytes()";
  const std::map<StreamOffset, char> held = drained(queue, pool);
  if (held == model.bytes()) return ::testing::AssertionSuccess();
  const auto text = [](const std::map<StreamOffset, char>& bytes) {
    std::string all;
    for (const auto& [at, byte] : bytes) all += byte;
    return all;
  };
  auto failure = ::testing::AssertionFailure();
  failure << kOverlapNames[static_cast<std::size_t>(policy)].name << ":";
  for (const Interval& i : series) failure << " [" << i.begin << "," << i.end << ")";
  return failure << " " << text(held) << ", expected " << text(model.bytes());
}

// Bases so that the grid lies within a word, across words, across pages.
const std::vector<StreamOffset> kBases = {1, 61, kPageBytes - 3, kPageBytes, 10 * kPageBytes - 1};

TEST(OverlapPolicies, EveryPairOfIntervals) {
  ReorderPool pool(64);
  const std::vector<Interval> all = intervals(6); // all 13 relations of Allen's
  for (const OverlapPolicy policy : kPolicies) {
    for (const StreamOffset base : kBases) {
      for (const Interval& a : all) {
        for (const Interval& b : all) ASSERT_TRUE(agrees(pool, {a, b}, policy, base));
      }
    }
  }
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(OverlapPolicies, EveryTripleOfIntervals) {
  ReorderPool pool(64);
  const std::vector<Interval> all = intervals(6); // the 409 consistent triples among them
  for (const OverlapPolicy policy : kPolicies) {
    for (const StreamOffset base : {StreamOffset{1}, StreamOffset{kPageBytes} - 3}) {
      for (const Interval& a : all) {
        for (const Interval& b : all) {
          for (const Interval& c : all) ASSERT_TRUE(agrees(pool, {a, b, c}, policy, base));
        }
      }
    }
  }
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(OverlapPolicies, RandomSeries) {
  ReorderPool pool(64);
  std::mt19937_64 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::vector<Interval> series;
    const std::size_t count = 4 + random() % 12;
    for (std::size_t i = 0; i < count; ++i) {
      const auto begin = static_cast<StreamOffset>(random() % 40);
      series.push_back({begin, begin + 1 + static_cast<StreamOffset>(random() % 15)});
    }
    const StreamOffset base = kBases[random() % kBases.size()] - 1;
    for (const OverlapPolicy policy : kPolicies) {
      ASSERT_TRUE(agrees(pool, series, policy, base)) << "round " << round;
    }
  }
}

/// Long segments, removal from the front, several queues in one small pool.
TEST(ReorderQueue, AgreesWithAByteMap) {
  for (std::uint64_t seed = 1; seed <= 9; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    ReorderPool pool(400);
    ReorderQueue queue;
    const OverlapPolicy policy = kPolicies[seed % 3];
    Model model(policy);
    StreamOffset done = 0;
    for (int step = 0; step < 600; ++step) {
      const StreamOffset at = done + 1 + static_cast<StreamOffset>(random() % 100000);
      const std::string bytes(1 + random() % 5000, static_cast<char>('a' + random() % 3));
      const InsertResult found = queue.insert(pool, at, view(bytes), terms(policy));
      const InsertResult wanted = model.insert(at, bytes);
      ASSERT_EQ(found.fresh, wanted.fresh);
      ASSERT_EQ(found.overlap, wanted.overlap);
      ASSERT_EQ(found.duplicate, wanted.duplicate);
      if (random() % 3 == 0) {
        done += static_cast<StreamOffset>(random() % 9000);
        const std::size_t before = model.bytes().size();
        model.forget_before(done);
        ASSERT_EQ(queue.drop_before(pool, done), before - model.bytes().size());
      }
      ASSERT_EQ(queue.bytes(), model.bytes().size());
      ASSERT_EQ(queue.empty(), model.bytes().empty());
      if (queue.empty()) continue;
      const StreamOffset front = model.bytes().begin()->first;
      StreamOffset end = front;
      while (model.bytes().count(end) != 0) ++end;
      ASSERT_EQ(queue.front(pool), front);
      ASSERT_EQ(queue.front_run_end(pool), end);
    }
    EXPECT_EQ(drained(queue, pool), model.bytes());
    EXPECT_EQ(pool.in_use(), 0u);
  }
}

// Which positions are held does not depend on the policy, also where pages run out in the middle of
// segments and pieces lose their heads to removal.
TEST(ReorderQueue, CountsTheSameUnderEveryPolicy) {
  std::set<std::vector<std::uint64_t>> logs;
  for (const OverlapName& name : kOverlapNames) {
    SCOPED_TRACE(name.name);
    std::mt19937_64 random(17);
    ReorderPool pool(20);
    ReorderQueue queue;
    std::vector<std::uint64_t> log;
    std::uint64_t held = 0;
    StreamOffset done = 0;
    for (int step = 0; step < 2000; ++step) {
      const StreamOffset at = done + static_cast<StreamOffset>(random() % 60000);
      const std::string bytes(1 + random() % 9000, static_cast<char>(step));
      const InsertResult r = queue.insert(
          pool, at, view(bytes), {.policy = name.policy, .owner = kOwner, .page_limit = 15});
      ASSERT_EQ(r.fresh + r.duplicate + r.overlap + r.no_memory, bytes.size());
      if (random() % 2 == 0) done += static_cast<StreamOffset>(random() % 5000);
      const std::uint64_t dropped = queue.drop_before(pool, done);
      held += r.fresh - dropped;
      ASSERT_EQ(queue.bytes(), held);
      log.insert(log.end(), {r.fresh, r.no_memory, dropped});
    }
    EXPECT_EQ(queue.clear(pool), held);
    EXPECT_EQ(pool.in_use(), 0u);
    logs.insert(log);
  }
  EXPECT_EQ(logs.size(), 1U);
}

TEST(ReorderQueue, CountsWhatFindsNoPage) {
  ReorderPool pool(2);
  ReorderQueue queue;
  const std::string bytes(3 * kPageBytes, 'x');
  const InsertResult r = queue.insert(pool, 100, view(bytes), terms(OverlapPolicy::Bsd));
  EXPECT_EQ(r.fresh, 2 * kPageBytes - 100);
  EXPECT_EQ(r.no_memory, kPageBytes + 100);
  EXPECT_EQ(queue.pages(), 2u);
  EXPECT_EQ(queue.clear(pool), r.fresh);
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(ReorderQueue, KeepsToItsPageLimit) {
  ReorderPool pool(100);
  ReorderQueue queue;
  const std::string bytes(10 * kPageBytes, 'x');
  const InsertResult r = queue.insert(
      pool, 0, view(bytes),
      {.policy = OverlapPolicy::First, .owner = kOwner, .page_limit = 4});
  EXPECT_EQ(queue.pages(), 4u);
  EXPECT_EQ(r.no_memory, 6 * kPageBytes);
  queue.clear(pool);
}

TEST(ReorderQueue, RebaseMovesTheOrigin) {
  ReorderPool pool(10);
  ReorderQueue queue;
  queue.insert(pool, 3000, view("late"), terms(OverlapPolicy::Bsd));
  queue.insert(pool, -50, view("early"), terms(OverlapPolicy::Bsd));
  EXPECT_EQ(queue.front(pool), -50);
  queue.rebase(-50);
  EXPECT_EQ(queue.front(pool), 0);
  EXPECT_EQ(queue.front_run_end(pool), 5);
  queue.insert(pool, 5, view("x"), terms(OverlapPolicy::Bsd));
  EXPECT_EQ(queue.front_run_end(pool), 6);
  EXPECT_EQ(queue.drop_before(pool, 6), 6u);
  EXPECT_EQ(queue.front(pool), 3050);
  queue.clear(pool);
}

TEST(ReorderPool, NamesAnOwnerOfAPageInUse) {
  ReorderPool pool(8);
  EXPECT_EQ(pool.random_owner(3), kNoIndex);
  ReorderQueue a;
  ReorderQueue b;
  a.insert(pool, 0, view("a"), {.policy = OverlapPolicy::Bsd, .owner = 77});
  b.insert(pool, 0, view("b"), {.policy = OverlapPolicy::Bsd, .owner = 88});
  a.clear(pool);
  for (std::uint64_t random = 0; random < 20; ++random) EXPECT_EQ(pool.random_owner(random), 88u);
  b.clear(pool);
}

// A page per byte, from the back, from the front and at random: a tree that degenerates would
// take minutes.
TEST(ReorderQueue, ManyPagesInAnyOrder) {
  constexpr std::uint32_t kPages = 30'000;
  const auto started = std::chrono::steady_clock::now();
  for (int order = 0; order < 3; ++order) {
    ReorderPool pool(kPages);
    ReorderQueue queue;
    for (std::uint32_t i = 0; i < kPages; ++i) {
      const std::uint32_t n = order == 0 ? i : order == 1 ? kPages - 1 - i : i * 7919U % kPages;
      queue.insert(pool, StreamOffset{n} * kPageBytes, view("x"), terms(OverlapPolicy::Bsd));
    }
    EXPECT_EQ(queue.pages(), kPages);
    EXPECT_EQ(drained(queue, pool).size(), kPages);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds{30});
}

}  // namespace
}  // namespace flowloom
