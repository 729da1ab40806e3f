// SYN and SYN/ACK: which sequence number a direction starts at. Part of TcpTracker.
#pragma once

#include <algorithm>

#include "tcp/tcp_tracker.hpp"

namespace flowloom {

// The stream of `d` starts at `first_data`. Bytes held since a pick-up are placed anew; those
// before the origin do not belong to the stream.
template <class Handler>
void TcpTracker<Handler>::set_origin(Connection& c, Direction d, SeqNum first_data) {
  HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (HalfRare* rare = find_half_rare(c, d); rare != nullptr && h.has_any(kOriginKnown)) {
    const StreamOffset shift = unwrap(first_data, h.offset, h.rcv_nxt);
    rare->doubtful.rebase(shift);
    rare->doubt_end -= shift;
    rare->move_urgent(shift);
  }
  if (h.has_any(half_flags::kQueued)) {
    HalfExtra& extra = *find_half_extra(c, d);
    extra.queue.rebase(unwrap(first_data, h.offset, h.rcv_nxt));
    // Of what several SYNs carried, nothing is lost before one of them is chosen.
    const bool undecided = h.has_all(half_flags::kHeld | half_flags::kSynSeen);
    const std::uint64_t dropped = undecided ? 0 : extra.queue.drop_before(memory_.pages, 0);
    if (dropped > 0) {
      counters_.fate(Fate::BeforeOrigin, dropped);
      count(c, Anomaly::BeforeOrigin);
    }
    if (extra.queue.empty()) h.clear(half_flags::kQueued);
  }
  h.rcv_nxt = first_data;
  h.offset = 0;
  h.clear(half_flags::kOriginNamed);
  if (!h.has_any(half_flags::kOriginKnown) || h.snd_nxt.before(first_data)) h.snd_nxt = first_data;
  h.set(half_flags::kOriginKnown);
}

template <class Handler>
void TcpTracker<Handler>::remember_candidate(Connection& c, Direction d, SynCandidate candidate) {
  if (is_candidate(c, d, candidate.iss)) return;
  HalfRare* rare = half_rare(c, d);
  if (rare == nullptr) return;
  // A fifth takes the place of the oldest.
  rare->candidates[rare->candidate_count++ % rare->candidates.size()] = candidate;
}

template <class Handler>
bool TcpTracker<Handler>::is_candidate(const Connection& c, Direction d, SeqNum iss) const {
  const HalfRare* rare = find_half_rare(c, d);
  if (rare == nullptr) return false;
  const auto known = std::min<std::size_t>(rare->candidate_count, rare->candidates.size());
  return std::any_of(rare->candidates.data(), rare->candidates.data() + known,
                     [&](const SynCandidate& candidate) { return candidate.iss == iss; });
}

// Where the stream starts if `acked` acknowledges one of several SYNs, with or without its data.
template <class Handler>
std::optional<SeqNum> TcpTracker<Handler>::find_candidate(const HalfConnection& h,
                                                          const HalfRare* rare, SeqNum acked) {
  if (rare == nullptr || h.offset != 0 || reached_fin(h)) return std::nullopt;
  const auto known = std::min<std::size_t>(rare->candidate_count, rare->candidates.size());
  for (std::size_t i = 0; i < known; ++i) {
    const SeqNum first_data = rare->candidates[i].iss + 1;
    if (is_between(acked, first_data, first_data + rare->candidates[i].bytes)) {
      return first_data;
    }
  }
  if (rare->candidate_count > known) return acked; // it may name one that was forgotten
  return std::nullopt;
}

// An acknowledgement names the SYN that its sender believed in.
template <class Handler>
bool TcpTracker<Handler>::choose_candidate(Connection& c, Direction d, SeqNum acked) {
  HalfConnection& h = c.half[index_of(d)];
  const std::optional<SeqNum> first_data = find_candidate(h, find_half_rare(c, d), acked);
  if (!first_data) return false;
  h.snd_nxt = acked;
  set_origin(c, d, *first_data);
  forget_acks_beside(c, d, *first_data);
  return true;
}

template <class Handler>
void TcpTracker<Handler>::note_syn_options(Connection& c, HalfConnection& talker,
                                           const Segment& s) {
  const TcpOptions options = parse_tcp_options(s.options);
  talker.set_wscale(0);
  if (options.has(TcpOptions::kWindowScale)) {
    if (options.window_scale > kMaxWindowScale) count(c, Anomaly::WindowScaleRange);
    const std::uint8_t shift = std::min(options.window_scale, kMaxWindowScale);
    talker.set_wscale(static_cast<std::uint8_t>(shift + 1));
  }
  talker.clear(half_flags::kTimestamps | half_flags::kSigned);
  if (options.has(TcpOptions::kTimestamps)) {
    talker.set(half_flags::kTimestamps);
    talker.ts_recent = options.timestamp_value;
  }
  if (options.has(TcpOptions::kSignature)) talker.set(half_flags::kSigned);
}

// Whether a SYN/ACK answers the other side's SYN; if that SYN was not captured, it is told here.
template <class Handler>
bool TcpTracker<Handler>::accept_syn_ack(Connection& c, const Segment& s, Direction d,
                                         Handler& out) {
  const Direction back = reverse(d);
  HalfConnection& listener = c.half[index_of(back)];
  if (!listener.has_any(half_flags::kOriginKnown)) {
    set_origin(c, back, s.ack);
  } else if (listener.has_any(half_flags::kSynSeen)) {
    if (!names_origin(listener, s.ack) || listener.offset != 0) {
      if (listener.offset == 0 && !choose_candidate(c, back, s.ack)) {
        count(c, Anomaly::BadSynAck);
        return false;
      }
    }
  } else if (listener.has_any(half_flags::kHeld)) {
    // Its data came first: the SYN/ACK says where the stream starts.
    listener.clear(half_flags::kHeld);
    set_origin(c, back, s.ack);
    drain(c, back, out);
  }
  forget_acks_beside(c, back, s.ack);
  settle_syn_data(c, back, s.ack, out);
  listener.set(half_flags::kAckedBySyn);
  c.set(connection_flags::kSynAckSeen);
  return true;
}

// Data on a SYN belongs to the stream only as far as the other side takes it (RFC 7413).
template <class Handler>
void TcpTracker<Handler>::settle_syn_data(Connection& c, Direction d, SeqNum acked,
                                          Handler& out) {
  HalfConnection& h = c.half[index_of(d)];
  if (!h.has_all(half_flags::kHeld | half_flags::kSynSeen)) return;
  h.clear(half_flags::kHeld);
  if (h.has_any(half_flags::kQueued)) {
    ReorderQueue& queue = find_half_extra(c, d)->queue;
    const StreamOffset taken = unwrap(acked, h.offset, h.rcv_nxt);
    counters_.fate(Fate::Rejected, queue.drop_before(memory_.pages, h.offset));
    // Of a SYN that was not chosen, or not taken.
    const auto is_void = [&] {
      return !queue.empty() && (taken <= h.offset || queue.front(memory_.pages) > h.offset);
    };
    if (!is_void()) drain(c, d, out);
    if (is_void()) {
      counters_.fate(Fate::Rejected, queue.clear(memory_.pages));
    }
    if (queue.empty()) h.clear(half_flags::kQueued);
    if (h.offset == 0 && queue.empty()) h.snd_nxt = h.rcv_nxt;
  }
}

// Whether the stream of `d` has begun, at another place than a SYN says.
template <class Handler>
bool TcpTracker<Handler>::is_inside(const Connection& c, Direction d, SeqNum first_data) const {
  const HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (h.rcv_nxt - static_cast<std::uint32_t>(h.offset) == first_data) return false;
  if (c.has_any(connection_flags::kEstablished) || h.offset != 0) return true;
  if (h.has_any(kHeld)) return false;
  // Picked up, its grace is over; not only named by a SYN/ACK.
  return reached_fin(h) || (h.has_any(kOriginKnown) && !h.has_any(kSynSeen) &&
                            h.rcv_nxt != h.snd_nxt);
}

// The last step of a handshake (RFC 9293, 3.5), where the step before it was not captured: who sent
// the SYN acknowledges for the first time, and does nothing else. That names the first byte of the
// other side; if it is a later acknowledgement, a later byte.
template <class Handler>
bool TcpTracker<Handler>::is_third_step(const Connection& c, const Segment& s, Direction d) {
  const HalfConnection& talker = c.half[index_of(d)];
  using enum connection_flags::Bits;
  return s.length == 0 && !s.flags.has_any(kSyn | kFin | kRst | kUrg) &&
         talker.has_any(half_flags::kSynSeen) && talker.offset == 0 &&
         s.seq == talker.rcv_nxt && !c.has_any(kSynAckSeen | kClosing);
}

// It came after the first data, which still wait for what may come before them.
// Preconditions: the first acknowledgement of what the listener of `d` sent, and that is held.
template <class Handler>
void TcpTracker<Handler>::name_held_origin(Connection& c, const Segment& s, Direction d) {
  HalfConnection& listener = c.half[index_of(reverse(d))];
  if (listener.has_any(half_flags::kSynSeen) || !is_third_step(c, s, d)) return;
  const ReorderQueue& queue = find_half_extra(c, reverse(d))->queue;
  const StreamOffset lowest = queue.empty() ? 0 : queue.front(memory_.pages);
  const StreamOffset named = unwrap(s.ack, listener.offset, listener.rcv_nxt);
  if (named >= lowest || lowest - named > kSmallestSlack) return;
  move_held_origin(c, reverse(d), named);
  listener.set(half_flags::kOriginNamed);
}

// Whether a SYN/ACK may move an origin that only an acknowledgement named: nothing was delivered,
// and nothing held is lost by it.
template <class Handler>
bool TcpTracker<Handler>::corrects_origin(const Connection& c, Direction d,
                                          SeqNum first_data) const {
  const HalfConnection& h = c.half[index_of(d)];
  using enum half_flags::Bits;
  if (!h.has_all(kOriginNamed | kQueued) || h.offset != 0) return false;
  const StreamOffset missing = find_half_extra(c, d)->queue.front(memory_.pages) -
                               unwrap(first_data, h.offset, h.rcv_nxt);
  return missing >= 0 && missing <= kSmallestSlack;
}

// What was acknowledged of an older use of the tuple is nothing of the stream that begins here.
template <class Handler>
void TcpTracker<Handler>::forget_acks_beside(Connection& c, Direction d, SeqNum first_data) {
  HalfConnection& h = c.half[index_of(d)];
  if (h.offset != 0 || !h.has_any(half_flags::kAcked)) return;
  const std::int64_t acked = first_data.distance_to(h.snd_una);
  if (acked >= 0 && acked <= kSmallestSlack) return;
  h.clear(half_flags::kAcked | half_flags::kAckedBySyn | half_flags::kHolePending);
}

// The SYN becomes the origin, unless the peer has answered another one: then it is remembered, in
// case that the peer takes it after all, and false returned.
template <class Handler>
bool TcpTracker<Handler>::begins_at(Connection& c, const Segment& s, Direction d) {
  HalfConnection& talker = c.half[index_of(d)];
  using enum half_flags::Bits;
  const bool is_answer = s.flags.has_any(kAck);
  const SeqNum first_data = s.seq + 1;
  const bool is_other = talker.has_any(kOriginKnown) && talker.rcv_nxt != first_data;
  if (is_other && talker.has_any(kSynSeen)) {
    count(c, Anomaly::SynRetransmittedNewIsn);
    const std::int64_t bytes =
        talker.has_any(kHeld) ? talker.rcv_nxt.distance_to(talker.snd_nxt) : 0;
    remember_candidate(c, d, {talker.rcv_nxt - 1, static_cast<std::uint32_t>(bytes)});
    remember_candidate(c, d, {s.seq, s.length});
    if (!is_answer && is_confirmed(talker)) return false;
    talker.snd_nxt = first_data;
  } else if (is_other && !is_answer && !talker.has_any(kHeld) &&
             !is_between(talker.rcv_nxt, first_data, first_data + s.length)) {
    // A SYN/ACK came first and acknowledged another number: it answers nothing that was seen.
    count(c, Anomaly::BadSynAck);
    remember_candidate(c, d, {talker.rcv_nxt - 1, 0});
    talker.clear(kAcked | kAckedBySyn | kHolePending);
    talker.snd_nxt = first_data;
  }
  if (!talker.has_any(kSynSeen)) talker.clear(kHeld);
  set_origin(c, d, first_data);
  forget_acks_beside(c, d, first_data);
  note_syn_options(c, talker, s);
  return true;
}

// Of several SYNs the one counts that its sender goes on from, where a SYN/ACK may have answered
// any of them.
template <class Handler>
void TcpTracker<Handler>::bind_origin(Connection& c, const Segment& s, Direction d) {
  const HalfConnection& talker = c.half[index_of(d)];
  const HalfConnection& listener = c.half[index_of(reverse(d))];
  if (d != Direction::OriginatorToResponder || talker.offset != 0 || s.seq == talker.rcv_nxt) {
    return;
  }
  if (!talker.has_any(half_flags::kSynSeen) || is_confirmed(talker)) return;
  if (!c.has_any(connection_flags::kSynAckSeen) || s.ack != listener.rcv_nxt) return;
  if (is_candidate(c, d, s.seq - 1)) choose_candidate(c, d, s.seq);
}

// Returns false where the segment is not believed: nothing else of it is looked at.
template <class Handler>
bool TcpTracker<Handler>::on_syn(Connection& c, const Segment& s, Direction d, Handler& out) {
  HalfConnection& talker = c.half[index_of(d)];
  HalfConnection& listener = c.half[index_of(reverse(d))];
  if (s.flags.has_any(kRst)) {
    count(c, Anomaly::Christmas);
    return false;
  }
  if (s.flags.has_any(kFin)) count(c, Anomaly::SynWithFin);
  const bool is_answer = s.flags.has_any(kAck);
  if (is_inside(c, d, s.seq + 1) && !(is_answer && corrects_origin(c, d, s.seq + 1))) {
    count(c, Anomaly::SynInsideConnection);
    // Nothing, until a SYN/ACK answers it (RFC 5961, 4): see Shard::begins_anew().
    if (!is_answer) remember_candidate(c, d, {s.seq, s.length});
    return false;
  }
  if (is_answer && !accept_syn_ack(c, s, d, out)) return false;
  if (is_answer && c.has_any(connection_flags::kClosing)) reopen(c, d);
  const bool repeated = c.has_any(connection_flags::kEstablished) || talker.offset != 0 ||
                        reached_fin(talker);
  if (!repeated && !begins_at(c, s, d)) return false;
  talker.set(half_flags::kSynSeen);
  // What came before it and is not forgotten acknowledges it: the handshake is complete.
  if (is_answer && talker.has_any(half_flags::kAcked)) talker.set(half_flags::kAckedBySyn);
  if (!is_answer && listener.has_any(half_flags::kSynSeen) &&
      !c.has_any(connection_flags::kSynAckSeen)) {
    count(c, Anomaly::SimultaneousOpen);
  }
  talker.apply(is_answer ? Event::SendSynAck : Event::SendSyn);
  listener.apply(is_answer ? Event::ReceiveSynAck : Event::ReceiveSyn);
  if (s.length > 0) {
    count(c, Anomaly::SynWithData);
    // Nobody has said yet whether data on a SYN was taken, or which of several SYNs.
    if (!repeated && talker.offset == 0) {
      talker.set(half_flags::kHeld);
      talker.clear(half_flags::kHolePending);
    }
  }
  return true;
}

}  // namespace flowloom
