// What the timer wheel asks of its shard. For the files of Shard only.
#pragma once

#include "base/prefetch.hpp"
#include "pipeline/shard.hpp"

namespace flowloom {

/// Queues of the timer wheel: time-outs that are the same for all connections.
inline constexpr unsigned kHandshakeQueue = 0;
inline constexpr unsigned kLingerQueue = 1;
inline constexpr unsigned kSynQueue = 2;
inline constexpr unsigned kTextQueue = 3;
static_assert(TimerWheel::kQueues == 4);

struct ShardTimers {
  Shard& shard;
  Timestamp deadline(std::uint32_t index) const {
    if (!shard.is_lone(index)) return shard.deadline_of(shard.connections_[index]);
    const Timestamp clock = shard.lone_at(index).clock();
    return shard.is_syn(index) ? shard.embryonic_deadline(clock) : shard.idle_deadline(clock);
  }
  std::uint64_t rank(std::uint32_t index) const {
    return shard.birth_of(index).number;
  }
  void prefetch(std::uint32_t index) const {
    if (shard.is_lone(index)) return prefetch_object(shard.lone_at(index));
    prefetch_object<PrefetchFor::Write>(shard.connections_[index]);
    prefetch_object(shard.origins_[index]);
  }
  void expect(std::uint32_t index) const {
    shard.table_.prefetch(hash_of(shard.table_.key_of(index), shard.config_.seed));
  }
  void expire(std::uint32_t index, Timestamp deadline) const { shard.expire(index, deadline); }
};

}  // namespace flowloom
