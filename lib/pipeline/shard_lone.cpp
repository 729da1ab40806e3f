// The part of Shard that keeps first segments which nothing has followed in a cache line or two.
// Only a flood or a scan makes so many of them; nothing here runs per packet of a connection.
#include <algorithm>

#include "base/check.hpp"
#include "net/five_tuple.hpp"
#include "net/tcp_options.hpp"
#include "pipeline/shard.hpp"
#include "pipeline/shard_timers.hpp"

namespace flowloom {

namespace {

void add_to(EvictionSummary& summary, const LoneSegment& lone, UnconfirmedKind kind) {
  summary.start = std::min(summary.start, lone.clock());
  summary.end = std::max(summary.end, lone.clock());
  ++summary.connections[static_cast<std::size_t>(kind)];
  ++summary.packets;
  summary.ip_bytes += lone.ip_bytes();
  summary.payload_bytes += lone.payload_bytes();
  add_addresses(summary, lone.source(), lone.destination());
}

}  // namespace

// Preconditions: the packet has no connection. Returns false where it needs one.
bool Shard::hold_first(const Packet& packet, const FlowKey& key, const Segment& s) {
  constexpr TcpFlags kOdd = kFin | kRst | kAck | kUrg;
  if (s.flags.has_any(kSyn) && !s.flags.has_any(kOdd)) {
    if (unconfirmed_ + lone_segments() < hold_syns_from_) return false;
    const TcpOptions options = parse_tcp_options(s.options);
    if (!LoneSyn::holds(packet, s, options)) return false;
    const std::uint32_t place = place_lone(syns_, first_syn(), packet.flow_hash);
    if (place == kNoIndex) return false;
    syns_[place].set(key, packet, s, options);
    if (syns_.in_use() == 1) wheel_.arm(syn_timer(), lone_deadline(syn_timer()));
  } else {
    if (!LoneText::holds(packet, s)) return false;
    const std::uint32_t place = place_lone(texts_, first_text(), packet.flow_hash);
    if (place == kNoIndex) return false;
    texts_[place].set(key, packet, s, first_direction(packet, s));
    if (texts_.in_use() == 1) wheel_.arm(text_timer(), lone_deadline(text_timer()));
    ledger_.tcp.payload_seen += s.length;
  }
  ++ledger_.connections_created;
  return true;
}

// A place in the queue of its kind, under the packet's hash; or kNoIndex.
template <class Queue>
inline std::uint32_t Shard::place_lone(Queue& queue, std::uint32_t first_index,
                                       std::uint64_t hash) {
  if (!make_room()) return kNoIndex;
  const std::uint32_t place = queue.add(hash);
  if (place == kNoIndex || table_.insert(hash, first_index + place)) return place;
  queue.remove(place);
  return kNoIndex;
}

// Out of its queue; whoever is first there is the next that may be evicted or time out.
inline void Shard::remove_lone(std::uint32_t index) {
  if (is_syn(index)) {
    syns_.remove(index - first_syn());
    syns_.prefetch_next(table_);
    if (syns_.in_use() == 0) wheel_.cancel(syn_timer());
  } else {
    texts_.remove(index - first_text());
    texts_.prefetch_next(table_);
    if (texts_.in_use() == 0) wheel_.cancel(text_timer());
  }
}

// The timer goes on to who is first then.
void Shard::expire_lone(std::uint32_t timer, Timestamp deadline) {
  const std::uint32_t index = first_lone(timer);
  delivery_.decide(deadline, lone_at(index).number());
  const CloseReason timed_out = is_syn(index) ? CloseReason::SynTimeout : CloseReason::Idle;
  end_lone(index, finishing_ ? CloseReason::Eof : timed_out);
  const bool any_left = (timer == syn_timer() ? syns_.in_use() : texts_.in_use()) > 0;
  if (any_left) wheel_.arm_again(timer, lone_deadline(timer), ShardTimers{*this});
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
  table_.replace(lone_hash(index), index, at);
  remove_lone(index);
  Connection& c = begin(at, key, s, sender, d);
  delivery_.about(c);
  delivery_.open();
  tracker_.on_lone_segment(c, s, d, delivery_);
  note_unconfirmed(c, s, d);
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

// Preconditions: delivery_ was told the decision.
void Shard::evict_lone(std::uint32_t index) {
  if (!delivery_.give_up_lone(CloseReason::Evicted)) {
    evict(open_lone(index), EvictionClass::Unconfirmed);
    return;
  }
  ++ledger_.evicted[static_cast<std::size_t>(EvictionClass::Unconfirmed)];
  const LoneSegment& lone = lone_at(index);
  const std::uint32_t bytes = lone.payload_bytes();
  ledger_.tcp.fate(Fate::CutEviction, bytes);
  UnconfirmedKind kind = UnconfirmedKind::Syn;
  if (!is_syn(index)) kind = bytes > 0 ? UnconfirmedKind::Data : UnconfirmedKind::Ack;
  add_to(evictions_.at(delivery_.clock()), lone, kind);
  drop_lone(index, CloseReason::Evicted);
}

// Preconditions: the consumer does without a word of it.
inline void Shard::drop_lone(std::uint32_t index, CloseReason reason) {
  ++ledger_.connections_closed[static_cast<std::size_t>(reason)];
  table_.erase(lone_hash(index), index);
  remove_lone(index);
}

}  // namespace flowloom
