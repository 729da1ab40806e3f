// RST and FIN: which of them count, and what stands behind them. Part of TcpTracker.
#pragma once

#include "tcp/tcp_tracker.hpp"

namespace flowloom {

// RFC 5961, section 3: only the exact next sequence number resets. What the receiver expects is
// known as what was delivered, what it acknowledged, or the highest byte it was sent. Where the
// SYN was not signed no key is in use, and a host drops what is signed; and the other way round.
template <class Handler>
bool TcpTracker<Handler>::reset_is_valid(const Connection& c, const Segment& s,
                                         Direction d) const {
  const HalfConnection& talker = c.half[index_of(d)];
  const HalfConnection& listener = c.half[index_of(reverse(d))];
  using enum half_flags::Bits;
  const bool is_signed = parse_tcp_options(s.options).has(TcpOptions::kSignature);
  if (talker.has_any(kSynSeen) && is_signed != talker.has_any(kSigned)) return false;
  if (talker.has_any(kOriginKnown)) {
    if (s.seq == talker.rcv_nxt || s.seq == talker.snd_nxt) return true;
    if (talker.has_any(kAcked) && s.seq == talker.snd_una) return true;
    if (talker.has_any(kFinSeen) && s.seq == talker.fin_seq + 1) return true;
    // A refused SYN is answered with sequence number 0 and its acknowledgement.
    return s.flags.has_any(kAck) && listener.has_any(kSynSeen) && listener.offset == 0 &&
           s.ack == listener.snd_nxt;
  }
  if (listener.has_any(kSynSeen) && !listener.has_any(kAckedBySyn) && !talker.has_any(kAcked)) {
    // SYN-SENT: only what acknowledges the SYN counts (RFC 9293, 3.10.7.3).
    return s.flags.has_any(kAck) &&
           ((listener.rcv_nxt.at_or_before(s.ack) && s.ack.at_or_before(listener.snd_nxt)) ||
            find_candidate(listener, find_half_rare(c, reverse(d)), s.ack));
  }
  return true;
}

template <class Handler>
void TcpTracker<Handler>::on_reset(Connection& c, const Segment& s, Direction d) {
  HalfConnection& talker = c.half[index_of(d)];
  HalfConnection& listener = c.half[index_of(reverse(d))];
  using enum half_flags::Bits;
  if (s.length > 0) count(c, Anomaly::ResetWithData);
  if (!reset_is_valid(c, s, d)) {
    count(c, Anomaly::ResetOutOfWindow);
    return;
  }
  if (c.has_any(connection_flags::kClosing)) return; // both had closed: how it ended is known
  talker.apply(Event::Reset);
  listener.apply(Event::Reset);
  c.set(reset_flag(d));
  begin_closing(c, Closing::Rst, s.clock);
}

template <class Handler>
void TcpTracker<Handler>::begin_closing(Connection& c, Closing how, Timestamp clock) {
  if (c.has_any(connection_flags::kClosing)) return;
  c.set(connection_flags::kClosing);
  if (how == Closing::Rst) c.set(connection_flags::kClosedByReset);
  c.last_clock = clock;
}

// The FIN is remembered as a sequence number and takes effect when the delivery point reaches it,
// so a FIN before its data is no special case.
template <class Handler>
void TcpTracker<Handler>::on_fin(Connection& c, const Segment& s, Direction d, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  const SeqNum fin = s.data_seq() + s.length;
  if (!h.has_any(kOriginKnown)) {
    if (c.has_any(connection_flags::kClosing)) return; // after a RST, and its start was not seen
    begin_pickup(c, d, s, out); // its data may be about to arrive
  }
  const StreamOffset at = unwrap(fin, h.offset, h.rcv_nxt);
  if (h.has_any(kFinSeen)) {
    if (fin == h.fin_seq) return;
    count(c, Anomaly::FinAdvanced);
    if (at >= h.offset && !h.has_any(kFinAcked | kEnded)) doubt_fin(c, d, fin);
    return;
  }
  if (at < h.offset || at - h.offset > kMaxWindow) {
    count(c, at < h.offset ? Anomaly::FinAdvanced : Anomaly::OutOfWindow);
    return;
  }
  if (at > window_edge(c, d)) {
    count(c, Anomaly::OutOfWindow);
    doubt_fin(c, d, fin);
    return;
  }
  h.set(kFinSeen);
  h.fin_seq = fin;
  if (h.snd_nxt.at_or_before(fin)) h.snd_nxt = fin + 1;
  if (c.half[0].has_any(kFinSeen) && c.half[1].has_any(kFinSeen)) {
    begin_closing(c, Closing::Fin, s.clock);
  }
}

// Of two FINs the one counts that the receiver has acknowledged. It cannot have reached the second
// past a first one that was real. Preconditions: a FIN was seen that is not acknowledged.
template <class Handler>
void TcpTracker<Handler>::choose_fin(Connection& c, Direction d, SeqNum acked) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (!h.has_any(kDoubtFin) || acked != find_half_rare(c, d)->doubt_fin + 1) {
    if ((h.fin_seq + 1).before(acked) && holds_behind_fin(c, d)) void_fin(c, d);
    return;
  }
  const SeqNum chosen = acked - 1;
  const bool took_more = h.fin_seq.before(chosen);
  if (took_more) void_fin(c, d);
  h.clear(kDoubtFin);
  h.set(kFinSeen | kFinAcked);
  h.fin_seq = chosen;
  if (h.snd_nxt.before(acked)) h.snd_nxt = acked;
  h.apply(Event::FinAcked);
}

// A host that had reset acknowledges nothing of what came after: somebody else sent that RST. Where
// it sends text, what becomes of the text says so.
template <class Handler>
bool TcpTracker<Handler>::outlives_own_reset(const Connection& c, const Segment& s,
                                             Direction d) const {
  if (!was_reset(c)) return false;
  const HalfConnection& talker = c.half[index_of(d)];
  const HalfConnection& listener = c.half[index_of(reverse(d))];
  const ConnectionExtra* extra = find_extra(c);
  return extra != nullptr &&
         extra->anomalies[static_cast<std::size_t>(Anomaly::DataAfterReset)] > 0 &&
         !s.flags.has_any(kSyn | kFin | kRst) && s.length == 0 && s.seq == talker.rcv_nxt &&
         s.ack == listener.snd_nxt && listener.snd_una == s.ack;
}

template <class Handler>
void TcpTracker<Handler>::announce_end(Connection& c, Direction d, Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (!reached_fin(h) || h.has_any(kEnded | kHeld)) return;
  if (fin_may_be_void(c, d)) return;
  drop_doubtful(c, d);
  drop_behind_fin(c, d);
  h.set(kEnded);
  h.apply(Event::SendFin);
  c.half[index_of(reverse(d))].apply(Event::ReceiveFin);
  if (h.has_any(kFinAcked)) h.apply(Event::FinAcked);
  if (h.has_any(kCut)) return;
  c.set(connection_flags::kDelivered);
  out.end(d);
}

/// Among the bytes held first, some stand at or behind the place of the FIN.
template <class Handler>
bool TcpTracker<Handler>::holds_behind_fin(const Connection& c, Direction d) const {
  const HalfConnection& h = c.half[index_of(d)];
  if (!h.has_all(half_flags::kQueued | half_flags::kFinSeen)) return false;
  return find_half_extra(c, d)->queue.front_run_end(memory_.pages) >
         unwrap(h.fin_seq, h.offset, h.rcv_nxt);
}

// All that is still held stands behind the FIN: no part of the stream. Returns whether it did.
template <class Handler>
bool TcpTracker<Handler>::drop_behind_fin(Connection& c, Direction d) {
  HalfConnection& h = c.half[index_of(d)];
  if (!holds_behind_fin(c, d)) return false;
  ReorderQueue& queue = find_half_extra(c, d)->queue;
  if (queue.front(memory_.pages) < unwrap(h.fin_seq, h.offset, h.rcv_nxt)) return false;
  counters_.fate(Fate::AfterEnd, queue.clear(memory_.pages));
  count(c, Anomaly::DataAfterFin);
  h.clear(half_flags::kQueued);
  h.snd_nxt = h.rcv_nxt;
  return true;
}

}  // namespace flowloom
