// Segments that are not plain, in the order of RFC 9293, section 3.10.7.4: SYN, RST, ACK, text,
// FIN; then what follows from them. Part of TcpTracker.
#pragma once

#include <algorithm>
#include <bit>
#include <utility>

#include "tcp/tcp_tracker.hpp"

namespace flowloom {

template <class Handler>
ConnectionExtra* TcpTracker<Handler>::extra_of(Connection& c) {
  if (c.extra == 0) c.extra = memory_.extras.take() + 1; // kNoIndex + 1 == 0: none left
  return c.extra == 0 ? nullptr : &memory_.extras[c.extra - 1];
}

template <class Handler>
HalfRare* TcpTracker<Handler>::half_rare(Connection& c, Direction d) {
  HalfExtra* extra = half_extra(c, d);
  if (extra == nullptr) return nullptr;
  if (extra->rare == 0) extra->rare = memory_.rares.take() + 1;
  return find_rare(*extra);
}

template <class Handler>
void TcpTracker<Handler>::count(Connection& c, Anomaly a) {
  ++counters_.anomalies[static_cast<std::size_t>(a)];
  if (ConnectionExtra* extra = extra_of(c)) ++extra->anomalies[static_cast<std::size_t>(a)];
}

// Zeek's history: upper case for the originator, each letter once.
template <class Handler>
void TcpTracker<Handler>::write_letter(Connection& c, Direction d, Letter letter) {
  ConnectionHistory& history = histories_[place_of(c)];
  c.letters_seen |= letter_bit(d, letter);
  const ConnectionHistory::Entry entry{letter, d == Direction::ResponderToOriginator};
  if (history.length() < ConnectionHistory::kLetters) return history.add(entry);
  ConnectionExtra* extra = extra_of(c);
  if (extra == nullptr) return;
  const bool first_is_full = extra->history[0].length() == ConnectionHistory::kLetters;
  extra->history[first_is_full ? 1 : 0].add(entry); // for all letters there is room
}

template <class Handler>
void TcpTracker<Handler>::write_waiting_letters(Connection& c) {
  const unsigned waiting = std::exchange(c.waiting_letters, std::uint16_t{0});
  if (waiting == 0) return;
  unsigned shift = static_cast<unsigned>(std::bit_width(waiting)) - 1;
  while (shift > 0) {
    shift -= waiting_letters::kBits;
    const unsigned letter = waiting >> shift;
    const bool from_responder = (letter & waiting_letters::kFromResponder) != 0;
    write_letter(c, from_responder ? Direction::ResponderToOriginator
                                   : Direction::OriginatorToResponder,
                 (letter & waiting_letters::kIsData) != 0 ? Letter::Data : Letter::Ack);
  }
}

template <class Handler>
[[gnu::always_inline]]
inline void TcpTracker<Handler>::note_letters(Connection& c, const Segment& s, Direction d) {
  if (s.flags.has_any(kSyn)) {
    if (s.flags.has_any(kFin | kRst)) {
      add_letter(c, d, Letter::MultiFlag);
    } else {
      add_letter(c, d, s.flags.has_any(kAck) ? Letter::SynAck : Letter::Syn);
    }
    return;
  }
  if (s.flags.has_all(kFin | kRst)) return add_letter(c, d, Letter::Inconsistent);
  if (s.flags.has_any(kFin)) return add_letter(c, d, Letter::Fin);
  if (s.flags.has_any(kRst)) return add_letter(c, d, Letter::Reset);
  if (s.length > 0 || s.flags.has_any(kAck)) note_plain_letter(c, c.half[index_of(d)], s, d);
}

template <class Handler>
void TcpTracker<Handler>::on_odd_segment(Connection& c, const Segment& s, Direction d,
                                         Handler& out) {
  HalfConnection& talker = c.half[index_of(d)];
  memory_.delivered.begin_decision(s.number);
  talker.set(half_flags::kHeard);
  note_letters(c, s, d);
  if (s.flags.has_any(kSyn) && !on_syn(c, s, d, out)) {
    counters_.fate(Fate::Rejected, s.length);
    return;
  }
  const Doubt doubt = doubt_about(c, s, d);
  if (doubt != Doubt::None) {
    on_doubtful_segment(c, s, d, doubt, out);
  } else if (s.flags.has_any(kRst)) {
    counters_.fate(Fate::Rejected, s.length); // text for people, no stream data (RFC 9293, 3.5.3)
    on_reset(c, s, d);
  } else {
    on_believed_segment(c, s, d, out);
  }
  if (!is_settled(c, d)) settle(c, d, s.clock, out);
  if (!is_settled(c, reverse(d))) settle(c, reverse(d), s.clock, out);
  if (c.has_any(connection_flags::kTimed)) memory_.extras[c.extra - 1].last_packet = s.number;
  update_fast(c);
}

template <class Handler>
[[gnu::always_inline]]
inline void TcpTracker<Handler>::on_believed_segment(Connection& c, const Segment& s, Direction d,
                                              Handler& out) {
  HalfConnection& talker = c.half[index_of(d)];
  const bool old_ack = is_old_ack(c.half[index_of(reverse(d))], s);
  if (!s.flags.has_any(kSyn)) bind_origin(c, s, d);
  note_timestamp(c, s, d);
  if (s.flags.has_any(kAck)) on_ack(c, s, d, out);
  if (s.flags.has_any(kUrg)) note_urgent(c, s, d, out);
  if (s.window == 0 && !s.flags.has_any(kSyn) && !old_ack) {
    count(c, Anomaly::ZeroWindow);
    add_letter(c, d, Letter::ZeroWindow);
  }
  if (s.length > 0) {
    on_text(c, s, d, Doubt::None, out);
    if (s.flags.has_any(kSyn) && is_confirmed(talker)) { // by a SYN/ACK that came first
      settle_syn_data(c, d, talker.snd_una, out);
    }
  } else if (s.flags == kAck && s.seq + 1 == talker.snd_nxt &&
             talker.has_any(half_flags::kOriginKnown) && !talker.has_any(half_flags::kFinSeen)) {
    count(c, Anomaly::KeepAlive); // RFC 1122, 4.2.3.6, the form without a byte
  }
  if (s.flags.has_any(kFin) && !s.flags.has_any(kSyn)) on_fin(c, s, d, out);
}

template <class Handler>
void TcpTracker<Handler>::on_doubtful_segment(Connection& c, const Segment& s, Direction d,
                                              Doubt doubt, Handler& out) {
  note_doubt(c, s, d, doubt);
  if (s.flags.has_any(kRst) || doubt == Doubt::NoAck) {
    counters_.fate(Fate::Rejected, s.length); // by every host, whatever else happens
    return;
  }
  if (s.length > 0) on_text(c, s, d, doubt, out);
  if (s.flags.has_any(kFin) && !s.flags.has_any(kSyn)) {
    doubt_fin(c, d, s.data_seq() + s.length);
  }
}

// The urgent pointer names the byte after the urgent one (RFC 6093, 2). Segments that repeat a
// pointer name the same byte.
template <class Handler>
void TcpTracker<Handler>::note_urgent(Connection& c, const Segment& s, Direction d,
                                      Handler& out) {
  count(c, Anomaly::UrgentData);
  HalfConnection& h = c.half[index_of(d)];
  HalfRare* rare = s.urgent == 0 ? nullptr : half_rare(c, d);
  if (rare == nullptr) return;
  const SeqNum named = s.data_seq() + s.urgent;
  if (rare->urgent_bytes > 0 && rare->urgent_seq == named) return;
  rare->urgent_seq = named;
  if (!h.has_any(half_flags::kOriginKnown)) begin_pickup(c, d, s, out);
  const StreamOffset position = unwrap(named, h.offset, h.rcv_nxt) - 1;
  if (rare->urgent_bytes < kUrgentPositions) {
    rare->urgent_offsets[rare->urgent_bytes] = position;
  }
  ++rare->urgent_bytes;
  if (settings_.urgent != UrgentMode::Inline) expect_urgent(h, *rare, position);
}

// A position that is remembered leaves the stream when its turn comes. Who names more than
// kUrgentPositions bytes ahead of their delivery keeps those beyond in the stream.
template <class Handler>
void TcpTracker<Handler>::expect_urgent(HalfConnection& h, HalfRare& rare,
                                        StreamOffset position) {
  if (position < h.offset || rare.urgent_pending_count == kUrgentPositions) return;
  StreamOffset* const first = rare.urgent_pending.data();
  StreamOffset* const last = first + rare.urgent_pending_count;
  StreamOffset* const place = std::lower_bound(first, last, position);
  if (place != last && *place == position) return;
  std::move_backward(place, last, last + 1);
  *place = position;
  ++rare.urgent_pending_count;
  h.set(half_flags::kUrgent);
}

// SND.UNA and the window of the other direction, and what the acknowledgement proves.
template <class Handler>
[[gnu::always_inline]]
inline void TcpTracker<Handler>::on_ack(Connection& c, const Segment& s, Direction d,
                                        Handler& out) {
  HalfConnection& talker = c.half[index_of(d)];
  HalfConnection& listener = c.half[index_of(reverse(d))];
  using enum half_flags::Bits;
  if (!listener.has_any(kOriginKnown)) {
    // Not heard yet: remember the first acknowledgement (in rcv_nxt) and the latest.
    if (!listener.has_any(kAcked)) {
      listener.rcv_nxt = listener.snd_edge = s.ack;
      if (!listener.has_any(kHeard) && is_third_step(c, s, d)) listener.set(kOriginNamed);
    }
    if (!listener.has_any(kAcked) || listener.snd_una.before(s.ack)) listener.snd_una = s.ack;
    listener.set(kAcked);
    note_window(c, talker, listener, s);
    return;
  }
  if (listener.offset == 0 && listener.has_any(kSynSeen) && s.ack != listener.rcv_nxt &&
      !names_origin(listener, s.ack)) {
    choose_candidate(c, reverse(d), s.ack);
  }
  if (!listener.has_any(kAcked)) {
    if (listener.has_any(kHeld)) name_held_origin(c, s, d);
    listener.snd_una = s.ack;
    listener.snd_edge = s.ack;
    listener.set(kAcked);
  } else if (listener.snd_una.before(s.ack)) {
    listener.snd_una = s.ack;
  }
  if (listener.has_all(kHeld | kSynSeen) && names_origin(listener, s.ack)) {
    settle_syn_data(c, reverse(d), s.ack, out);
  }
  if (outlives_own_reset(c, s, d)) reopen(c, d);
  // An older one says nothing of the window (RFC 9293, 3.10.7.4: SND.WL1, SND.WL2).
  if (listener.snd_una == s.ack) note_window(c, talker, listener, s);
  if (listener.has_any(kFinSeen) && !listener.has_any(kEnded | kFinAcked)) {
    choose_fin(c, reverse(d), s.ack);
  }
  if (listener.has_any(kDoubt | kDoubtFin)) confirm_acked(c, reverse(d), out);
  if (listener.state() == State::SynReceived && listener.rcv_nxt.at_or_before(s.ack)) {
    listener.apply(Event::SynAcked);
  }
  if (!s.flags.has_any(kSyn)) talker.apply(Event::Talk);
  if (listener.has_any(kFinSeen) && s.ack == listener.fin_seq + 1 && !listener.has_any(kFinAcked)) {
    listener.set(kFinAcked);
    listener.apply(Event::FinAcked);
  }
  listener.set(kAckedBySyn);
  if (listener.has_any(kSynSeen) && talker.has_any(kAckedBySyn) && talker.has_any(kOriginKnown) &&
      (c.has_any(connection_flags::kSynAckSeen) || talker.has_any(kSynSeen))) {
    c.set(connection_flags::kEstablished);
  }
}

// The window of a SYN is not scaled (RFC 7323, 2.2), and nothing is where a SYN without the option
// was seen. Where the SYNs were missed the largest scale is assumed, so that nothing is refused.
template <class Handler>
unsigned TcpTracker<Handler>::odd_window_shift(const HalfConnection& talker,
                                               HalfConnection& listener, const Segment& s) {
  using enum half_flags::Bits;
  const bool scaled = talker.wscale() != 0 && listener.wscale() != 0;
  const bool refused = (talker.has_any(kSynSeen) && talker.wscale() == 0) ||
                       (listener.has_any(kSynSeen) && listener.wscale() == 0);
  if (scaled || refused || s.flags.has_any(kSyn)) return 0;
  listener.set(kEdgeGuessed);
  return kMaxWindowScale;
}

// Smaller by more than rounding explains (RFC 7323, 2.4). To close the window is no recision.
template <class Handler>
void TcpTracker<Handler>::note_smaller_window(Connection& c, const HalfConnection& listener,
                                              const Segment& s) {
  if (s.window == 0 || s.flags.has_any(kSyn | kFin | kRst)) return;
  if (!listener.has_any(half_flags::kEdgeGuessed)) count(c, Anomaly::WindowRecision);
}

// Without branches, because the segments of a handshake and of a closing come in between those of
// other connections: none would be foreseen.
template <class Handler>
[[gnu::always_inline]]
inline bool TcpTracker<Handler>::is_settled(const Connection& c, Direction d) const {
  const HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  const unsigned flags = h.flags();
  const bool nothing_waits = (flags & (kHeld | kQueued | kHolePending)) == 0;
  const bool fin_is_open = (flags & (kFinSeen | kEnded)) == kFinSeen;
  const bool fin_waits = (h.rcv_nxt == h.fin_seq) & fin_may_be_void(c, d);
  const bool all_acked = ((flags & kAcked) == 0) | !h.rcv_nxt.before(acked_data(h));
  return nothing_waits & (!fin_is_open | fin_waits) & all_acked;
}

// What became possible in direction `d`: release, delivery, the end; and the graces that run.
template <class Handler>
void TcpTracker<Handler>::settle(Connection& c, Direction d, Timestamp clock, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (!h.has_any(kOriginKnown)) return;
  if (h.has_any(kHeld)) {
    if (h.has_any(kSynSeen) || !pickup_complete(c, d)) return;
    release_held(c, d, out);
  }
  drain(c, d, out);
  if (h.has_any(kHolePending)) {
    HalfExtra& extra = *find_half_extra(c, d);
    // The acknowledgement of a FIN came before the FIN: what it acknowledges last is no byte.
    if (h.has_any(kFinSeen) && h.fin_seq.before(extra.hole_ack)) extra.hole_ack = h.fin_seq;
    if (extra.hole_ack.at_or_before(h.rcv_nxt)) {
      h.clear(kHolePending);
    } else if (hole_grace_over(extra, clock)) {
      end_hole_grace(c, d, out);
    }
  }
  watch_hole(c, d, clock, out);
  announce_end(c, d, out);
}

template <class Handler>
void TcpTracker<Handler>::update_fast(Connection& c) {
  using enum half_flags::Bits;
  constexpr unsigned kNeeded = kHeard | kOriginKnown | kAcked;
  constexpr unsigned kOdd =
      kHeld | kQueued | kFinSeen | kHolePending | kCut | kDoubt | kDoubtFin | kUrgent;
  const bool open = !c.has_any(connection_flags::kClosing);
  const bool delivers = settings_.deliver == DeliverWhen::Arrival;
  for (HalfConnection& h : c.half) {
    const bool plain = (h.flags() & (kNeeded | kOdd)) == kNeeded;
    h.assign(kFast, plain & (h.snd_nxt == h.rcv_nxt) & open & delivers);
  }
}

template <class Handler>
Timestamp TcpTracker<Handler>::grace_deadline(const Connection& c) const {
  if (!c.has_any(connection_flags::kTimed)) return kTimeMax;
  Timestamp deadline = kTimeMax;
  for (unsigned i = 0; i < 2; ++i) {
    const HalfExtra* extra = find_half_extra(c, direction_of(i));
    if (extra == nullptr) continue;
    const HalfConnection& h = c.half[i];
    if (h.has_any(half_flags::kHeld) && !h.has_any(half_flags::kSynSeen)) {
      deadline = std::min(deadline, saturating_add(extra->grace_since, kPickupGraceTime));
    }
    if (h.has_any(half_flags::kHolePending)) {
      deadline = std::min(deadline, saturating_add(extra->grace_since, kGapGraceTimeMax));
    }
  }
  return deadline;
}

template <class Handler>
void TcpTracker<Handler>::on_grace(Connection& c, Timestamp now, Handler& out) {
  c.clear(connection_flags::kTimed);
  if (c.extra != 0) memory_.delivered.begin_decision(memory_.extras[c.extra - 1].last_packet);
  for (unsigned i = 0; i < 2; ++i) {
    const Direction d = direction_of(i);
    HalfConnection& h = c.half[i];
    HalfExtra* extra = find_half_extra(c, d);
    if (extra == nullptr) continue;
    if (h.has_any(half_flags::kHeld) && !h.has_any(half_flags::kSynSeen)) {
      if (saturating_add(extra->grace_since, kPickupGraceTime) <= now) {
        release_held(c, d, out);
        watch_hole(c, d, now, out);
        announce_end(c, d, out);
      } else {
        c.set(connection_flags::kTimed);
      }
    }
    if (h.has_any(half_flags::kHolePending)) {
      if (saturating_add(extra->grace_since, kGapGraceTimeMax) <= now) end_hole_grace(c, d, out);
      if (h.has_any(half_flags::kHolePending)) c.set(connection_flags::kTimed);
      announce_end(c, d, out);
    }
  }
  update_fast(c);
}

}  // namespace flowloom
