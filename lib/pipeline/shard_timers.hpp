// What the timer wheel asks of its shard. For the files of Shard only.
#pragma once

#include "base/prefetch.hpp"
#include "pipeline/shard.hpp"

namespace flowloom {

/// Queues of the timer wheel: time-outs that are the same for all connections.
inline constexpr unsigned kHandshakeQueue = 0;
inline constexpr unsigned kLingerQueue = 1;
static_assert(TimerWheel::kQueues == 2);

struct ShardTimers {
  Shard& shard;
  Timestamp deadline(std::uint32_t index) const {
    if (shard.is_lone_timer(index)) [[unlikely]] return shard.lone_deadline(index);
    return shard.deadline_of(shard.connections_[index]);
  }
  std::uint64_t rank(std::uint32_t index) const {
    if (shard.is_lone_timer(index)) [[unlikely]] index = shard.first_lone(index);
    return shard.birth_of(index).number;
  }
  void prefetch(std::uint32_t index) const {
    if (shard.is_lone_timer(index)) [[unlikely]]
      return prefetch_object(shard.lone_at(shard.first_lone(index)));
    prefetch_object<PrefetchFor::Write>(shard.connections_[index]);
  }
  void expect(std::uint32_t index) const {
    if (shard.is_lone_timer(index)) [[unlikely]] return; // its queue looks ahead itself
    const Connection& c = shard.connections_[index];
    shard.table_.prefetch(shard.hash_in_table(c));
    if (c.extra != 0) prefetch_object<PrefetchFor::Write>(shard.memory_.extras[c.extra - 1]);
  }
  void expire(std::uint32_t index, Timestamp deadline) const { shard.expire(index, deadline); }
};

}  // namespace flowloom
