// The segments that open and close nearly every connection, each on a way of its own: a SYN, its
// SYN/ACK, the handshake's third step, FINs in order, the acknowledgements of FINs. They are half
// of all segments where connections are short. Part of TcpTracker.
//
// Nothing is decided here that the rules of on_odd_segment() do not decide: each way asks for the
// one state in which a segment of its kind is expected, and writes what the rules come to there.
// What is otherwise in any respect returns false and goes by the rules.
// tests/unit/tcp/usual_segments_test.cpp holds the two against each other.
#pragma once

#include "tcp/tcp_tracker.hpp"

namespace flowloom {

namespace usual_detail {
using enum half_flags::Bits;
/// What a SYN's options say, whatever else is known.
inline constexpr unsigned kOfOptions = kTimestamps | kSigned;
/// All that is known of a sender whose SYN was seen and not yet acknowledged.
inline constexpr unsigned kSynOnly = kHeard | kSynSeen | kOriginKnown;
/// What update_fast() asks for, and may not find.
inline constexpr unsigned kInOrder = kHeard | kOriginKnown | kAcked;
inline constexpr unsigned kWaits =
    kHeld | kQueued | kHolePending | kCut | kDoubt | kDoubtFin | kUrgent;
}  // namespace usual_detail

template <class Handler>
bool TcpTracker<Handler>::take_usual(Connection& c, const Segment& s, Direction d, Handler& out) {
  constexpr TcpFlags kKinds = kSyn | kFin | kRst | kUrg | kAck;
  constexpr TcpFlags kSynAck = kSyn | kAck;
  constexpr TcpFlags kFinAck = kFin | kAck;
  if (s.length != 0 || c.has_any(connection_flags::kTimed)) return false;
  const Exchange e{c, *kept(&c.half[index_of(d)]), *kept(&c.half[index_of(reverse(d))]), s, d};
  switch (s.flags.bits() & kKinds.bits()) {
    case kSyn.bits():
      return take_first_syn(e);
    case kSynAck.bits():
      return take_syn_ack(e);
    case kAck.bits():
      return take_third_step(e) || take_ack_of_fin(e, out);
    case kFinAck.bits():
      return take_fin(e, out);
    default:
      return false;
  }
}

// The first of all segments. Its stream starts behind it.
template <class Handler>
[[gnu::always_inline]]
inline bool TcpTracker<Handler>::take_first_syn(const Exchange& e) {
  if ((e.talker.flags() | e.listener.flags()) != 0) return false;
  begin_with_syn(e, Letter::Syn);
  e.talker.apply(Event::SendSyn);
  e.listener.apply(Event::ReceiveSyn);
  return true;
}

template <class Handler>
inline void TcpTracker<Handler>::begin_with_syn(const Exchange& e, Letter letter) {
  add_letter(e.c, e.d, letter);
  e.talker.set(usual_detail::kSynOnly);
  e.talker.rcv_nxt = e.talker.snd_nxt = e.s.seq + 1;
  e.talker.offset = 0;
  note_syn_options(e.c, e.talker, e.s);
}

// The first segment of the other side, which acknowledges that SYN and nothing else.
template <class Handler>
[[gnu::always_inline]]
inline bool TcpTracker<Handler>::take_syn_ack(const Exchange& e) {
  using enum half_flags::Bits;
  const auto& [c, talker, listener, s, d] = e;
  if (talker.flags() != 0 ||
      (listener.flags() & ~usual_detail::kOfOptions) != usual_detail::kSynOnly ||
      s.ack != listener.rcv_nxt || s.ack != listener.snd_nxt || listener.offset != 0 ||
      c.has_any(connection_flags::kClosing | connection_flags::kEstablished)) {
    return false;
  }
  begin_with_syn(e, Letter::SynAck);
  c.set(connection_flags::kSynAckSeen);
  talker.apply(Event::SendSynAck);
  listener.apply(Event::ReceiveSynAck);
  if (uses_timestamps(talker, listener)) note_timestamp(c, s, d);
  listener.snd_una = s.ack;
  listener.snd_edge = s.ack + s.window;
  const bool delivers = settings_.deliver == DeliverWhen::Arrival;
  listener.set(kAcked | kAckedBySyn | (delivers ? kFast : 0U));
  if (listener.state() == State::SynReceived) listener.apply(Event::SynAcked);
  return true;
}

// Of a segment that a synchronised end point sends: there is no doubt_about() it but for its
// acknowledgement, and note_timestamp() is no more than note_plain_timestamp().
template <class Handler>
inline bool TcpTracker<Handler>::is_usual_talk(const Exchange& e) {
  return e.s.window != 0 && has_plain_timestamp(e.talker, e.listener, e.s) &&
         !(uses_timestamps(e.talker, e.listener) && timestamps_expired(e.c, e.s));
}

// on_ack() where nothing else comes of it. Preconditions: it acknowledges all that was seen.
template <class Handler>
[[gnu::always_inline]]
inline void TcpTracker<Handler>::take_ack(const Exchange& e) {
  using enum half_flags::Bits;
  const auto& [c, talker, listener, s, d] = e;
  listener.snd_una = s.ack;
  note_window(c, talker, listener, s);
  if (listener.state() == State::SynReceived) listener.apply(Event::SynAcked);
  talker.apply(Event::Talk);
  listener.set(kAckedBySyn);
  if (listener.has_any(kSynSeen) && talker.has_all(kAckedBySyn | kOriginKnown) &&
      (c.has_any(connection_flags::kSynAckSeen) || talker.has_any(kSynSeen))) {
    c.set(connection_flags::kEstablished);
  }
}

template <class Handler>
[[gnu::always_inline]]
inline bool TcpTracker<Handler>::take_third_step(const Exchange& e) {
  using enum half_flags::Bits;
  const auto& [c, talker, listener, s, d] = e;
  if ((listener.flags() & ~usual_detail::kOfOptions) != usual_detail::kSynOnly ||
      !talker.has_all(kFast | kAckedBySyn) || s.seq != talker.rcv_nxt ||
      talker.snd_una != talker.rcv_nxt || s.ack != listener.rcv_nxt ||
      s.ack != listener.snd_nxt || !is_usual_talk(e)) {
    return false;
  }
  note_plain_letter(c, talker, s, d);
  note_plain_timestamp(talker, listener, s);
  listener.snd_edge = s.ack;
  listener.set(kAcked | kFast);
  take_ack(e);
  return true;
}

// Who acknowledges a FIN that was reached ends the stream before it.
template <class Handler>
inline bool TcpTracker<Handler>::may_end_by_ack(const Exchange& e) {
  using enum half_flags::Bits;
  constexpr unsigned kWanted = usual_detail::kInOrder | kFinSeen;
  constexpr unsigned kUnwanted = usual_detail::kWaits | kEnded | kFinAcked;
  const HalfConnection& h = e.listener;
  return (h.flags() & (kWanted | kUnwanted)) == kWanted &&
         h.rcv_nxt == h.fin_seq && e.s.ack == h.fin_seq + 1 && e.s.ack == h.snd_nxt &&
         h.snd_una.at_or_before(e.s.ack);
}

// What on_ack() and announce_end() do. Preconditions: may_end_by_ack(), and take_ack() was called.
template <class Handler>
inline void TcpTracker<Handler>::end_by_ack(const Exchange& e, Handler& out) {
  e.listener.set(half_flags::kFinAcked | half_flags::kEnded);
  e.listener.apply(Event::FinAcked);
  e.listener.apply(Event::SendFin);
  e.listener.apply(Event::FinAcked);
  e.talker.apply(Event::ReceiveFin);
  e.c.set(connection_flags::kDelivered);
  out.end(reverse(e.d));
}

// From a side that goes on, or from one whose own stream has ended before.
template <class Handler>
[[gnu::always_inline]]
inline bool TcpTracker<Handler>::take_ack_of_fin(const Exchange& e, Handler& out) {
  using enum half_flags::Bits;
  const auto& [c, talker, listener, s, d] = e;
  if (!may_end_by_ack(e) || s.seq != talker.snd_nxt ||
      c.has_any(connection_flags::kClosedByReset | connection_flags::kFinishing) ||
      !is_usual_talk(e)) {
    return false;
  }
  const bool goes_on = talker.has_any(kFast) && talker.snd_una.at_or_before(talker.rcv_nxt);
  constexpr unsigned kOver = usual_detail::kInOrder | kFinSeen | kFinAcked | kEnded;
  const bool is_over = (talker.flags() & (kOver | usual_detail::kWaits)) == kOver &&
                       talker.rcv_nxt == talker.fin_seq && s.seq == talker.fin_seq + 1 &&
                       talker.snd_una == s.seq;
  if (!goes_on && !is_over) return false;
  note_plain_letter(c, talker, s, d);
  if (goes_on) note_plain_timestamp(talker, listener, s);
  take_ack(e);
  end_by_ack(e, out);
  return true;
}

// Behind all that its sender was seen to send. It takes effect when it is acknowledged.
template <class Handler>
[[gnu::always_inline]]
inline bool TcpTracker<Handler>::take_fin(const Exchange& e, Handler& out) {
  using enum half_flags::Bits;
  const auto& [c, talker, listener, s, d] = e;
  if (!talker.has_any(kFast) || s.seq != talker.rcv_nxt || !s.seq.at_or_before(talker.snd_edge) ||
      talker.rcv_nxt.before(talker.snd_una) || !is_usual_talk(e)) {
    return false;
  }
  const bool is_first = listener.has_any(kFast) && s.ack == listener.rcv_nxt &&
                        listener.snd_una.at_or_before(s.ack);
  const bool ends_other = may_end_by_ack(e);
  if (!is_first && !ends_other) return false;
  add_letter(c, d, Letter::Fin);
  note_plain_timestamp(talker, listener, s);
  take_ack(e);
  talker.set(kFinSeen);
  talker.clear(kFast);
  talker.fin_seq = s.seq;
  talker.snd_nxt = s.seq + 1;
  if (ends_other) {
    begin_closing(c, Closing::Fin, s.clock);
    end_by_ack(e, out);
  }
  return true;
}

}  // namespace flowloom
