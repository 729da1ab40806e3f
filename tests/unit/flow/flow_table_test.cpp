// FlowTable against std::unordered_map: spread hashes, colliding hashes, equal tags, full buckets.
#include "flow/flow_table.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.hpp"

namespace flowloom {
namespace {

FlowKey key_of_number(std::uint32_t n) {
  FlowKey key{};
  key.rest = FlowKey::rest_of(static_cast<std::uint16_t>(n), 80, n >> 16);
  return key;
}

struct KeyOf {
  const std::vector<FlowKey>* keys = nullptr;
  const FlowKey& operator()(std::uint32_t index) const { return (*keys)[index]; }
};

using Hash = std::function<std::uint64_t(std::uint32_t)>;

/// Random inserts, lookups and erasures; `hash` maps a key's number to its hash.
class TableRun {
 public:
  TableRun(std::uint32_t capacity, std::uint32_t numbers, Hash hash,
           TableGrowth growth = TableGrowth::Never)
      : keys_(capacity), numbers_of_(capacity), table_(capacity, KeyOf{&keys_}, growth),
        numbers_(numbers), hash_(std::move(hash)) {
    for (std::uint32_t i = 0; i < capacity; ++i) free_.push_back(i);
  }

  void run(int steps, std::uint64_t seed, unsigned erase_percent) {
    std::mt19937_64 random(seed);
    for (int step = 0; step < steps; ++step) {
      const auto number = static_cast<std::uint32_t>(random() % numbers_);
      const auto it = model_.find(number);
      const std::uint32_t expected = it == model_.end() ? kNoIndex : it->second;
      ASSERT_EQ(find(number), expected) << "seed " << seed << " step " << step;
      if (expected != kNoIndex && random() % 100 < erase_percent) {
        table_.erase(hash_(number), expected);
        free_.push_back(expected);
        model_.erase(number);
      } else if (expected == kNoIndex && !free_.empty()) {
        insert(number);
      }
      ASSERT_EQ(table_.size(), model_.size());
    }
    for (std::uint32_t number = 0; number < numbers_; ++number) {
      const auto it = model_.find(number);
      ASSERT_EQ(find(number), it == model_.end() ? kNoIndex : it->second);
    }
  }

  /// In the order of their numbers.
  void insert_all() {
    for (std::uint32_t number = 0; number < numbers_; ++number) insert(number);
  }

  void erase_all() {
    for (const auto& [number, index] : model_) table_.erase(hash_(number), index);
    model_.clear();
    EXPECT_EQ(table_.size(), 0u);
    for (std::uint32_t number = 0; number < numbers_; ++number) {
      EXPECT_EQ(find(number), kNoIndex);
      EXPECT_TRUE(table_.lacks(hash_(number)));
    }
  }

  [[nodiscard]] std::size_t size() const { return model_.size(); }
  [[nodiscard]] int refused() const { return refused_; }
  [[nodiscard]] int times_grown() const { return times_grown_; }

  // What FlowTable::grow() asks for.
  [[nodiscard]] std::uint64_t hash(std::uint32_t index) const { return hash_(numbers_of_[index]); }
  void prefetch(std::uint32_t index) const { EXPECT_TRUE(model_.contains(numbers_of_[index])); }

 private:
  [[nodiscard]] std::uint32_t find(std::uint32_t number) const {
    const std::uint32_t found = table_.find(key_of_number(number), hash_(number));
    EXPECT_FALSE(found != kNoIndex && table_.lacks(hash_(number)));
    return found;
  }
  void insert(std::uint32_t number) {
    const std::uint32_t index = free_.back();
    keys_[index] = key_of_number(number);
    if (table_.wants_to_grow()) {
      table_.grow(*this);
      ++times_grown_;
    }
    numbers_of_[index] = number;
    if (!table_.insert(hash_(number), index)) {
      ++refused_; // sixteen buckets in a row are full: a case with an answer, not a loss
      return;
    }
    free_.pop_back();
    model_[number] = index;
  }

  std::vector<FlowKey> keys_;
  std::vector<std::uint32_t> numbers_of_;  // by index
  FlowTable<KeyOf> table_;
  std::uint32_t numbers_;
  Hash hash_;
  std::unordered_map<std::uint32_t, std::uint32_t> model_;
  std::vector<std::uint32_t> free_;
  int refused_ = 0;
  int times_grown_ = 0;
};

std::uint64_t spread(std::uint32_t n) {
  return mix(n + 1, 0x9e3779b97f4a7c15) * 0xd1b54a32d192ed03;
}

TEST(FlowTable, AgreesWithAMapAtFullCapacity) {
  TableRun run(20000, 30000, spread);
  run.run(400000, 1, 20);
  EXPECT_GT(run.size(), 18000u); // the high load that the test is about
  EXPECT_EQ(run.refused(), 0);
  run.erase_all();
}

TEST(FlowTable, AgreesWithAMapUnderChurn) {
  TableRun run(1000, 5000, spread);
  run.run(500000, 2, 60);
  EXPECT_EQ(run.refused(), 0);
  run.erase_all();
}

// case: L07
TEST(FlowTable, EqualHashesAreTwoConnections) {
  // Every key has the same hash: ten in a bucket, sixteen buckets, then it is refused.
  TableRun run(1000, 400, [](std::uint32_t) { return std::uint64_t{0x123456789abcdef0}; });
  run.run(20000, 3, 10);
  EXPECT_EQ(run.size(), FlowTable<KeyOf>::kMaxProbe * FlowTable<KeyOf>::kSlotsPerBucket);
  EXPECT_GT(run.refused(), 0);
  run.erase_all();
}

// case: L06
TEST(FlowTable, CollidingBucketsAndTags) {
  // Four home buckets, three tags, one of them the one that means empty.
  TableRun run(400, 300, [](std::uint32_t n) {
    return std::uint64_t{n % 3} << 48 | (n / 3) % 4;
  });
  run.run(100000, 4, 45);
  run.erase_all();
}

TEST(FlowTable, HomeBucketsAtTheEndWrapAround) {
  TableRun run(100, 150, [](std::uint32_t n) { return spread(n) | 0xffff; });
  run.run(50000, 5, 40);
  run.erase_all();
}

TEST(FlowTable, AgreesWithAMapWhileItGrows) {
  TableRun run(500'000, 600'000, spread, TableGrowth::ByNeed);
  for (const std::uint64_t seed : {7U, 8U, 9U}) run.run(300'000, seed, 20);
  EXPECT_EQ(run.times_grown(), 3); // beyond 24,576, 98,304 and 393,216 entries
  EXPECT_GT(run.size(), 393'216U);
  EXPECT_EQ(run.refused(), 0);
  run.erase_all();
}

// Where the run at the table's end went on at its begin, it goes on among others in a larger one:
// by these hashes the first of it would be too far from home. Nobody can choose them; the table
// stays as it is.
TEST(FlowTable, StaysAsItIsWhereEntriesWouldNotFitIntoMore) {
  constexpr std::uint32_t kBuckets = 4096;
  constexpr std::uint32_t kAtTheEnd = 160;
  constexpr std::uint32_t kBehind = 10;
  TableRun run(100'000, 42'000, [](std::uint32_t n) {
    if (n < kAtTheEnd) return std::uint64_t{kBuckets - 1};
    if (n < kAtTheEnd + kBehind) return std::uint64_t{kBuckets};
    return 100 + spread(n) % 3900 + (spread(n) >> 32) % 4 * kBuckets; // with room in four times it
  }, TableGrowth::ByNeed);
  run.insert_all();
  EXPECT_EQ(run.times_grown(), 1); // or tried to
  EXPECT_GT(run.size(), 35'000U);
  EXPECT_GT(run.refused(), 0); // there is no room for all: it has not grown
  run.run(50'000, 10, 50);
  run.erase_all();
}

TEST(FlowTable, OneEntry) {
  TableRun run(1, 5, spread);
  run.run(1000, 6, 50);
  run.erase_all();
}

}  // namespace
}  // namespace flowloom
