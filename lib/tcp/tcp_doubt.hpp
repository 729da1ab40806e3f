// What a receiver may not have taken. Part of TcpTracker.
//
// A host drops a segment whose acknowledgement, timestamp or position it cannot accept, data behind
// a FIN, and data after a RST; who hides from an analyst sends such segments on purpose. But an
// observer who missed a packet may only believe that a segment is unacceptable. So doubtful bytes
// are held, and the receiver decides: what it acknowledges is delivered; a copy without doubt takes
// their place; what neither happens to has the fate of its doubt (docs/tcp.md, Doubt).
#pragma once

#include <algorithm>

#include "tcp/tcp_tracker.hpp"

namespace flowloom {

template <class Handler>
[[gnu::always_inline]]
inline Doubt TcpTracker<Handler>::doubt_about(const Connection& c, const Segment& s,
                                              Direction d) const {
  const HalfConnection& talker = c.half[index_of(d)];
  const HalfConnection& listener = c.half[index_of(reverse(d))];
  using enum half_flags::Bits;
  if (s.flags.has_any(kSyn)) return Doubt::None;
  if (uses_timestamps(talker, listener)) {
    const std::uint32_t value = timestamp_of(s);
    if (value != 0 && !timestamps_expired(c, s) && is_older(value, talker.ts_recent)) {
      return Doubt::OldTimestamp;
    }
  }
  if (s.flags.has_any(kRst)) return Doubt::None;
  const bool knows_both = talker.has_any(kOriginKnown) && listener.has_any(kHeard);
  if (!s.flags.has_any(kAck)) {
    return knows_both || talker.has_any(kSynSeen) ? Doubt::NoAck : Doubt::None;
  }
  if (!knows_both || !listener.has_all(kOriginKnown)) return Doubt::None;
  return doubt_about_ack(c, s, d);
}

// RFC 5961, 5.2, as far as somebody can judge it who may have missed a window of data: the
// acknowledgement may be a window ahead of what was seen, and a window old.
template <class Handler>
Doubt TcpTracker<Handler>::doubt_about_ack(const Connection& c, const Segment& s,
                                           Direction d) const {
  const HalfConnection& listener = c.half[index_of(reverse(d))];
  using enum half_flags::Bits;
  SeqNum furthest = listener.snd_nxt;
  std::int64_t window = kSmallestSlack;
  if (listener.has_any(kAcked)) {
    window = std::max<std::int64_t>(window, listener.snd_una.distance_to(listener.snd_edge));
    const bool very_old = listener.snd_una.distance_to(s.ack) < -window;
    const HalfConnection& talker = c.half[index_of(d)];
    const bool repeats = (s.seq + s.length).at_or_before(talker.rcv_nxt);
    if (very_old && !repeats) return Doubt::Acknowledgement;
  }
  if (listener.has_any(kDoubt)) {
    const StreamOffset end = find_half_rare(c, reverse(d))->doubt_end;
    const SeqNum doubt_end = listener.seq_at(end);
    if (furthest.before(doubt_end)) furthest = doubt_end;
  }
  if (listener.has_any(kDoubtFin)) {
    const SeqNum fin_end = find_half_rare(c, reverse(d))->doubt_fin + 1;
    if (furthest.before(fin_end)) furthest = fin_end;
  }
  return furthest.distance_to(s.ack) > window ? Doubt::Acknowledgement : Doubt::None;
}

template <class Handler>
void TcpTracker<Handler>::note_doubt(Connection& c, const Segment& s, Direction d, Doubt doubt) {
  const HalfConnection& talker = c.half[index_of(d)];
  const bool matters = s.length > 0 || s.flags.has_any(kFin | kRst);
  if (doubt == Doubt::NoAck && matters) count(c, Anomaly::DataWithoutAck);
  if (doubt == Doubt::Acknowledgement) count(c, Anomaly::InvalidAck);
  // A late copy of a bare acknowledgement, or of bytes that are there, is nobody's doing.
  const bool repeats = talker.has_any(half_flags::kOriginKnown) && s.seq_len() > 0 &&
                       (s.seq + s.seq_len()).at_or_before(talker.rcv_nxt);
  if (doubt == Doubt::OldTimestamp && matters && !repeats) count(c, Anomaly::InvalidTimestamp);
}

// RFC 7323, 4.3: only a segment that begins at or before what was acknowledged last moves
// TS.Recent, so that one that came early does not make those before it look old.
template <class Handler>
void TcpTracker<Handler>::note_timestamp(Connection& c, const Segment& s, Direction d) {
  HalfConnection& talker = c.half[index_of(d)];
  HalfConnection& listener = c.half[index_of(reverse(d))];
  if (!uses_timestamps(talker, listener) || !s.seq.at_or_before(talker.rcv_nxt)) return;
  const std::uint32_t value = timestamp_of(s);
  if (value == 0) return;
  const bool is_void = timestamps_expired(c, s);
  const bool newer = static_cast<std::int32_t>(value - talker.ts_recent) > 0;
  if (is_void) listener.ts_recent = 0;
  if (is_void || newer || talker.ts_recent == 0) talker.ts_recent = value;
}

/// The right edge of what the receiver permitted, or the end of all where it is not known.
template <class Handler>
StreamOffset TcpTracker<Handler>::window_edge(const Connection& c, Direction d) const {
  const HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (!h.has_any(kAcked) || !c.half[index_of(reverse(d))].has_any(kHeard)) {
    return std::numeric_limits<StreamOffset>::max();
  }
  return unwrap(h.snd_edge, h.offset, h.rcv_nxt);
}

template <class Handler>
typename TcpTracker<Handler>::DoubtStart TcpTracker<Handler>::doubt_start(
    const Connection& c, Direction d, StreamOffset begin, Doubt doubt) const {
  const HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  constexpr StreamOffset kNever = std::numeric_limits<StreamOffset>::max();
  if (h.has_any(kHeld)) return {kNever, Fate::Delivered};
  if (h.has_any(kEnded)) return {begin, Fate::AfterEnd};
  if (doubt != Doubt::None) return {begin, Fate::Rejected};
  if (c.has_any(reset_flag(d))) return {begin, Fate::AfterEnd};
  const StreamOffset edge = window_edge(c, d);
  if (h.has_any(kFinSeen)) {
    const StreamOffset fin = unwrap(h.fin_seq, h.offset, h.rcv_nxt);
    if (fin <= edge) return {fin, Fate::AfterEnd};
  }
  return {edge, Fate::OutOfWindow};
}

// The first copy in doubt stays; a queue of their own keeps doubtful bytes from winning anything.
template <class Handler>
void TcpTracker<Handler>::hold_doubtful(Connection& c, Direction d, StreamOffset begin,
                                        ByteView bytes, Fate cause) {
  if (bytes.empty()) return;
  HalfConnection& h = c.half[index_of(d)];
  HalfRare* rare = half_rare(c, d);
  if (rare == nullptr) {
    counters_.fate(cause, bytes.size());
    return;
  }
  if (!h.has_any(half_flags::kDoubt)) {
    rare->doubt_cause = cause;
    rare->doubt_is_probe = cause == Fate::OutOfWindow && bytes.size() == 1 &&
                           begin == window_edge(c, d);
    rare->doubt_end = begin;
  }
  const InsertResult r = rare->doubtful.insert(
      memory_.pages, begin, bytes,
      {.policy = OverlapPolicy::First,
       .owner = owner_of(c, d),
       .page_limit = settings_.pages_per_direction});
  counters_.fate(cause, bytes.size() - r.fresh);
  if (rare->doubtful.empty()) return;
  h.set(half_flags::kDoubt);
  const StreamOffset end = begin + static_cast<StreamOffset>(bytes.size());
  rare->doubt_end = std::max(rare->doubt_end, end);
}

// A byte at the edge asks whether the window is still closed (RFC 9293, 3.8.6.1); sent again with
// room for it, it was an ordinary repetition. Otherwise a copy without doubt takes the place of one
// with.
template <class Handler>
void TcpTracker<Handler>::replace_doubtful(Connection& c, Direction d, StreamOffset begin,
                                           StreamOffset end) {
  if (!c.half[index_of(d)].has_any(half_flags::kDoubt)) return;
  HalfRare& rare = *find_half_rare(c, d);
  if (rare.doubt_is_probe) rare.doubt_cause = Fate::Duplicate;
  forget_doubtful(c, d, begin, end);
}

template <class Handler>
void TcpTracker<Handler>::forget_doubtful(Connection& c, Direction d, StreamOffset begin,
                                          StreamOffset end) {
  HalfConnection& h = c.half[index_of(d)];
  if (!h.has_any(half_flags::kDoubt) || begin >= end) return;
  HalfRare& rare = *find_half_rare(c, d);
  const std::uint64_t forgotten = rare.doubtful.forget(memory_.pages, begin, end);
  counters_.fate(rare.doubt_cause, forgotten);
  if (forgotten > 0) {
    const bool behind_fin = rare.doubt_cause == Fate::AfterEnd && h.has_any(half_flags::kFinSeen);
    if (behind_fin) count(c, Anomaly::DataAfterFin);
    if (rare.doubt_cause == Fate::OutOfWindow && !rare.doubt_is_probe) {
      count(c, Anomaly::OutOfWindow);
    }
  }
  if (rare.doubtful.empty()) h.clear(half_flags::kDoubt);
}

// What nobody acknowledged, or stands behind a FIN that is one.
template <class Handler>
void TcpTracker<Handler>::drop_doubtful(Connection& c, Direction d) {
  const HalfConnection& h = c.half[index_of(d)];
  if (!h.has_any(half_flags::kDoubt)) return;
  forget_doubtful(c, d, std::numeric_limits<StreamOffset>::min() / 2,
                  std::numeric_limits<StreamOffset>::max() / 2);
}

template <class Handler>
StreamOffset TcpTracker<Handler>::acked_offset(const HalfConnection& h) const {
  if (!h.has_any(half_flags::kAcked)) return std::numeric_limits<StreamOffset>::min();
  return unwrap(acked_data(h), h.offset, h.rcv_nxt);
}

/// Up to where held bytes may be delivered.
template <class Handler>
StreamOffset TcpTracker<Handler>::final_until(const Connection& c, Direction d) const {
  return waits_for_ack(c, d) ? acked_offset(c.half[index_of(d)])
                             : std::numeric_limits<StreamOffset>::max();
}

// A FIN in doubt was one if the receiver has acknowledged exactly that much.
template <class Handler>
void TcpTracker<Handler>::confirm_fin(Connection& c, Direction d) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (!h.has_all(kDoubtFin | kAcked) || h.has_any(kFinSeen)) return;
  if (h.snd_una != find_half_rare(c, d)->doubt_fin + 1) return;
  h.clear(kDoubtFin);
  h.set(kFinSeen);
  h.fin_seq = h.snd_una - 1;
  if (h.snd_nxt.before(h.snd_una)) h.snd_nxt = h.snd_una;
}

// The receiver of `d` has acknowledged more: that settles what was doubtful up to there.
template <class Handler>
void TcpTracker<Handler>::confirm_acked(Connection& c, Direction d, Handler& out) {
  const HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  confirm_fin(c, d);
  if (h.has_any(kFinSeen) && h.snd_una == h.fin_seq + 1) {
    forget_doubtful(c, d, unwrap(h.fin_seq, h.offset, h.rcv_nxt),
                    std::numeric_limits<StreamOffset>::max() / 2);
  }
  if (!h.has_any(kDoubt)) return;
  const HalfExtra& extra = *find_half_extra(c, d);
  const HalfRare& rare = *find_rare(extra);
  const StreamOffset acked = unwrap(h.snd_una, h.offset, h.rcv_nxt);
  const StreamOffset front = rare.doubtful.front(memory_.pages);
  if (acked <= front || fills_acked_hole(h, extra, front)) return;
  if (h.has_any(kFinSeen) && !h.has_any(kEnded | kFinAcked) && (h.fin_seq + 1).before(h.snd_una)) {
    void_fin(c, d); // it took bytes at and behind the FIN's place
  }
  if (rare.doubt_cause == Fate::AfterEnd) reopen(c, d);
  believe_doubtful(c, d, acked, out);
}

/// The receiver had acknowledged that position before: it says nothing of the copy that came since.
template <class Handler>
bool TcpTracker<Handler>::fills_acked_hole(const HalfConnection& h, const HalfExtra& extra,
                                           StreamOffset position) {
  return h.has_any(half_flags::kHolePending) &&
         position < unwrap(extra.hole_ack, h.offset, h.rcv_nxt);
}

// The receiver has these bytes, and no copy without doubt has come: rather these than a gap.
template <class Handler>
void TcpTracker<Handler>::believe_only_copies(Connection& c, Direction d, StreamOffset until,
                                              Handler& out) {
  if (c.half[index_of(d)].has_any(half_flags::kDoubt)) believe_doubtful(c, d, until, out);
}

// As if they had just arrived, without doubt.
template <class Handler>
void TcpTracker<Handler>::believe_doubtful(Connection& c, Direction d, StreamOffset until,
                                           Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  ReorderQueue& doubtful = find_half_rare(c, d)->doubtful;
  counters_.fate(Fate::Duplicate, doubtful.drop_before(memory_.pages, h.offset));
  while (!doubtful.empty() && doubtful.front(memory_.pages) < until) {
    const StreamOffset begin = doubtful.front(memory_.pages);
    const ByteView held = doubtful.front_bytes(memory_.pages);
    const std::size_t size = std::min(held.size(), static_cast<std::size_t>(until - begin));
    // A copy: to arrange them may take or give back any page.
    std::array<std::uint8_t, kPageBytes> bytes;
    std::copy_n(held.begin(), size, bytes.begin());
    doubtful.pop_front(memory_.pages, size);
    const StreamOffset end = begin + static_cast<StreamOffset>(size);
    const SeqNum seq_end = h.seq_at(end);
    if (h.snd_nxt.before(seq_end)) h.snd_nxt = seq_end;
    arrange(c, d, begin, {bytes.data(), size}, out);
    counters_.fate(Fate::Duplicate, doubtful.drop_before(memory_.pages, h.offset));
  }
  if (doubtful.empty()) h.clear(half_flags::kDoubt);
}

// The connection ends, and nobody will acknowledge anything any more. What was sent within its
// window, or acknowledged, the receiver may have, and an acknowledgement that was missed may have
// moved the window on by as much: bytes within that are no intruder's.
template <class Handler>
void TcpTracker<Handler>::believe_permitted(Connection& c, Direction d, Handler& out) {
  const HalfConnection& h = c.half[index_of(d)];
  if (!h.has_any(half_flags::kDoubt)) return;
  if (find_half_rare(c, d)->doubt_cause != Fate::OutOfWindow) return;
  const StreamOffset window = std::max(h.snd_una.distance_to(h.snd_edge), 0);
  const StreamOffset sent = unwrap(h.snd_nxt, h.offset, h.rcv_nxt);
  believe_doubtful(c, d, std::max(sent, acked_offset(h)) + window, out);
}

template <class Handler>
void TcpTracker<Handler>::void_fin(Connection& c, Direction d) {
  c.half[index_of(d)].clear(half_flags::kFinSeen);
  count(c, Anomaly::FinVoid);
  if (!was_reset(c)) c.clear(connection_flags::kClosing);
}

template <class Handler>
void TcpTracker<Handler>::doubt_fin(Connection& c, Direction d, SeqNum fin) {
  HalfRare* rare = half_rare(c, d);
  if (rare == nullptr) return;
  rare->doubt_fin = fin;
  c.half[index_of(d)].set(half_flags::kDoubtFin);
}

}  // namespace flowloom
