// What the timer wheel asks of its shard. For the files of Shard only.
#pragma once

#include "base/prefetch.hpp"
#include "pipeline/shard.hpp"

namespace flowloom {

struct ShardTimers {
  Shard& shard;
  Timestamp deadline(std::uint32_t index) const {
    return shard.deadline_of(shard.connections_[index]);
  }
  std::uint64_t rank(std::uint32_t index) const { return shard.origins_[index].first_packet; }
  void prefetch(std::uint32_t index) const {
    prefetch_object<PrefetchFor::Write>(shard.connections_[index]);
    prefetch_object(shard.origins_[index]);
  }
  void expect(std::uint32_t index) const {
    shard.table_.prefetch(hash_of(shard.connections_[index].key, shard.config_.seed));
  }
  void expire(std::uint32_t index, Timestamp deadline) const { shard.expire(index, deadline); }
};

}  // namespace flowloom
