// All tracked connections: by their end points, and in the order in which they began. Knows nothing
// of TCP.
#pragma once

#include <cstdint>

#include "base/hash.hpp"
#include "base/prefetch.hpp"
#include "base/slab_pool.hpp"
#include "compat/nids/stream.hpp"
#include "flow/flow_table.hpp"

namespace flowloom::nids {

/// Which end of the connection a packet comes from.
enum class Sender : std::uint8_t { Client, Server };

struct Found {
  Stream* stream;  ///< null: not tracked
  Sender sender;
};

class StreamTable {
 public:
  StreamTable(std::uint32_t capacity, const HashSeed& seed);

  [[nodiscard]] const HashSeed& seed() const { return seed_; }
  [[nodiscard]] std::uint64_t hash_of_ends(const tuple4& ends) const {
    return hash_of(key_of(ends), seed_);
  }

  /// The two steps ahead of a lookup: the bucket, then the connection it names. Inlined always,
  /// since gcc takes calls away of functions that only prefetch.
  [[gnu::always_inline]] void prefetch_bucket(std::uint64_t hash) const { table_.prefetch(hash); }
  [[gnu::always_inline]] void prefetch_stream(std::uint64_t hash) const;

  /// `ends` as in the packet.
  [[nodiscard]] Found find(const tuple4& ends, std::uint64_t hash) const;

  /// A zeroed connection with its end points set; null where there is no room.
  Stream* add(const tuple4& ends, std::uint64_t hash);
  void remove(Stream& stream);

  /// The one that began first, or null.
  [[nodiscard]] Stream* oldest() const { return oldest_; }
  [[nodiscard]] std::uint32_t size() const { return pool_.in_use(); }

 private:
  struct KeyOf {
    const Stream* streams = nullptr;
    FlowKey operator()(std::uint32_t index) const { return key_of(streams[index].seen.addr); }
  };

  HashSeed seed_;
  SlabPool<Stream> pool_;
  FlowTable<KeyOf> table_;
  Stream* oldest_ = nullptr;
  Stream* latest_ = nullptr;
};

inline void StreamTable::prefetch_stream(std::uint64_t hash) const {
  const std::uint32_t index = table_.candidate(hash);
  if (index == kNoIndex) return;
  constexpr std::size_t kLinesOfData = offsetof(Stream, hash) / kCacheLine;
  const auto* bytes = reinterpret_cast<const char*>(&pool_[index]);
  for (std::size_t line = 0; line < kLinesOfData; ++line) {
    prefetch_line<PrefetchFor::Write>(bytes + line * kCacheLine);
  }
}

inline Found StreamTable::find(const tuple4& ends, std::uint64_t hash) const {
  std::uint32_t index = table_.candidate(hash);
  if (index == kNoIndex || (!same_ends(pool_[index].seen.addr, ends) &&
                            !same_ends(pool_[index].seen.addr, reversed(ends)))) {
    index = table_.find(key_of(ends), hash);
    if (index == kNoIndex) return {nullptr, Sender::Client};
  }
  Stream& stream = pool_.data()[index];
  return {&stream, same_ends(stream.seen.addr, ends) ? Sender::Client : Sender::Server};
}

}  // namespace flowloom::nids
