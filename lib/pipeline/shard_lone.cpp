// The part of Shard that keeps first segments which nothing has followed in a cache line or two.
// Only a flood or a scan makes so many of them; nothing here runs per packet of a connection.
#include "base/check.hpp"
#include "base/prefetch.hpp"
#include "net/five_tuple.hpp"
#include "net/tcp_options.hpp"
#include "pipeline/shard.hpp"
#include "pipeline/shard_timers.hpp"

namespace flowloom {

namespace {

/// How far ahead of their turn victims are fetched from memory: first the segment, then what it
/// names.
constexpr std::uint32_t kLoneAhead = 12;
constexpr std::uint32_t kNamedAhead = 6;

}  // namespace

// Preconditions: the packet has no connection. Returns false where it needs one.
bool Shard::hold_first(const Packet& packet, const FlowKey& key, const Segment& s) {
  constexpr TcpFlags kOdd = kFin | kRst | kAck | kUrg;
  if (s.flags.has_any(kSyn) && !s.flags.has_any(kOdd)) {
    if (unconfirmed_ + lone_segments() < hold_syns_from_) return false;
    const TcpOptions options = parse_tcp_options(s.options);
    if (!LoneSyn::holds(packet, s, options)) return false;
    const std::uint32_t place =
        place_lone(syns_, kSynQueue, packet.flow_hash, embryonic_deadline(s.clock));
    if (place == kNoIndex) return false;
    syns_[place].set(key, packet, s, options);
  } else {
    if (!LoneText::holds(packet, s)) return false;
    const std::uint32_t place =
        place_lone(texts_, kTextQueue, packet.flow_hash, idle_deadline(s.clock));
    if (place == kNoIndex) return false;
    texts_[place].set(key, packet, s, first_direction(packet, s));
    ledger_.tcp.payload_seen += s.length;
  }
  ++ledger_.connections_created;
  return true;
}

// A place in the pool of its kind, under the packet's hash and with its timer; or kNoIndex.
template <class Pool>
inline std::uint32_t Shard::place_lone(Pool& pool, unsigned queue, std::uint64_t hash,
                                       Timestamp deadline) {
  if (!make_room()) return kNoIndex;
  const std::uint32_t place = pool.take();
  const std::uint32_t index = place + (queue == kSynQueue ? first_syn() : first_text());
  victim_hashes_[index % kVictimHashes].index = kNoIndex; // of who was here before
  if (!wheel_.try_enqueue(queue, index, deadline)) {
    pool.give_back(place);
    return kNoIndex;
  }
  if (!table_.insert(hash, index)) {
    wheel_.cancel(index);
    pool.give_back(place);
    return kNoIndex;
  }
  return place;
}

void Shard::give_back_lone(std::uint32_t index) {
  if (is_syn(index)) {
    syns_.give_back(index - first_syn());
  } else {
    texts_.give_back(index - first_text());
  }
}

// From now on it is a connection that has seen its first segment, and the time since then. There is
// room: the segment had a place of all. Preconditions: delivery_ was told the decision. The caller
// arms its timer, or ends it.
Connection& Shard::open_lone(std::uint32_t index) {
  LoneSegment::Text text;
  const Segment s = is_syn(index) ? syn_at(index).segment(text) : text_at(index).segment(text);
  const LoneSegment& lone = lone_at(index);
  const FlowKey key = lone.key();
  const Direction d = lone.direction();
  const KeySide sender = lone.sender();
  const std::uint32_t at = connections_.take();
  FLOWLOOM_CHECK(at != kNoIndex);
  table_.replace(hash_of(key, config_.seed), index, at);
  wheel_.cancel(index);
  give_back_lone(index);
  Connection& c = begin(at, key, s, sender, d);
  delivery_.about(c);
  delivery_.open();
  tracker_.on_lone_segment(c, s, d, delivery_);
  note_unconfirmed(c, s);
  const Timestamp grace = tracker_.grace_deadline(c);
  if (grace <= delivery_.clock()) tracker_.on_grace(c, grace, delivery_);
  return c;
}

// Preconditions: delivery_ was told the decision.
void Shard::end_lone(std::uint32_t index, CloseReason reason) {
  // What brought bytes has a stream.
  if (lone_at(index).payload_bytes() == 0 && delivery_.give_up_lone(reason)) {
    drop_lone(index, reason);
  } else {
    end(open_lone(index), reason);
  }
}

// Preconditions: the consumer does without a word of it.
void Shard::drop_lone(std::uint32_t index, CloseReason reason) {
  ++ledger_.connections_closed[static_cast<std::size_t>(reason)];
  wheel_.cancel(index);
  const VictimHash& foreseen = victim_hashes_[index % kVictimHashes];
  table_.erase(foreseen.index == index ? foreseen.hash : lone_hash(index), index);
  give_back_lone(index);
}

std::uint64_t Shard::lone_hash(std::uint32_t index) const {
  return hash_of(lone_at(index).key(), config_.seed);
}

void Shard::prefetch_lone_victims(unsigned queue) {
  const std::uint32_t far = wheel_.behind_first(queue, kLoneAhead);
  if (far == kNoIndex) return;
  prefetch_object<PrefetchFor::Write>(lone_at(far));
  wheel_.prefetch(far);
  const std::uint32_t near = wheel_.behind_first(queue, kNamedAhead);
  const std::uint64_t hash = lone_hash(near);
  table_.prefetch(hash);
  victim_hashes_[near % kVictimHashes] = {near, hash};
}

}  // namespace flowloom
