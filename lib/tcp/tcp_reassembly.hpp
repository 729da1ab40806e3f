// Bytes into order: in place, held, late, or missing. Part of TcpTracker.
#pragma once

#include <algorithm>

#include "base/check.hpp"
#include "base/hash.hpp"
#include "tcp/tcp_tracker.hpp"

namespace flowloom {

/// The acknowledged end of payload: an acknowledged FIN is not a byte.
template <class Handler>
SeqNum TcpTracker<Handler>::acked_data(const HalfConnection& h) const {
  const bool acks_fin = h.has_any(half_flags::kFinSeen) & h.fin_seq.before(h.snd_una);
  return acks_fin ? h.fin_seq : h.snd_una;
}

/// One sequence number was acknowledged beyond all that its sender was seen to send, and the
/// other side has closed: a FIN that the capture missed, not a byte.
template <class Handler>
bool TcpTracker<Handler>::may_be_unseen_fin(const Connection& c, Direction d) {
  const HalfConnection& h = c.half[index_of(d)];
  return !h.has_any(half_flags::kFinSeen) && h.snd_una == h.rcv_nxt + 1 &&
         h.snd_nxt == h.rcv_nxt && c.half[index_of(reverse(d))].has_any(half_flags::kFinSeen);
}

template <class Handler>
HoleCause TcpTracker<Handler>::cause_at(const HalfConnection& h, StreamOffset begin) const {
  if (h.has_any(half_flags::kSnapped)) return HoleCause::CaptureLoss;
  // Of a direction that took another way, what is acknowledged is no loss of the capture's.
  if (!h.has_all(half_flags::kHeard | half_flags::kAcked)) return HoleCause::Unknown;
  return begin < unwrap(h.snd_una, h.offset, h.rcv_nxt) ? HoleCause::CaptureLoss
                                                        : HoleCause::NetworkLoss;
}

template <class Handler>
void TcpTracker<Handler>::on_text(Connection& c, const Segment& s, Direction d, Doubt doubt,
                                  Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (h.has_all(kHeld | kSynSeen) && !s.flags.has_any(kSyn)) settle_syn_data(c, d, s.seq, out);
  if (!h.has_any(kOriginKnown)) begin_pickup(c, d, s, out);
  StreamOffset begin = unwrap(s.data_seq(), h.offset, h.rcv_nxt);
  if (begin - h.offset > kMaxWindow || h.offset - begin > kMaxWindow) {
    count(c, Anomaly::OutOfWindow);
    counters_.fate(Fate::OutOfWindow, s.length);
    return;
  }
  ByteView bytes = s.payload;
  if (bytes.size() < s.length) {
    counters_.fate(Fate::NotCaptured, s.length - bytes.size());
    count(c, Anomaly::SnappedSegment);
    h.set(kSnapped);
  }
  if (was_reset(c)) count(c, Anomaly::DataAfterReset);
  const StreamOffset end = begin + static_cast<StreamOffset>(bytes.size());
  const bool probe = s.length == 1 && s.data_seq() + 1 == h.snd_nxt && begin < h.offset;
  if (begin < h.offset && !h.has_any(kHeld)) {
    const StreamOffset old_end = std::min(end, h.offset);
    const auto old = static_cast<std::size_t>(old_end - begin);
    if (probe) {
      note_probe(c, d, begin, old_end);
    } else {
      note_old_text(c, d, begin, bytes.first(old), out);
    }
    bytes = bytes.subspan(old);
    begin = old_end;
  }
  const DoubtStart start = doubt_start(c, d, begin, doubt);
  const auto believed = static_cast<std::size_t>(std::clamp(start.at, begin, end) - begin);
  if (doubt == Doubt::None && start.at >= end) {
    const SeqNum seq_end = s.data_seq() + s.length; // snapped bytes too
    if (h.snd_nxt.before(seq_end)) h.snd_nxt = seq_end;
  }
  place(c, d, begin, bytes.first(believed), out);
  place_doubtful(c, d, begin + static_cast<StreamOffset>(believed), bytes.subspan(believed),
                 start.cause);
}

// Bytes that a receiver may not have taken; see tcp_doubt.hpp.
template <class Handler>
void TcpTracker<Handler>::place_doubtful(Connection& c, Direction d, StreamOffset begin,
                                         ByteView bytes, Fate cause) {
  if (bytes.empty()) return;
  const HalfConnection& h = c.half[index_of(d)];
  std::size_t before_end = bytes.size(); // where the receiver may miss them
  if (h.has_any(half_flags::kEnded)) {
    before_end = 0;
  } else if (h.has_any(half_flags::kFinAcked)) {
    const StreamOffset fin = unwrap(h.fin_seq, h.offset, h.rcv_nxt);
    const auto end = begin + static_cast<StreamOffset>(bytes.size());
    before_end = static_cast<std::size_t>(std::clamp(fin, begin, end) - begin);
  }
  hold_doubtful(c, d, begin, bytes.first(before_end), cause);
  const std::size_t behind = bytes.size() - before_end;
  if (behind > 0 && cause == Fate::AfterEnd) count(c, Anomaly::DataAfterFin);
  counters_.fate(cause, behind);
}

// Whose data the other side takes after its RST did not send that RST.
template <class Handler>
void TcpTracker<Handler>::reopen(Connection& c, Direction d) {
  if (!c.has_any(reset_flag(d))) return;
  c.clear(connection_flags::kClosing | connection_flags::kClosedByReset | reset_flag(d));
}

// Preconditions: begin >= the delivery point, unless the direction is held.
template <class Handler>
void TcpTracker<Handler>::place(Connection& c, Direction d, StreamOffset begin, ByteView bytes,
                                Handler& out) {
  if (bytes.empty()) return;
  replace_doubtful(c, d, begin, begin + static_cast<StreamOffset>(bytes.size()));
  arrange(c, d, begin, bytes, out);
}

// In order: delivered; early: held.
template <class Handler>
void TcpTracker<Handler>::arrange(Connection& c, Direction d, StreamOffset begin, ByteView bytes,
                                  Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  if (h.has_any(half_flags::kHeld) || begin > h.offset || waits_for_ack(c, d)) {
    if (!h.has_any(half_flags::kHeld) && begin > h.offset && !waits_for_ack(c, d)) {
      if (HalfExtra* extra = half_extra(c, d)) ++extra->out_of_order;
    }
    hold(c, d, begin, bytes, out);
    keep_room(c, d, out);
    drain(c, d, out);
    return;
  }
  if (h.has_any(half_flags::kQueued)) {
    // What runs over held bytes is the policy's business; the rest never waits for a page.
    const StreamOffset front = find_half_extra(c, d)->queue.front(memory_.pages);
    const auto free = static_cast<std::size_t>(
        std::min<StreamOffset>(front - begin, static_cast<StreamOffset>(bytes.size())));
    const bool short_of_pages = memory_.pages.in_use() == memory_.pages.capacity();
    if (free == bytes.size() || short_of_pages) {
      deliver(c, d, bytes.first(free), out);
      hold(c, d, begin + static_cast<StreamOffset>(free), bytes.subspan(free), out);
    } else {
      hold(c, d, begin, bytes, out);
    }
    keep_room(c, d, out);
    drain(c, d, out);
    return;
  }
  deliver(c, d, bytes, out);
}

template <class Handler>
void TcpTracker<Handler>::hold(Connection& c, Direction d, StreamOffset begin, ByteView bytes,
                               Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  HalfExtra* extra = half_extra(c, d);
  if (extra == nullptr) {
    counters_.fate(Fate::CutMemory, bytes.size());
    return;
  }
  ConflictTeller teller(*this, c, d, out);
  // The whole segment at once: a policy asks where it begins and ends.
  const InsertResult r = extra->queue.insert(
      memory_.pages, begin, bytes,
      {.policy = settings_.overlap,
       .owner = owner_of(c, d),
       .page_limit = settings_.pages_per_direction,
       .observer = &teller});
  if (!extra->queue.empty()) h.set(half_flags::kQueued);
  extra->duplicate_bytes += r.duplicate;
  counters_.fate(Fate::Duplicate, r.duplicate);
  counters_.fate(Fate::Overlap, r.overlap);
  if (r.overlap > 0) {
    ++extra->overlap_conflicts;
    count(c, Anomaly::OverlapDifferentData);
  }
  counters_.fate(Fate::CutMemory, r.no_memory);
}

// Where a cap is reached the hole in front is given up, so that the next segment finds room.
template <class Handler>
void TcpTracker<Handler>::keep_room(Connection& c, Direction d, Handler& out) {
  const HalfConnection& h = c.half[index_of(d)];
  if (h.has_any(half_flags::kHeld) || !h.has_any(half_flags::kQueued)) return;
  if (find_half_extra(c, d)->queue.pages() >= settings_.pages_per_direction ||
      memory_.pages.in_use() == memory_.pages.capacity()) {
    make_room(c, d, out);
  }
}

template <class Handler>
bool TcpTracker<Handler>::make_room(Connection& c, Direction d, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  const HalfExtra* extra = find_half_extra(c, d);
  ++counters_.rooms_made;
  if (h.has_any(half_flags::kQueued) && extra->queue.pages() >= settings_.pages_per_direction) {
    give_up_first_hole(c, d, HoleCause::Cut, out);
    return true;
  }
  // A random victim, so that nobody can aim (Dharmapurikar and Paxson, 2005).
  random_ = mix(random_ + 1, 0x9e3779b97f4a7c15);
  const std::uint32_t owner = memory_.pages.random_owner(random_);
  if (owner == kNoIndex) return false;
  Connection& victim = connections_[owner / 2];
  const Direction side = direction_of(side_of(victim, direction_of(owner % 2)));
  out.on_behalf_of(victim, [&](Handler& theirs) {
    if (victim.half[index_of(side)].has_any(half_flags::kHeld)) release_held(victim, side, theirs);
    give_up_first_hole(victim, side, HoleCause::Cut, theirs);
  });
  return true;
}

// Urgent bytes that are to leave the stream do so here, where their turn has come.
template <class Handler>
void TcpTracker<Handler>::deliver(Connection& c, Direction d, ByteView bytes, Handler& out) {
  const HalfConnection& h = c.half[index_of(d)];
  while (h.has_any(half_flags::kUrgent) && !bytes.empty()) {
    HalfRare& rare = *find_half_rare(c, d);
    if (rare.urgent_pending_count == 0) break;
    const StreamOffset next = rare.urgent_pending[0];
    if (next >= h.offset + static_cast<StreamOffset>(bytes.size())) break;
    if (next >= settings_.depth) break; // cut like any other byte there
    if (next >= h.offset) {
      const auto before = static_cast<std::size_t>(next - h.offset);
      deliver_piece(c, d, bytes.first(before), out);
      take_urgent(c, d, bytes[before], out);
      bytes = bytes.subspan(before + 1);
    }
    std::move(rare.urgent_pending.begin() + 1, rare.urgent_pending.end(),
              rare.urgent_pending.begin());
    --rare.urgent_pending_count;
  }
  deliver_piece(c, d, bytes, out);
}

template <class Handler>
void TcpTracker<Handler>::take_urgent(Connection& c, Direction d, std::uint8_t byte,
                                      Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  HalfExtra& extra = *find_half_extra(c, d);
  counters_.fate(Fate::Urgent, 1);
  if (settings_.urgent == UrgentMode::Oob) out.urgent(d, stream_position(c, d, h.offset), byte);
  ++extra.urgent_taken;
  ++h.offset;
  h.rcv_nxt = h.rcv_nxt + 1;
}

template <class Handler>
void TcpTracker<Handler>::deliver_piece(Connection& c, Direction d, ByteView bytes,
                                        Handler& out) {
  if (bytes.empty()) return;
  HalfConnection& h = c.half[index_of(d)];
  const StreamOffset at = h.offset;
  const auto size = static_cast<StreamOffset>(bytes.size());
  h.offset += size;
  h.rcv_nxt = h.rcv_nxt + static_cast<std::uint32_t>(size);
  const StreamOffset room = std::clamp<StreamOffset>(settings_.depth - at, 0, size);
  if (room > 0) {
    counters_.fate(Fate::Delivered, static_cast<std::uint64_t>(room));
    c.set(connection_flags::kDelivered);
    const ByteView delivered = bytes.first(static_cast<std::size_t>(room));
    out.data(d, stream_position(c, d, at), delivered);
    if (!c.has_any(connection_flags::kFinishing)) {
      memory_.delivered.add_piece(c.delivered[index_of(d)], owner_of(c, d), at, delivered);
    }
  }
  if (room < size) {
    counters_.fate(Fate::CutDepth, static_cast<std::uint64_t>(size - room));
    HalfExtra* extra = half_extra(c, d);
    if (extra != nullptr && !h.has_any(half_flags::kCut)) {
      h.set(half_flags::kCut);
      extra->cut_from = at + room;
    }
  }
}

template <class Handler>
void TcpTracker<Handler>::drain(Connection& c, Direction d, StreamOffset until, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  if (!h.has_any(half_flags::kQueued) || h.has_any(half_flags::kHeld)) return;
  if (h.has_any(half_flags::kFinSeen)) {
    // What was held when a FIN came before it waits for what becomes of the FIN.
    until = std::min(until, unwrap(h.fin_seq, h.offset, h.rcv_nxt));
  }
  ReorderQueue& queue = find_half_extra(c, d)->queue;
  const std::uint64_t overtaken = queue.drop_before(memory_.pages, h.offset);
  counters_.fate(Fate::Duplicate, overtaken);
  while (!queue.empty() && queue.front(memory_.pages) == h.offset && h.offset < until) {
    ByteView bytes = queue.front_bytes(memory_.pages);
    const auto room = static_cast<std::uint64_t>(until - h.offset);
    bytes = bytes.first(std::min<std::uint64_t>(bytes.size(), room));
    deliver(c, d, bytes, out);
    queue.pop_front(memory_.pages, bytes.size());
  }
  if (queue.empty()) h.clear(half_flags::kQueued);
}

template <class Handler>
void TcpTracker<Handler>::declare_gap(Connection& c, Direction d, StreamOffset until,
                                      HoleCause cause, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  FLOWLOOM_DCHECK(until > h.offset);
  const OffsetRange range{h.offset, until};
  h.rcv_nxt = h.seq_at(until);
  h.offset = until;
  if (h.snd_nxt.before(h.rcv_nxt)) h.snd_nxt = h.rcv_nxt;
  if (h.has_any(half_flags::kCut)) return; // within what the depth limit cut
  if (range.begin >= settings_.depth) {
    h.set(half_flags::kCut);
    if (HalfExtra* extra = half_extra(c, d)) extra->cut_from = range.begin;
    return;
  }
  if (HalfExtra* extra = half_extra(c, d)) {
    extra->gap_bytes += static_cast<std::uint64_t>(range.end - range.begin);
    extra->recent_gaps[extra->gap_count++ % extra->recent_gaps.size()] = range;
  }
  add_letter(c, d, Letter::Gap);
  c.set(connection_flags::kDelivered);
  out.gap(d, stream_position(c, d, range.begin), range.end - range.begin, cause);
}

template <class Handler>
void TcpTracker<Handler>::give_up_first_hole(Connection& c, Direction d, HoleCause cause,
                                             Handler& out) {
  HalfExtra* extra = find_half_extra(c, d);
  HalfConnection& h = c.half[index_of(d)];
  drop_doubtful(c, d); // before anything that may be true
  if (extra == nullptr || extra->queue.empty() || drop_behind_fin(c, d)) return;
  const StreamOffset front = extra->queue.front(memory_.pages);
  if (front > h.offset) declare_gap(c, d, front, cause, out);
  drain(c, d, std::numeric_limits<StreamOffset>::max(), out);
}

// --- mid-stream pick-up

// Where the third step of the handshake named an earlier byte, what lies between is missing.
template <class Handler>
void TcpTracker<Handler>::begin_stream(HalfConnection& h, SeqNum first_seen) {
  using enum half_flags::Bits;
  const std::int64_t missing = h.rcv_nxt.distance_to(first_seen);
  if (!h.has_any(kOriginNamed) || missing < 0 || missing > kSmallestSlack) {
    h.clear(kOriginNamed);
    h.rcv_nxt = first_seen;
  }
  h.snd_nxt = first_seen;
  h.offset = 0;
  h.set(kOriginKnown);
}

template <class Handler>
void TcpTracker<Handler>::begin_pickup(Connection& c, Direction d, const Segment& s,
                                       Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  const bool nothing_missing = h.has_any(kAcked) && h.snd_una == s.data_seq();
  begin_stream(h, s.data_seq());
  if (nothing_missing) return;
  HalfExtra* extra = half_extra(c, d);
  if (extra == nullptr) return;
  h.set(kHeld);
  extra->grace_since = s.clock;
  extra->grace_segments = 0;
  c.set(connection_flags::kTimed);
  out.arm(c, saturating_add(s.clock, kPickupGraceTime));
}

template <class Handler>
bool TcpTracker<Handler>::pickup_complete(const Connection& c, Direction d) const {
  const HalfConnection& h = c.half[index_of(d)];
  HalfExtra& extra = memory_.extras[c.extra - 1].half[index_of(d)];
  if (++extra.grace_segments > kPickupGraceSegments) return true;
  if (!h.has_any(half_flags::kAcked)) return false;
  // Nothing but a FIN, and its receiver has it: he misses nothing before it.
  if (extra.queue.empty()) {
    return h.has_any(half_flags::kFinSeen) && h.snd_una == h.fin_seq + 1;
  }
  const StreamOffset acked = unwrap(acked_data(h), h.offset, h.rcv_nxt);
  return extra.queue.front(memory_.pages) <= acked &&
         acked <= extra.queue.front_run_end(memory_.pages);
}

// The lowest sequence number seen becomes the origin, or that which the handshake named before it.
template <class Handler>
void TcpTracker<Handler>::release_held(Connection& c, Direction d, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  HalfExtra* extra = find_half_extra(c, d);
  if (h.has_any(half_flags::kSynSeen)) {
    settle_syn_data(c, d, h.snd_nxt, out); // nobody has said that it was not taken
    return;
  }
  h.clear(half_flags::kHeld);
  if (extra == nullptr || extra->queue.empty()) return;
  StreamOffset lowest = extra->queue.front(memory_.pages);
  if (h.has_any(half_flags::kOriginNamed)) lowest = std::min<StreamOffset>(lowest, 0);
  move_held_origin(c, d, lowest);
  drain(c, d, out);
}

// What was at position `to` is at offset 0 now. Preconditions: nothing was delivered.
template <class Handler>
void TcpTracker<Handler>::move_held_origin(Connection& c, Direction d, StreamOffset to) {
  HalfConnection& h = c.half[index_of(d)];
  HalfExtra& extra = *find_half_extra(c, d);
  extra.queue.rebase(to);
  if (HalfRare* rare = find_rare(extra)) rare->move_urgent(to);
  h.rcv_nxt = h.rcv_nxt + static_cast<std::uint32_t>(to);
  h.offset = 0;
}

// --- holes below the peer's acknowledgement

template <class Handler>
bool TcpTracker<Handler>::hole_grace_over(HalfExtra& extra, Timestamp clock) {
  ++extra.grace_segments;
  if (extra.grace_segments > kGapGraceSegmentsMax) return true;
  return extra.grace_segments > kGapGraceSegments &&
         saturating_add(extra.grace_since, kGapGraceTime) <= clock;
}

template <class Handler>
void TcpTracker<Handler>::watch_hole(Connection& c, Direction d, Timestamp clock, Handler& out) {
  const HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (h.has_all(kHeard | kAcked) && !h.has_any(kHolePending) && h.rcv_nxt.before(acked_data(h)) &&
      !may_be_unseen_fin(c, d)) {
    begin_hole_grace(c, d, clock, out);
  }
}

template <class Handler>
void TcpTracker<Handler>::begin_hole_grace(Connection& c, Direction d, Timestamp clock,
                                           Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  HalfExtra* extra = half_extra(c, d);
  if (extra == nullptr) return;
  h.set(half_flags::kHolePending);
  extra->grace_since = clock;
  extra->grace_segments = 0;
  extra->hole_ack = acked_data(h);
  c.set(connection_flags::kTimed);
  out.arm(c, saturating_add(clock, kGapGraceTimeMax));
}

template <class Handler>
void TcpTracker<Handler>::end_hole_grace(Connection& c, Direction d, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  HalfExtra& extra = *find_half_extra(c, d);
  if (may_be_unseen_fin(c, d)) {
    h.clear(half_flags::kHolePending);
    return;
  }
  believe_only_copies(c, d, unwrap(extra.hole_ack, h.offset, h.rcv_nxt), out);
  if (!extra.hole_ack.at_or_before(h.rcv_nxt)) count(c, Anomaly::AckUnseen);
  while (h.rcv_nxt.before(extra.hole_ack) && !may_be_unseen_fin(c, d)) {
    StreamOffset until = unwrap(extra.hole_ack, h.offset, h.rcv_nxt);
    if (!extra.queue.empty()) until = std::min(until, extra.queue.front(memory_.pages));
    if (until <= h.offset) break; // held back: not for this grace to deliver
    declare_gap(c, d, until, HoleCause::CaptureLoss, out);
    drain(c, d, out);
  }
  h.clear(half_flags::kHolePending);
}

// --- the end

// Delivers what is held, with the holes between as gaps.
template <class Handler>
void TcpTracker<Handler>::flush(Connection& c, Direction d, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  HalfExtra* extra = find_half_extra(c, d);
  constexpr StreamOffset kAll = std::numeric_limits<StreamOffset>::max();
  drop_doubtful(c, d);
  drain(c, d, kAll, out);
  while (extra != nullptr && !extra->queue.empty()) {
    if (drop_behind_fin(c, d)) return;
    const StreamOffset front = extra->queue.front(memory_.pages);
    const HoleCause cause = cause_at(h, h.offset);
    if (cause == HoleCause::NetworkLoss && front - h.offset > kMaxUnackedHole) {
      counters_.fate(Fate::OutOfWindow, extra->queue.clear(memory_.pages));
      h.clear(half_flags::kQueued);
      h.snd_nxt = h.rcv_nxt;
      return;
    }
    declare_gap(c, d, front, cause, out);
    drain(c, d, kAll, out);
  }
}

template <class Handler>
void TcpTracker<Handler>::finish_direction(Connection& c, Direction d, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (h.has_any(kEnded) && !h.has_any(kCut | kQueued | kHeld)) return; // all was told
  if (h.has_any(kOriginKnown)) {
    finish_stream(c, d, out);
  } else if (h.has_any(kAcked) && h.rcv_nxt.before(h.snd_una)) {
    // Never heard, but acknowledged: that much of it was missed.
    h.snd_nxt = h.snd_una;
    const std::int64_t missed = h.rcv_nxt.distance_to(h.snd_una);
    if (missed <= kMaxWindow) declare_gap(c, d, missed, HoleCause::Unknown, out);
  }
  if (!h.has_any(kCut)) return;
  HalfExtra* extra = find_half_extra(c, d);
  if (extra == nullptr || extra->cut_from >= h.offset) return;
  extra->gap_bytes += static_cast<std::uint64_t>(h.offset - extra->cut_from);
  ++extra->gap_count;
  out.gap(d, stream_position(c, d, extra->cut_from), h.offset - extra->cut_from, HoleCause::Cut);
}

// What is held is delivered; what is known to have been sent beyond it is missing.
template <class Handler>
void TcpTracker<Handler>::finish_stream(Connection& c, Direction d, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (h.has_all(kHeld | kSynSeen) && c.has_any(reset_flag(reverse(d)))) {
    settle_syn_data(c, d, h.rcv_nxt, out); // the SYN was refused, and all that it carried
  } else if (h.has_any(kHeld)) {
    release_held(c, d, out);
  }
  h.clear(kHolePending);
  confirm_fin(c, d);
  believe_only_copies(c, d, acked_offset(h), out);
  believe_permitted(c, d, out);
  flush(c, d, out);
  StreamOffset known_end = h.offset;
  if (h.has_any(kAcked) && !may_be_unseen_fin(c, d)) {
    known_end = std::max(known_end, unwrap(acked_data(h), h.offset, h.rcv_nxt));
  }
  if (h.has_any(kFinSeen)) {
    known_end = std::max(known_end, unwrap(h.fin_seq, h.offset, h.rcv_nxt));
  } else if (h.has_any(kSnapped)) {
    known_end = std::max(known_end, unwrap(h.snd_nxt, h.offset, h.rcv_nxt));
  }
  if (known_end > h.offset && known_end - h.offset <= kMaxWindow) {
    declare_gap(c, d, known_end, cause_at(h, h.offset), out);
  }
  announce_end(c, d, out);
}

template <class Handler>
void TcpTracker<Handler>::finish(Connection& c, Handler& out) {
  c.set(connection_flags::kFinishing);
  write_waiting_letters(c);
  finish_direction(c, Direction::OriginatorToResponder, out);
  finish_direction(c, Direction::ResponderToOriginator, out);
}

template <class Handler>
void TcpTracker<Handler>::release(Connection& c) {
  if (c.extra == 0) return;
  for (HalfExtra& half : memory_.extras[c.extra - 1].half) {
    FLOWLOOM_DCHECK(half.queue.empty());
    half.queue.clear(memory_.pages);
    HalfRare* rare = find_rare(half);
    if (rare == nullptr) continue;
    FLOWLOOM_DCHECK(rare->doubtful.empty());
    rare->doubtful.clear(memory_.pages);
    memory_.rares.give_back(half.rare - 1);
  }
  memory_.extras.give_back(c.extra - 1);
  c.extra = 0;
}

}  // namespace flowloom
