// The part of Shard that keeps SYNs nobody has answered in a cache line each. Only a flood or a
// scan makes so many of them; nothing here runs per packet of a connection.
#include "net/five_tuple.hpp"
#include "net/tcp_options.hpp"
#include "pipeline/shard.hpp"
#include "pipeline/shard_timers.hpp"

namespace flowloom {

namespace {

/// How far ahead of their turn victims are fetched from memory: first the SYN, then what it names.
constexpr std::uint32_t kSynAhead = 12;
constexpr std::uint32_t kNamedAhead = 6;

}  // namespace

// Preconditions: the packet has no connection. Returns false where it needs one.
bool Shard::cache_syn(const Packet& packet, const FlowKey& key, const Segment& s) {
  constexpr TcpFlags kOdd = kFin | kRst | kAck | kUrg;
  if (!s.flags.has_any(kSyn) || s.flags.has_any(kOdd) || syns_.capacity() == 0) return false;
  if (unconfirmed_ + syns_.in_use() < config_.syn_cache_from) return false;
  const TcpOptions options = parse_tcp_options(s.options);
  if (!LoneSyn::holds(packet, s, options)) return false;
  const Timestamp deadline = embryonic_deadline(s.clock);
  if (!wheel_.has_place(kSynQueue, deadline)) return false;
  if (!make_room()) return false;
  const std::uint32_t place = syns_.take();
  const std::uint32_t index = config_.max_flows + place;
  if (!table_.insert(packet.flow_hash, index)) {
    syns_.give_back(place);
    return false;
  }
  syns_[place].set(key, packet, s, options);
  wheel_.enqueue(kSynQueue, index, deadline);
  ++ledger_.connections_created;
  return true;
}

// Preconditions: delivery_ was told the decision.
void Shard::end_syn(std::uint32_t index, CloseReason reason) {
  if (delivery_.give_up_syn(reason)) {
    drop_syn(index, reason);
  } else {
    end(open_syn(index), reason);
  }
}

// Preconditions: the consumer does without a word of it.
void Shard::drop_syn(std::uint32_t index, CloseReason reason) {
  ++ledger_.connections_closed[static_cast<std::size_t>(reason)];
  wheel_.cancel(index);
  table_.erase(hash_of(syn_at(index).key(), config_.seed), index);
  syns_.give_back(index - config_.max_flows);
}

void Shard::prefetch_syn_victims() {
  const std::uint32_t far = wheel_.behind_first(kSynQueue, kSynAhead);
  if (far == kNoIndex) return;
  prefetch_object<PrefetchFor::Write>(syn_at(far));
  wheel_.prefetch(far);
  const std::uint32_t near = wheel_.behind_first(kSynQueue, kNamedAhead);
  table_.prefetch(hash_of(syn_at(near).key(), config_.seed));
}

}  // namespace flowloom
