// Segments that are not plain, in the order of RFC 9293, section 3.10.7.4: SYN, RST, ACK, text,
// FIN; then what follows from them. Part of TcpTracker.
#pragma once

#include <algorithm>

#include "tcp/tcp_tracker.hpp"

namespace flowloom {

template <class Handler>
ConnectionExtra* TcpTracker<Handler>::extra_of(Connection& c) {
  if (c.extra == 0) c.extra = memory_.extras.take() + 1; // kNoIndex + 1 == 0: none left
  return c.extra == 0 ? nullptr : &memory_.extras[c.extra - 1];
}

template <class Handler>
void TcpTracker<Handler>::count(Connection& c, Anomaly a) {
  ++counters_.anomalies[static_cast<std::size_t>(a)];
  if (ConnectionExtra* extra = extra_of(c)) ++extra->anomalies[static_cast<std::size_t>(a)];
}

// Zeek's history: upper case for the originator, each letter once.
template <class Handler>
void TcpTracker<Handler>::write_letter(Connection& c, Direction d, Letter letter) {
  constexpr char kLowerCase = 0x20;
  ConnectionOrigin& origin = origins_[c.index];
  origin.letters_seen |= letter_bit(d, letter);
  char character = kHistoryLetters[static_cast<std::size_t>(letter)];
  if (d == Direction::ResponderToOriginator && letter != Letter::Flipped) character |= kLowerCase;
  if (origin.history_length < ConnectionOrigin::kLetters) {
    origin.history[origin.history_length++] = character;
    return;
  }
  ConnectionExtra* extra = extra_of(c);
  if (extra == nullptr || extra->history_length == extra->history.size()) return;
  extra->history[extra->history_length++] = character;
}

// The plain path's part of note_letters().
template <class Handler>
void TcpTracker<Handler>::note_first_letter(Connection& c, Direction d, unsigned letter) {
  c.half[index_of(d)].set(letter);
  add_letter(c, d, letter == half_flags::kLetterD ? Letter::Data : Letter::Ack);
}

template <class Handler>
void TcpTracker<Handler>::note_letters(Connection& c, const Segment& s, Direction d) {
  HalfConnection& talker = c.half[index_of(d)];
  if (s.flags.has_any(kSyn)) {
    add_letter(c, d, s.flags.has_any(kAck) ? Letter::SynAck : Letter::Syn);
  } else if (s.length > 0 && !s.flags.has_any(kRst)) {
    if (!s.flags.has_any(kFin) || !talker.has_any(half_flags::kLetterD)) {
      add_letter(c, d, Letter::Data);
    }
    talker.set(half_flags::kLetterD);
  } else if (s.flags.has_any(kAck) && !s.flags.has_any(kFin | kRst)) {
    add_letter(c, d, Letter::Ack);
    talker.set(half_flags::kLetterA);
  }
  if (s.flags.has_any(kFin) && !s.flags.has_any(kSyn)) add_letter(c, d, Letter::Fin);
  if (s.flags.has_any(kRst) && !s.flags.has_any(kSyn)) add_letter(c, d, Letter::Reset);
}

template <class Handler>
void TcpTracker<Handler>::on_odd_segment(Connection& c, const Segment& s, Direction d,
                                         Handler& out) {
  HalfConnection& talker = c.half[index_of(d)];
  talker.set(half_flags::kHeard);
  note_letters(c, s, d);
  const std::uint64_t text = s.length;
  if (s.flags.has_any(kSyn) && !on_syn(c, s, d, out)) {
    counters_.fate(Fate::Rejected, text);
    return;
  }
  if (s.flags.has_any(kRst)) {
    counters_.fate(Fate::Rejected, text); // diagnostic text is not stream data (RFC 9293, 3.5.3)
    on_reset(c, s, d);
  } else {
    if (s.flags.has_any(kAck)) on_ack(c, s, d);
    if (s.flags.has_any(kUrg)) note_urgent(c, s, d);
    if (s.window == 0 && !s.flags.has_any(kSyn)) {
      count(c, Anomaly::ZeroWindow);
      add_letter(c, d, Letter::ZeroWindow);
    }
    if (text > 0) {
      on_text(c, s, d, out);
    } else if (s.flags == kAck && s.seq + 1 == talker.snd_nxt &&
               talker.has_any(half_flags::kOriginKnown) && !talker.has_any(half_flags::kFinSeen)) {
      count(c, Anomaly::KeepAlive); // RFC 1122, 4.2.3.6, the form without a byte
    }
    if (s.flags.has_any(kFin) && !s.flags.has_any(kSyn)) on_fin(c, s, d);
  }
  if (!is_settled(talker)) settle(c, d, s.clock, out);
  if (!is_settled(c.half[index_of(reverse(d))])) settle(c, reverse(d), s.clock, out);
  update_fast(c);
}

// The urgent pointer names the byte after the urgent one (RFC 6093, 2); the byte stays in the
// stream. Segments that repeat a pointer name the same byte.
template <class Handler>
void TcpTracker<Handler>::note_urgent(Connection& c, const Segment& s, Direction d) {
  count(c, Anomaly::UrgentData);
  HalfExtra* extra = half_extra(c, d);
  if (extra == nullptr || s.urgent == 0) return;
  const SeqNum named = s.data_seq() + s.urgent;
  if (extra->urgent_bytes == 0 || extra->urgent_seq != named) ++extra->urgent_bytes;
  extra->urgent_seq = named;
}

// SND.UNA and the window of the other direction, and what the acknowledgement proves.
template <class Handler>
void TcpTracker<Handler>::on_ack(Connection& c, const Segment& s, Direction d) {
  HalfConnection& talker = c.half[index_of(d)];
  HalfConnection& listener = c.half[index_of(reverse(d))];
  using enum half_flags::Bits;
  if (!listener.has_any(kOriginKnown)) {
    // Not heard yet: remember the first acknowledgement (in rcv_nxt) and the latest.
    if (!listener.has_any(kAcked)) listener.rcv_nxt = listener.snd_edge = s.ack;
    if (!listener.has_any(kAcked) || listener.snd_una.before(s.ack)) listener.snd_una = s.ack;
    listener.set(kAcked);
    note_window(talker, listener, s);
    return;
  }
  if (listener.offset == 0 && listener.has_any(kSynSeen) && s.ack != listener.rcv_nxt &&
      choose_candidate(listener, find_half_extra(c, reverse(d)), s.ack)) {
    listener.snd_nxt = s.ack;
    set_origin(c, reverse(d), s.ack);
  }
  const std::int64_t ahead = listener.rcv_nxt.distance_to(s.ack);
  if (ahead > kMaxWindow) {
    count(c, Anomaly::AckAboveWindow);
    return;
  }
  if (!listener.has_any(kAcked)) {
    listener.snd_una = s.ack;
    listener.snd_edge = s.ack;
    listener.set(kAcked);
  } else if (listener.snd_una.before(s.ack)) {
    listener.snd_una = s.ack;
  }
  note_window(talker, listener, s);
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

// RFC 5961, section 3: only the exact next sequence number resets. What the receiver expects is
// known as what was delivered, what it acknowledged, or the highest byte it was sent.
template <class Handler>
void TcpTracker<Handler>::on_reset(Connection& c, const Segment& s, Direction d) {
  HalfConnection& talker = c.half[index_of(d)];
  HalfConnection& listener = c.half[index_of(reverse(d))];
  using enum half_flags::Bits;
  bool believed = true;
  if (talker.has_any(kOriginKnown)) {
    believed = s.seq == talker.rcv_nxt || s.seq == talker.snd_nxt ||
               (talker.has_any(kAcked) && s.seq == talker.snd_una) ||
               (talker.has_any(kFinSeen) && s.seq == talker.fin_seq + 1);
    // A refused SYN is answered with sequence number 0 and its acknowledgement.
    if (!believed && s.flags.has_any(kAck) && listener.has_any(kSynSeen) && listener.offset == 0) {
      believed = s.ack == listener.snd_nxt;
    }
  } else if (listener.has_any(kSynSeen) && !listener.has_any(kAckedBySyn) &&
             !talker.has_any(kAcked)) {
    // SYN-SENT: only what acknowledges the SYN counts (RFC 9293, 3.10.7.3).
    believed = s.flags.has_any(kAck) &&
               ((listener.rcv_nxt.at_or_before(s.ack) && s.ack.at_or_before(listener.snd_nxt)) ||
                choose_candidate(listener, find_half_extra(c, reverse(d)), s.ack));
  }
  if (!believed) {
    count(c, Anomaly::ResetOutOfWindow);
    return;
  }
  talker.apply(Event::Reset);
  listener.apply(Event::Reset);
  c.set(d == Direction::OriginatorToResponder ? connection_flags::kResetByOriginator
                                              : connection_flags::kResetByResponder);
  begin_closing(c, Closing::Rst, s.clock);
}

template <class Handler>
void TcpTracker<Handler>::begin_closing(Connection& c, Closing how, Timestamp clock) {
  if (c.has_any(connection_flags::kClosing)) return;
  c.set(connection_flags::kClosing);
  c.close_reason = static_cast<std::uint8_t>(how);
  c.closing_clock = clock;
}

// The FIN is remembered as a sequence number and takes effect when the delivery point reaches it,
// so a FIN before its data is no special case.
template <class Handler>
void TcpTracker<Handler>::on_fin(Connection& c, const Segment& s, Direction d) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  const SeqNum fin = s.data_seq() + s.length;
  if (!h.has_any(kOriginKnown)) {
    if (c.has_any(connection_flags::kClosing)) return; // after a RST, and its start was not seen
    set_origin(c, d, s.data_seq());
  }
  const StreamOffset at = unwrap(fin, h.offset, h.rcv_nxt);
  if (h.has_any(kFinSeen)) {
    if (fin != h.fin_seq) count(c, Anomaly::FinAdvanced);
    return;
  }
  if (at < h.offset || at - h.offset > kMaxWindow) {
    count(c, at < h.offset ? Anomaly::FinAdvanced : Anomaly::OutOfWindow);
    return;
  }
  h.set(kFinSeen);
  h.fin_seq = fin;
  if (h.snd_nxt.at_or_before(fin)) h.snd_nxt = fin + 1;
  if (c.half[0].has_any(kFinSeen) && c.half[1].has_any(kFinSeen)) {
    begin_closing(c, Closing::Fin, s.clock);
  }
}

template <class Handler>
bool TcpTracker<Handler>::is_settled(const HalfConnection& h) const {
  using enum half_flags::Bits;
  if (h.has_any(kHeld | kQueued | kHolePending)) return false;
  if (h.has_any(kFinSeen) && !h.has_any(kEnded)) return false;
  return !h.has_any(kAcked) || !h.rcv_nxt.before(acked_data(h));
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
  constexpr unsigned kOdd = kHeld | kQueued | kFinSeen | kHolePending | kCut;
  for (HalfConnection& h : c.half) {
    if (!c.has_any(connection_flags::kClosing) && h.has_all(kNeeded) && !h.has_any(kOdd) &&
        h.snd_nxt == h.rcv_nxt) {
      h.set(kFast);
    } else {
      h.clear(kFast);
    }
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
      deadline = std::min(deadline, saturating_add(extra->held_since, kPickupGraceTime));
    }
    if (h.has_any(half_flags::kHolePending)) {
      deadline = std::min(deadline, saturating_add(extra->hole_since, kGapGraceTimeMax));
    }
  }
  return deadline;
}

template <class Handler>
void TcpTracker<Handler>::on_grace(Connection& c, Timestamp now, Handler& out) {
  c.clear(connection_flags::kTimed);
  for (unsigned i = 0; i < 2; ++i) {
    const Direction d = direction_of(i);
    HalfConnection& h = c.half[i];
    HalfExtra* extra = find_half_extra(c, d);
    if (extra == nullptr) continue;
    if (h.has_any(half_flags::kHeld) && !h.has_any(half_flags::kSynSeen)) {
      if (saturating_add(extra->held_since, kPickupGraceTime) <= now) {
        release_held(c, d, out);
        watch_hole(c, d, now, out);
        announce_end(c, d, out);
      } else {
        c.set(connection_flags::kTimed);
      }
    }
    if (h.has_any(half_flags::kHolePending)) {
      if (saturating_add(extra->hole_since, kGapGraceTimeMax) <= now) end_hole_grace(c, d, out);
      if (h.has_any(half_flags::kHolePending)) c.set(connection_flags::kTimed);
      announce_end(c, d, out);
    }
  }
  update_fast(c);
}

}  // namespace flowloom
