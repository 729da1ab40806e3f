// What the timer wheel asks of its shard. For the files of Shard only.
#pragma once

#include "base/prefetch.hpp"
#include "pipeline/shard.hpp"

namespace flowloom {

/// Queues of the timer wheel: time-outs that are the same for all connections.
inline constexpr unsigned kHandshakeQueue = 0;
inline constexpr unsigned kLingerQueue = 1;
inline constexpr unsigned kSynQueue = 2;
static_assert(TimerWheel::kQueues == 3);

struct ShardTimers {
  Shard& shard;
  Timestamp deadline(std::uint32_t index) const {
    if (shard.is_syn(index)) return shard.embryonic_deadline(shard.syn_at(index).clock());
    return shard.deadline_of(shard.connections_[index]);
  }
  std::uint64_t rank(std::uint32_t index) const {
    return shard.is_syn(index) ? shard.syn_at(index).number() : shard.origins_[index].first_packet;
  }
  void prefetch(std::uint32_t index) const {
    if (shard.is_syn(index)) return prefetch_object(shard.syn_at(index));
    prefetch_object<PrefetchFor::Write>(shard.connections_[index]);
    prefetch_object(shard.origins_[index]);
  }
  void expect(std::uint32_t index) const {
    shard.table_.prefetch(hash_of(shard.table_.key_of(index), shard.config_.seed));
  }
  void expire(std::uint32_t index, Timestamp deadline) const { shard.expire(index, deadline); }
};

}  // namespace flowloom
