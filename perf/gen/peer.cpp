#include "perf/gen/peer.hpp"

#include <algorithm>

namespace flowloom::gen {

namespace {

using tcp_bits::kAck;
using tcp_bits::kFin;
using tcp_bits::kPush;
using tcp_bits::kReset;
using tcp_bits::kSyn;

constexpr std::int64_t kSynTimeout = kSecond;
constexpr std::int64_t kRetransmitTimeout = 300 * kMillisecond;  // above any round trip made here
constexpr std::uint32_t kMaxBackoff = 4;  // silent for less than 10 s altogether
constexpr std::uint32_t kMaxSynBackoff = 3;  // 8 s, below any --syn-timeout worth the name
constexpr std::int64_t kDelayedAck = 40 * kMillisecond;
constexpr std::int64_t kPersistTimeout = 250 * kMillisecond;
constexpr std::uint32_t kMaxPersistBackoff = 4;
constexpr std::uint32_t kFastRetransmit = 3;
constexpr std::uint32_t kMaxKeepAlives = 4;
constexpr std::uint32_t kStampOptionBytes = 12;
constexpr std::uint64_t kLargestField = 0xffff;
constexpr double kShortPiece = 0.2;

}  // namespace

Peer::Peer(Side side, const PeerPlan& plan, const std::vector<Turn>& turns, std::uint64_t seed)
    : side_(side), plan_(plan), turns_(turns), random_(seed) {
  timers_.fill(kNever);
}

std::int64_t Peer::next_timer() const {
  return *std::min_element(timers_.begin(), timers_.end());
}

void Peer::open(std::int64_t now) {
  if (plan_.opening == Opening::Passive) return;
  state_ = State::SynSent;
  send_syn(plan_.syn_bytes, now);
}

// --- receiving

void Peer::receive(const Segment& segment, std::int64_t now) {
  switch (state_) {
    case State::Listen:
      on_listen(segment, now);
      break;
    case State::SynSent:
      on_syn_sent(segment, now);
      break;
    case State::SynReceived:
    case State::Established:
      on_synchronised(segment, now);
      break;
    case State::Reset:  // RFC 9293, 3.10.7.1
      if (!segment.has(kReset) && segment.has(kAck)) {
        send({.side = side_, .flags = kReset, .offset = segment.acked, .window = 0}, now);
      }
      break;
    case State::GivenUp:
      break;
  }
}

void Peer::on_listen(const Segment& segment, std::int64_t now) {
  if (!segment.has(kSyn) || segment.has(kAck | kReset)) return;
  stamp_recent_ = segment.stamp_value;
  if (plan_.takes_syn_data && segment.bytes > 0) {
    received_.add(0, segment.bytes);
    rcv_nxt_ = segment.bytes;
  }
  snd_edge_ = segment.window;
  state_ = State::SynReceived;
  send_syn(0, now);
}

void Peer::on_syn_sent(const Segment& segment, std::int64_t now) {
  if (segment.has(kReset) || !segment.has(kSyn)) return;
  stamp_recent_ = segment.stamp_value;
  snd_edge_ = segment.acked + segment.window;
  if (!segment.has(kAck)) {  // simultaneous open
    state_ = State::SynReceived;
    send_syn(0, now);
    return;
  }
  snd_una_ = snd_nxt_ = segment.acked;
  establish(now);
  send_ack(now);
  pump(now);
}

void Peer::establish(std::int64_t now) {
  state_ = State::Established;
  syn_acked_ = true;
  backoff_ = 0;
  timers_[kRetransmit] = kNever;
  advance_turns(now);
}

bool Peer::acceptable(const Segment& segment) const {
  const auto begin = static_cast<std::int64_t>(segment.offset);
  const auto length = static_cast<std::int64_t>(segment.bytes) + (segment.has(kFin) ? 1 : 0);
  const auto next = static_cast<std::int64_t>(rcv_nxt_);
  const auto edge = static_cast<std::int64_t>(rcv_edge_);
  if (length == 0) return begin == next || (begin > next && begin < edge);
  return begin < edge && begin + length > next;
}

bool Peer::on_reset(const Segment& segment) {
  if (!segment.has(kReset)) return false;
  if (segment.offset == rcv_nxt_) {
    state_ = State::GivenUp;
    timers_.fill(kNever);
  }
  return true;
}

void Peer::note_stamp(const Segment& segment) {
  if (segment.stamped && segment.offset <= last_ack_sent_) stamp_recent_ = segment.stamp_value;
}

void Peer::on_synchronised(const Segment& segment, std::int64_t now) {
  if (segment.has(kSyn)) {
    if (state_ == State::SynReceived && !segment.has(kAck)) {
      send_syn(0, now);
      return;
    }
    if (state_ == State::SynReceived) {
      snd_edge_ = segment.acked + segment.window;
      establish(now);
    }
    send_ack(now);
    pump(now);
    return;
  }
  const bool old_stamp = segment.stamped && !segment.has(kReset) &&
                         static_cast<std::int32_t>(segment.stamp_value - stamp_recent_) < 0;
  if (old_stamp || !acceptable(segment)) {
    if (segment.has(kReset)) return;
    if (!old_stamp && segment.has(kAck)) on_ack(segment, now);
    send_ack(now);
    return;
  }
  if (on_reset(segment)) {
    if (state_ != State::GivenUp) send_ack(now);  // RFC 5961, 3.2
    return;
  }
  if (!segment.has(kAck)) return;
  note_stamp(segment);
  if (state_ == State::SynReceived) establish(now);
  on_ack(segment, now);
  on_text(segment, now);
  if (state_ != State::Established) return;
  advance_turns(now);
  pump(now);
}

void Peer::on_ack(const Segment& segment, std::int64_t now) {
  const std::uint64_t ack = segment.acked;
  const std::uint64_t probed = probes_ > 0 ? 1 : 0;
  if (ack > snd_nxt_ + probed || ack < snd_una_) return;
  const std::uint64_t edge = ack + (std::uint64_t{segment.window} << plan_.peer_window_scale);
  const bool repeats = ack == snd_una_ && edge <= snd_edge_ && segment.bytes == 0;
  snd_edge_ = std::max(snd_edge_, edge);
  if (ack > snd_una_) {
    snd_una_ = ack;
    snd_nxt_ = std::max(snd_nxt_, ack);
    duplicate_acks_ = backoff_ = probes_ = 0;
    if (outstanding()) {
      timers_[kRetransmit] = now + kRetransmitTimeout;
      if (ack < recover_) retransmit(now);
    } else {
      timers_[kRetransmit] = kNever;
    }
  } else if (repeats && outstanding() && ++duplicate_acks_ == kFastRetransmit &&
             snd_una_ >= recover_) {
    recover_ = snd_nxt_;
    retransmit(now);
  }
  pump(now);
}

void Peer::on_text(const Segment& segment, std::int64_t now) {
  std::uint64_t end = segment.offset + segment.bytes;
  if (segment.has(kFin) && end < rcv_edge_) fin_at_ = end;
  end = std::min(end, rcv_edge_);
  if (segment.bytes == 0 && !segment.has(kFin)) return;
  const std::uint64_t before = rcv_nxt_;
  const bool had_holes = received_.bytes() > received_.prefix();
  if (segment.bytes > 0) received_.add(segment.offset, end);
  rcv_nxt_ = std::max(rcv_nxt_, received_.prefix());
  if (rcv_nxt_ == fin_at_) ++rcv_nxt_;
  read(now);
  const bool plain = rcv_nxt_ == segment.offset + segment.bytes && before == segment.offset &&
                     !had_holes && !segment.has(kFin);
  if (plain && ++unacked_segments_ < 2) {
    timers_[kAcknowledge] = std::min(timers_[kAcknowledge], now + kDelayedAck);
  } else {
    send_ack(now);
  }
  if (plan_.reset_at != 0 && received_.prefix() >= plan_.reset_at) abort(now);
}

// --- the application

void Peer::read(std::int64_t now) {
  const std::uint64_t ready = received_.prefix();
  if (plan_.stall_at != 0 && ready >= plan_.stall_at && stalled_until_ == 0) {
    stalled_until_ = now + plan_.stall_ns;
    timers_[kApplication] = std::min(timers_[kApplication], stalled_until_);
  }
  if (now >= stalled_until_) read_ = ready;
}

void Peer::advance_turns(std::int64_t now) {
  for (; turn_ < turns_.size(); ++turn_) {
    const Turn& turn = turns_[turn_];
    if (turn.side != side_) {
      if (received_.prefix() < turn_bytes_ + turn.bytes) return;
      turn_bytes_ += turn.bytes;
      continue;
    }
    if (turn_starts_ == kNever) turn_starts_ = now + turn.pause_ns;
    if (turn_starts_ > now) {
      timers_[kApplication] = std::min(timers_[kApplication], turn_starts_);
      return;
    }
    turn_starts_ = kNever;
    writable_ += turn.bytes;
  }
}

bool Peer::wants_to_leave() const {
  if (plan_.leaving == Leaving::Stay) return false;
  if (plan_.leaving == Leaving::HalfClose) {
    return std::none_of(turns_.begin() + static_cast<std::ptrdiff_t>(turn_), turns_.end(),
                        [&](const Turn& turn) { return turn.side == side_; });
  }
  return turn_ == turns_.size();
}

void Peer::leave(std::int64_t now) {
  if (plan_.leaving == Leaving::Reset) {
    if (!outstanding()) abort(now);
  } else if (snd_nxt_ < snd_edge_) {
    fin_sent_ = true;
    send({.side = side_, .flags = kFin | kAck, .offset = snd_nxt_}, now);
    ++snd_nxt_;
  }
}

void Peer::abort(std::int64_t now) {
  const std::uint8_t ack = plan_.reset_acknowledges ? kAck : 0;
  send({.side = side_, .flags = static_cast<std::uint8_t>(kReset | ack), .offset = snd_nxt_}, now);
  state_ = State::Reset;
  timers_.fill(kNever);
}

// --- sending

std::uint32_t Peer::largest_payload() const {
  return plan_.mss - (plan_.timestamps ? kStampOptionBytes : 0);
}

/// Senders cut where they like; most often they fill the segment.
std::uint32_t Peer::piece(std::uint64_t most) {
  const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(most, largest_payload()));
  if (bytes < 2 || !random_.chance(kShortPiece)) return bytes;
  return static_cast<std::uint32_t>(random_.between(1, bytes));
}

/// What is free, and never less than what was offered before (RFC 9293, 3.8.6).
std::uint16_t Peer::window_field(const Segment& segment) {
  const std::uint8_t scale = segment.has(kSyn) ? 0 : plan_.window_scale;
  const std::uint64_t used = received_.prefix() - std::min(read_, received_.prefix());
  std::uint64_t free = plan_.buffer_bytes - std::min<std::uint64_t>(used, plan_.buffer_bytes);
  const std::uint64_t offered = rcv_edge_ > rcv_nxt_ ? rcv_edge_ - rcv_nxt_ : 0;
  // No silly windows: a closed one opens by a segment or half of the buffer.
  const std::uint64_t least = std::min<std::uint64_t>(plan_.mss, plan_.buffer_bytes / 2);
  if (free < offered + least) free = offered;
  const std::uint64_t unit = std::uint64_t{1} << scale;
  const std::uint64_t field = std::min((free + unit - 1) >> scale, kLargestField);
  rcv_edge_ = std::max(rcv_edge_, rcv_nxt_ + (field << scale));
  return static_cast<std::uint16_t>(field);
}

void Peer::send(Segment segment, std::int64_t now) {
  if (segment.has(kAck)) {
    segment.acked = rcv_nxt_;
    last_ack_sent_ = rcv_nxt_;
    unacked_segments_ = 0;
    timers_[kAcknowledge] = kNever;
  }
  if (state_ != State::Reset) segment.window = window_field(segment);
  segment.stamped = plan_.timestamps;
  segment.stamp_value = plan_.clock_base + static_cast<std::uint32_t>(now / kMillisecond);
  segment.stamp_echo = segment.has(kAck) ? stamp_recent_ : 0;
  sent_.push_back(segment);
  arm_idle_timers(now);
}

void Peer::arm_idle_timers(std::int64_t now) {
  const bool idle = state_ == State::Established && !outstanding() && !fin_sent_ && snd_nxt_ > 0;
  const bool asks = plan_.keep_alive_ns > 0 && keep_alives_ < kMaxKeepAlives;
  timers_[kKeepAlive] = asks && idle ? now + plan_.keep_alive_ns : kNever;
}

void Peer::send_ack(std::int64_t now) {
  send({.side = side_, .flags = kAck, .offset = snd_nxt_}, now);
}

void Peer::send_syn(std::uint32_t bytes, std::int64_t now) {
  const bool answer = state_ == State::SynReceived;
  send({.side = side_,
        .flags = static_cast<std::uint8_t>(answer ? kSyn | kAck : kSyn),
        .bytes = bytes},
       now);
  timers_[kRetransmit] = now + (kSynTimeout << backoff_);
}

void Peer::pump(std::int64_t now) {
  if (state_ != State::Established || fin_sent_) return;
  while (snd_nxt_ < writable_) {
    const std::uint64_t limit = std::min({writable_, snd_edge_, snd_una_ + plan_.flight_bytes});
    if (limit <= snd_nxt_) break;
    Segment segment{.side = side_, .flags = kAck, .bytes = piece(limit - snd_nxt_)};
    segment.offset = snd_nxt_;
    snd_nxt_ += segment.bytes;
    const bool last = snd_nxt_ == writable_;
    if (last) segment.flags |= kPush;
    if (last && plan_.fin_style == FinStyle::WithData && plan_.leaving != Leaving::Reset &&
        wants_to_leave() && snd_nxt_ < snd_edge_) {
      segment.flags |= kFin;
      fin_sent_ = true;
      ++snd_nxt_;
    }
    send(segment, now);
  }
  if (snd_nxt_ == writable_ && !fin_sent_ && wants_to_leave()) leave(now);
  if (state_ != State::Established) return;
  if (outstanding()) {
    if (timers_[kRetransmit] == kNever) timers_[kRetransmit] = now + kRetransmitTimeout;
    timers_[kKeepAlive] = timers_[kPersist] = kNever;
  } else if (snd_nxt_ < writable_ && timers_[kPersist] == kNever) {
    timers_[kPersist] = now + (kPersistTimeout << std::min(probes_, kMaxPersistBackoff));
  }
}

/// From the first byte that was not acknowledged, cut anew.
void Peer::retransmit(std::int64_t now) {
  const std::uint64_t data_end = snd_nxt_ - (fin_sent_ ? 1 : 0);
  Segment segment{.side = side_, .flags = kAck, .bytes = 0};
  segment.offset = snd_una_;
  if (snd_una_ < data_end) segment.bytes = piece(data_end - snd_una_);
  const bool whole = segment.offset + segment.bytes == data_end;
  if (whole) segment.flags |= kPush;
  if (whole && fin_sent_ && (segment.bytes == 0 || random_.chance(0.5))) segment.flags |= kFin;
  send(segment, now);
}

void Peer::on_retransmit_timer(std::int64_t now) {
  const bool opening = !syn_acked_;
  if (backoff_++ == (opening ? kMaxSynBackoff : kMaxBackoff)) {
    state_ = State::GivenUp;
    timers_.fill(kNever);
    return;
  }
  if (opening) {
    send_syn(0, now);
    return;
  }
  recover_ = snd_nxt_;
  retransmit(now);
  timers_[kRetransmit] = now + (kRetransmitTimeout << backoff_);
}

/// A closed window: one byte of new data, which stays what it is when it is sent again.
void Peer::probe(std::int64_t now) {
  if (outstanding() || snd_nxt_ >= writable_ || snd_edge_ > snd_nxt_) return pump(now);
  ++probes_;
  send({.side = side_, .flags = kAck, .bytes = 1, .offset = snd_nxt_}, now);
  timers_[kPersist] = now + (kPersistTimeout << std::min(probes_, kMaxPersistBackoff));
}

void Peer::run_timers(std::int64_t now) {
  const auto due = [&](Timer timer) {
    if (timers_[timer] > now) return false;
    timers_[timer] = kNever;
    return true;
  };
  if (due(kRetransmit)) on_retransmit_timer(now);
  if (due(kAcknowledge)) send_ack(now);
  if (due(kApplication)) {
    const bool was_closed = rcv_edge_ == rcv_nxt_;
    read(now);
    if (was_closed) send_ack(now);
    advance_turns(now);
    pump(now);
  }
  if (due(kPersist)) probe(now);
  if (due(kKeepAlive)) {
    ++keep_alives_;
    send({.side = side_,
          .flags = kAck,
          .bytes = plan_.keep_alive_bytes,
          .offset = snd_nxt_ - 1},
         now);
  }
}

}  // namespace flowloom::gen
