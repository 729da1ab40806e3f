// The part of Shard that makes room: which connections are confirmed, who goes when tables or pages
// are full, and what is told of those that go by the thousand. Nothing here runs per packet of a
// confirmed connection.
#include <algorithm>

#include "net/five_tuple.hpp"
#include "pipeline/shard.hpp"
#include "pipeline/shard_timers.hpp"

namespace flowloom {

namespace {

/// Where all connections are confirmed and open, so many are looked at.
constexpr std::uint32_t kEvictionSample = 32;
/// How far ahead of their turn victims are fetched from memory: first the connection, then what
/// it names.
constexpr std::uint32_t kConnectionAhead = 6;
constexpr std::uint32_t kAddressesAhead = 5;
constexpr std::uint32_t kNamedAhead = 4;
constexpr std::uint32_t kPagesAhead = 2;
/// How many pages in use are looked at to find one of an unconfirmed connection.
constexpr std::uint32_t kPageTries = 4;
/// What hurry() ends at most in one tick.
constexpr std::uint32_t kHurriedPerTick = 1024;

/// Decided after everything else of their nanosecond, in this order: no packet has such a number.
constexpr std::uint64_t kHurried = ~std::uint64_t{1};
constexpr std::uint64_t kSummary = ~std::uint64_t{0};

UnconfirmedKind kind_of(const Connection& c) {
  using enum half_flags::Bits;
  if (c.half[0].payload_bytes() + c.half[1].payload_bytes() > 0) return UnconfirmedKind::Data;
  const unsigned flags = c.half[0].flags() | c.half[1].flags();
  if ((flags & kFinSeen) != 0 ||
      c.has_any(connection_flags::kClosing | connection_flags::kSynAckSeen)) {
    return UnconfirmedKind::Other;
  }
  return (flags & kSynSeen) != 0 ? UnconfirmedKind::Syn : UnconfirmedKind::Ack;
}

void add_to(EvictionSummary& summary, const Connection& c, const FlowKey& key) {
  summary.start = std::min(summary.start, c.start);
  summary.end = std::max(summary.end, c.last_stamp);
  ++summary.connections[static_cast<std::size_t>(kind_of(c))];
  for (const HalfConnection& h : c.half) {
    summary.packets += h.packets();
    summary.ip_bytes += h.ip_bytes();
    summary.payload_bytes += h.payload_bytes();
  }
  const bool upper = c.has_any(connection_flags::kOriginatorIsUpper) == (c.half[0].packets() > 0);
  if (upper) {
    add_addresses(summary, key.upper_address, key.lower_address);
  } else {
    add_addresses(summary, key.lower_address, key.upper_address);
  }
}

/// What was delivered of a direction so far.
std::uint64_t delivered_bytes(const HalfConnection& h, const HalfExtra* extra) {
  if (extra == nullptr) return static_cast<std::uint64_t>(h.offset);
  return extra->stream_bytes(announced_end(h, *extra));
}

}  // namespace

void Shard::grow_table() {
  struct Hashes {
    const Shard& shard;
    [[nodiscard]] std::uint64_t hash(std::uint32_t index) const {
      if (shard.is_lone(index)) return shard.lone_hash(index);
      return shard.hash_in_table(shard.connections_[index]);
    }
    void prefetch(std::uint32_t index) const {
      if (!shard.is_lone(index)) prefetch_line(&shard.connections_[index].key);
    }
  };
  table_.grow(Hashes{*this});
}

// Preconditions: `c` is not confirmed, and was told of the segment.
void Shard::note_unconfirmed(Connection& c, const Segment& s, Direction d) {
  const bool both = c.half[0].packets() > 0 && c.half[1].packets() > 0;
  if (!both && !follows(c, s, d)) return;
  c.set(connection_flags::kConfirmed);
  --unconfirmed_;
  order_.remove(place_of(c));
  note_turn(c);
}

// Takes note of a segment from the only side that was heard; whether enough of them came in order.
bool Shard::follows(Connection& c, const Segment& s, Direction d) {
  static_assert(kSegmentsInOrder == 3, "two that followed, of which one is remembered");
  HalfConnection& talker = c.half[index_of(d)];
  const bool in_order = talker.packets() > 1 && s.seq == c.last_end;
  const bool enough = in_order && talker.has_any(half_flags::kFollowed);
  talker.assign(half_flags::kFollowed, in_order);
  c.last_end = s.seq + s.seq_len();
  return enough;
}

// It may have closed, or a RST was taken back. Preconditions: `c` is confirmed.
void Shard::note_turn(Connection& c) {
  const bool closing = c.has_any(connection_flags::kClosing);
  const std::uint32_t index = place_of(c);
  if (closing == order_.contains(index)) return;
  if (closing) {
    order_.add(EvictionOrder::List::Closed, index);
  } else {
    order_.remove(index);
  }
}

// Preconditions: delivery_ was told the decision.
void Shard::evict(Connection& c, EvictionClass its) {
  ++ledger_.evicted[static_cast<std::size_t>(its)];
  if (its == EvictionClass::Unconfirmed && give_up(c)) return;
  end(c, CloseReason::Evicted);
}

// What is held, and what was told already, goes without a record where the consumer can do without.
bool Shard::give_up(Connection& c) {
  delivery_.about(c);
  if (!delivery_.give_up()) return false;
  if (c.has_any(connection_flags::kWatched)) report_probe(c);
  std::uint64_t bytes = 0;
  std::uint64_t held = 0;
  ConnectionExtra* extra = c.extra == 0 ? nullptr : &memory_.extras[c.extra - 1];
  for (std::size_t i = 0; i < 2; ++i) {
    HalfExtra* half = extra == nullptr ? nullptr : &extra->half[i];
    bytes += delivered_bytes(c.half[i], half);
    if (half == nullptr) continue;
    held += half->queue.clear(memory_.pages);
    HalfRare* rare = tracker_.find_rare(*half);
    if (rare != nullptr) held += rare->doubtful.clear(memory_.pages);
  }
  ledger_.tcp.fates[static_cast<std::size_t>(Fate::Delivered)] -= bytes;
  ledger_.tcp.fate(Fate::CutEviction, bytes + held);
  add_to(evictions_.at(delivery_.clock()), c, key_of(c));
  remove(c, CloseReason::Evicted);
  return true;
}

// A connection or a LoneSegment; the order of connections that were LoneSegments is that in which
// something else of them was seen.
inline std::uint32_t Shard::oldest_unconfirmed() const {
  std::uint32_t oldest = order_.first(EvictionOrder::List::Unconfirmed);
  if (texts_.in_use() > 0) oldest = older(oldest, first_lone(text_timer()));
  if (syns_.in_use() > 0) oldest = older(oldest, first_lone(syn_timer()));
  return oldest;
}

// Preconditions: delivery_ was told the decision.
void Shard::evict_unconfirmed(std::uint32_t index) {
  if (is_lone(index)) {
    evict_lone(index);
  } else {
    evict(connections_[index], EvictionClass::Unconfirmed);
    prefetch_victims();
  }
}

// The longest unconfirmed first, then who closed first; else the best of a sample. But who only
// lingers leaves a part of the table to newcomers: without it they would evict each other before
// any could be confirmed.
bool Shard::evict_one() {
  ledger_.reached(Limit::MaxFlows);
  const std::uint32_t unconfirmed = unconfirmed_ + lone_segments();
  const std::uint32_t closed = order_.first(EvictionOrder::List::Closed);
  const bool few = unconfirmed == 0 || unconfirmed < config_.max_flows / kPartForUnconfirmed;
  if (few && closed != kNoIndex) {
    evict(connections_[closed], EvictionClass::Closed);
    return true;
  }
  if (unconfirmed == 0) return evict_of_sample();
  evict_unconfirmed(oldest_unconfirmed());
  return true;
}

// Preconditions: all connections are confirmed, and none is closed.
bool Shard::evict_of_sample() {
  const std::uint32_t capacity = connections_.capacity();
  Connection* victim = nullptr;
  EvictionClass its = EvictionClass::Open;
  for (std::uint32_t i = 0; i < std::min(kEvictionSample, capacity); ++i) {
    Connection& c = connections_[(eviction_hand_ + i) % capacity];
    const EvictionClass one = embryonic(c) ? EvictionClass::HalfOpen : EvictionClass::Open;
    if (victim != nullptr && (one > its || (one == its && c.last_clock >= victim->last_clock))) {
      continue;
    }
    victim = &c;
    its = one;
  }
  eviction_hand_ = (eviction_hand_ + kEvictionSample) % capacity;
  if (victim == nullptr) return false;
  evict(*victim, its);
  return true;
}

// A flood evicts one connection for each that it creates, and those were created long ago.
void Shard::prefetch_victims() {
  std::uint32_t index = order_.first(EvictionOrder::List::Unconfirmed);
  for (std::uint32_t ahead = 0; index != kNoIndex; ++ahead) {
    const Connection& c = connections_[index];
    if (ahead == kPagesAhead && c.extra != 0) {
      for (const HalfExtra& half : memory_.extras[c.extra - 1].half) {
        half.queue.prefetch(memory_.pages);
      }
    }
    if (ahead == kNamedAhead) {
      table_.prefetch(hash_in_table(c));
      if (c.extra != 0) prefetch_object<PrefetchFor::Write>(memory_.extras[c.extra - 1]);
    }
    if (ahead == kAddressesAhead && c.key.is_ipv6()) prefetch_line(&ipv6_[index]);
    if (ahead == kConnectionAhead) {
      prefetch_object<PrefetchFor::Write>(c);
      wheel_.prefetch(index);
      return;
    }
    index = order_.next(index);
  }
}

// Pages that unconfirmed connections hold must not be missing to others. The oldest may have one;
// else, where nearly all are in use, a random page finds them as often as they are many.
void Shard::relieve_pages() {
  const std::uint32_t oldest = order_.first(EvictionOrder::List::Unconfirmed);
  if (oldest == kNoIndex) return;
  if (connections_[oldest].extra != 0) {
    ledger_.reached(Limit::ReorderMemory);
    evict_unconfirmed(oldest);
    return;
  }
  for (std::uint32_t i = 0; i < kPageTries; ++i) {
    page_tries_ = mix(page_tries_ + config_.seed.a, config_.seed.b);
    const std::uint32_t owner = memory_.pages.random_owner(page_tries_);
    if (owner == kNoIndex) return;
    Connection& c = connections_[owner / 2];
    if (c.has_any(connection_flags::kConfirmed)) continue;
    ledger_.reached(Limit::ReorderMemory);
    evict(c, EvictionClass::Unconfirmed);
    return;
  }
}

// Emergency time-outs: while the table is nearly full, what most likely nobody misses ends earlier.
// Preconditions: the wheel has not been at `clock` yet, so nothing was decided there.
void Shard::hurry(Timestamp clock) {
  pressed_ = table_.size() >= (pressed_ ? pressure_ends_ : pressure_begins_);
  if (!pressed_) return;
  ledger_.reached(Limit::Pressure);
  const Timestamp before = clock - Duration{1};
  if (before >= wheel_.next_due()) wheel_.advance(before, ShardTimers{*this});
  delivery_.decide(before, kHurried);
  std::uint32_t left = kHurriedPerTick;
  for (; left > 0; --left) {
    const std::uint32_t oldest = oldest_unconfirmed();
    if (oldest == kNoIndex) break;
    const Timestamp heard =
        is_lone(oldest) ? lone_at(oldest).clock() : connections_[oldest].last_clock;
    if (saturating_add(heard, kHurriedUnconfirmedTimeout) > before) break;
    evict_unconfirmed(oldest);
  }
  for (; left > 0; --left) {
    const std::uint32_t closed = order_.first(EvictionOrder::List::Closed);
    if (closed == kNoIndex) break;
    const Timestamp since = connections_[closed].last_clock;
    if (saturating_add(since, kHurriedClosedTimeout) > before) break;
    ++ledger_.hurried;
    end(connections_[closed], reason_of(connections_[closed]));
  }
}

// The same key for all workers' evictions of one second, so that they can be joined.
void Shard::tell_evictions() {
  const Timestamp due = evictions_.due();
  if (watch_.is_due(due)) judge_contacts(due);
  const Timestamp before = due - Duration{1};
  if (before >= wheel_.next_due()) wheel_.advance(before, ShardTimers{*this});
  delivery_.decide(before, kSummary);
  delivery_.summary(evictions_.take());
}

}  // namespace flowloom
