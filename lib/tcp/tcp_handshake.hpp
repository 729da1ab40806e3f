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
  if (HalfExtra* extra = find_half_extra(c, d); extra != nullptr && h.has_any(kOriginKnown)) {
    const StreamOffset shift = unwrap(first_data, h.offset, h.rcv_nxt);
    extra->doubtful.rebase(shift);
    extra->doubt_end -= shift;
    for (StreamOffset& position : extra->urgent_pending) position -= shift;
  }
  if (h.has_any(half_flags::kQueued)) {
    HalfExtra& extra = *find_half_extra(c, d);
    extra.queue.rebase(unwrap(first_data, h.offset, h.rcv_nxt));
    const std::uint64_t dropped = extra.queue.drop_before(memory_.pages, 0);
    if (dropped > 0) {
      counters_.fate(Fate::BeforeOrigin, dropped);
      count(c, Anomaly::BeforeOrigin);
    }
    if (extra.queue.empty()) h.clear(half_flags::kQueued);
  }
  h.rcv_nxt = first_data;
  h.offset = 0;
  if (!h.has_any(half_flags::kOriginKnown) || h.snd_nxt.before(first_data)) h.snd_nxt = first_data;
  h.set(half_flags::kOriginKnown);
}

template <class Handler>
void TcpTracker<Handler>::remember_candidate(Connection& c, Direction d, SeqNum iss) {
  HalfExtra* extra = half_extra(c, d);
  if (extra == nullptr) return;
  const auto known = std::min<std::size_t>(extra->candidate_count, extra->candidates.size());
  const SeqNum* const first = extra->candidates.data();
  if (std::find(first, first + known, iss) != first + known) return;
  // A fifth takes the place of the oldest.
  extra->candidates[extra->candidate_count++ % extra->candidates.size()] = iss;
}

template <class Handler>
bool TcpTracker<Handler>::is_candidate(const Connection& c, Direction d, SeqNum iss) const {
  const HalfExtra* extra = find_half_extra(c, d);
  if (extra == nullptr) return false;
  const auto known = std::min<std::size_t>(extra->candidate_count, extra->candidates.size());
  const SeqNum* const first = extra->candidates.data();
  return std::find(first, first + known, iss) != first + known;
}

// An acknowledgement names the SYN that its sender believed in.
template <class Handler>
bool TcpTracker<Handler>::choose_candidate(const HalfConnection& h, const HalfExtra* extra,
                                           SeqNum first_data) {
  if (extra == nullptr || h.offset != 0 || reached_fin(h)) return false;
  const auto count = std::min<std::size_t>(extra->candidate_count, extra->candidates.size());
  if (extra->candidate_count > count) return true; // it may name one that was forgotten
  for (std::size_t i = 0; i < count; ++i) {
    if (extra->candidates[i] + 1 == first_data) return true;
  }
  return false;
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
    const bool acks_it = listener.rcv_nxt.at_or_before(s.ack) &&
                         s.ack.at_or_before(listener.snd_nxt);
    if (!acks_it || listener.offset != 0) {
      if (listener.offset == 0 && choose_candidate(listener, find_half_extra(c, back), s.ack)) {
        listener.snd_nxt = s.ack;
        set_origin(c, back, s.ack);
      } else if (listener.offset == 0) {
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
  HalfExtra* extra = find_half_extra(c, d);
  const StreamOffset taken = unwrap(acked, h.offset, h.rcv_nxt);
  if (extra != nullptr && !extra->queue.empty() && taken <= h.offset) {
    counters_.fate(Fate::Rejected, extra->queue.clear(memory_.pages));
    h.clear(half_flags::kQueued);
    h.snd_nxt = h.rcv_nxt;
  }
  drain(c, d, out);
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
  const SeqNum first_data = s.seq + 1;
  const bool synchronised = c.has_any(connection_flags::kEstablished) || talker.offset != 0 ||
                            reached_fin(talker) ||
                            (talker.has_any(half_flags::kOriginKnown) &&
                             !talker.has_any(half_flags::kSynSeen | half_flags::kHeld) &&
                             talker.has_any(half_flags::kHeard) && talker.rcv_nxt != first_data);
  if (synchronised && talker.rcv_nxt - static_cast<std::uint32_t>(talker.offset) != first_data) {
    count(c, Anomaly::SynInsideConnection);
    // Nothing, until a SYN/ACK answers it (RFC 5961, 4): see Shard::begins_anew().
    if (!is_answer) remember_candidate(c, d, s.seq);
    return false;
  }
  if (is_answer && !accept_syn_ack(c, s, d, out)) return false;
  if (is_answer && c.has_any(connection_flags::kClosing)) reopen(c, d);
  if (!synchronised) {
    if (talker.has_any(half_flags::kSynSeen) && talker.rcv_nxt != first_data) {
      count(c, Anomaly::SynRetransmittedNewIsn);
      remember_candidate(c, d, talker.rcv_nxt - 1);
      remember_candidate(c, d, s.seq);
      talker.snd_nxt = first_data;
    }
    if (talker.has_any(half_flags::kHeld) && !talker.has_any(half_flags::kSynSeen)) {
      talker.clear(half_flags::kHeld);
    }
    set_origin(c, d, first_data);
    note_syn_options(c, talker, s);
  }
  talker.set(half_flags::kSynSeen);
  if (!is_answer && listener.has_any(half_flags::kSynSeen) &&
      !c.has_any(connection_flags::kSynAckSeen)) {
    count(c, Anomaly::SimultaneousOpen);
  }
  talker.apply(is_answer ? Event::SendSynAck : Event::SendSyn);
  listener.apply(is_answer ? Event::ReceiveSynAck : Event::ReceiveSyn);
  if (s.length > 0) {
    count(c, Anomaly::SynWithData);
    // Nobody has said yet whether data on a plain SYN was taken.
    if (!is_answer && !synchronised && talker.offset == 0) {
      talker.set(half_flags::kHeld);
      talker.clear(half_flags::kHolePending);
    }
  }
  return true;
}

}  // namespace flowloom
