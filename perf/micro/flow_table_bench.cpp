// The flow table by itself: lookups that hit and that miss, at loads of 25 to 60 % of the slots
// (the table is made for no more), one by one and in bursts whose memory is prefetched, as Shard
// does it. The table and its objects are far larger than the caches; the keys asked for are in
// no order.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "flow/flow_table.hpp"
#include "tcp/connection.hpp"

namespace flowloom {
namespace {

constexpr std::uint32_t kCapacity = 1'000'000;
constexpr std::size_t kQueries = 1 << 16;
constexpr std::size_t kBurst = 32;
constexpr std::size_t kBucketBytes = 64;

/// As large as a connection.
struct alignas(Connection) Object {
  FlowKey key;
  std::byte rest[sizeof(Connection) - sizeof(FlowKey)];
};
struct KeyOf {
  const Object* objects = nullptr;
  const FlowKey& operator()(std::uint32_t index) const { return objects[index].key; }
};
using Table = FlowTable<KeyOf>;

/// The key of the n-th connection; different n, different key.
FlowKey key_of(std::uint32_t n) {
  const std::uint8_t client[4] = {10, static_cast<std::uint8_t>(n >> 16),
                                  static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
  const std::uint8_t server[4] = {172, 16, 0, 1};
  const auto port = static_cast<std::uint16_t>(1024 + (n >> 24));
  return {IpAddress::v4(client), IpAddress::v4(server), FlowKey::rest_of(port, 443, 0)};
}

struct Query {
  FlowKey key;
  std::uint64_t hash;
};

class Population {
 public:
  /// Filled to `percent` of the slots.
  explicit Population(std::uint32_t percent)
      : objects_(slots_of(kCapacity)), table_(kCapacity, KeyOf{objects_.data()}) {
    const auto wanted = static_cast<std::uint32_t>(table_.bytes() / kBucketBytes *
                                                   Table::kSlotsPerBucket * percent / 100);
    while (size_ < wanted) {
      objects_[size_].key = key_of(size_);
      if (!table_.insert(hash_of(objects_[size_].key, seed_), size_)) break;
      ++size_;
    }
    complete_ = size_ == wanted;
  }

  /// Keys that are there, or that are not, in no order.
  [[nodiscard]] std::vector<Query> queries(bool hits) const {
    constexpr std::uint32_t kStride = 0x9e3779b1;
    std::vector<Query> queries(kQueries);
    for (std::uint32_t i = 0; i < kQueries; ++i) {
      const std::uint32_t n = static_cast<std::uint32_t>(std::uint64_t{i * kStride} * size_ >> 32);
      const FlowKey key = key_of(hits ? n : size_ + n);
      queries[i] = {key, hash_of(key, seed_)};
    }
    return queries;
  }
  [[nodiscard]] const Table& table() const { return table_; }
  void prefetch(std::uint32_t index) const { __builtin_prefetch(&objects_[index]); }
  [[nodiscard]] bool complete() const { return complete_; }

 private:
  static std::size_t slots_of(std::uint32_t capacity) {
    return Table(capacity, KeyOf{}).bytes() / kBucketBytes * Table::kSlotsPerBucket;
  }
  ReservedArray<Object> objects_;
  Table table_;
  HashSeed seed_;
  std::uint32_t size_ = 0;
  bool complete_ = false;
};

/// Filling takes longer than measuring, so one load is kept until another is asked for.
const Population& population(std::uint32_t percent) {
  static std::pair<std::uint32_t, std::unique_ptr<Population>> kept;
  if (kept.first != percent) {
    kept.second.reset();
    kept = {percent, std::make_unique<Population>(percent)};
  }
  return *kept.second;
}

std::uint64_t find_burst(const Population& p, const Query* queries) {
  for (std::size_t i = 0; i < kBurst; ++i) p.table().prefetch(queries[i].hash);
  for (std::size_t i = 0; i < kBurst; ++i) {
    const std::uint32_t index = p.table().candidate(queries[i].hash);
    if (index != kNoIndex) p.prefetch(index);
  }
  std::uint64_t found = 0;
  for (std::size_t i = 0; i < kBurst; ++i) {
    found += p.table().find(queries[i].key, queries[i].hash) != kNoIndex ? 1U : 0U;
  }
  return found;
}

void bm_find(benchmark::State& state) {
  const Population& p = population(static_cast<std::uint32_t>(state.range(0)));
  if (!p.complete()) state.SkipWithError("the table took less than it was to take");
  const bool hits = state.range(1) != 0;
  const bool burst = state.range(2) != 0;
  const std::vector<Query> queries = p.queries(hits);
  std::uint64_t found = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kQueries; i += kBurst) {
      if (burst) {
        found += find_burst(p, &queries[i]);
        continue;
      }
      for (std::size_t j = i; j < i + kBurst; ++j) {
        found += p.table().find(queries[j].key, queries[j].hash) != kNoIndex ? 1U : 0U;
      }
    }
  }
  const auto asked = static_cast<std::uint64_t>(state.iterations()) * kQueries;
  if (found != (hits ? asked : 0)) state.SkipWithError("the table found what it should not");
  state.SetItemsProcessed(static_cast<std::int64_t>(asked));
}
BENCHMARK(bm_find)
    ->ArgsProduct({{25, 40, 50, 60}, {1, 0}, {0, 1}})
    ->ArgNames({"load", "hit", "burst"});

/// Connections that come and go: the oldest leaves for each that comes.
void bm_insert_erase(benchmark::State& state) {
  constexpr std::uint32_t kLive = 100'000;
  ReservedArray<Object> objects(kLive);
  Table table(kLive, KeyOf{objects.data()});
  const HashSeed seed;
  std::vector<std::uint64_t> hashes(kLive);
  for (std::uint32_t i = 0; i < kLive; ++i) {
    objects[i].key = key_of(i);
    hashes[i] = hash_of(objects[i].key, seed);
    if (!table.insert(hashes[i], i)) state.SkipWithError("the table is full");
  }
  std::uint32_t next = kLive;
  for (auto _ : state) {
    const std::uint32_t slot = next % kLive;
    table.erase(hashes[slot], slot);
    objects[slot].key = key_of(next++);
    hashes[slot] = hash_of(objects[slot].key, seed);
    if (!table.insert(hashes[slot], slot)) state.SkipWithError("the table is full");
  }
  if (table.size() != kLive) state.SkipWithError("entries were lost");
  for (std::uint32_t i = 0; i < kLive; ++i) {
    if (table.find(objects[i].key, hashes[i]) != i) state.SkipWithError("an entry was lost");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(bm_insert_erase);

}  // namespace
}  // namespace flowloom

BENCHMARK_MAIN();
