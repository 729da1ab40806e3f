#include "net/packet_clock_rule.hpp"

namespace flowloom {

namespace {

// Signed distance b - a without overflow: stamps come from hostile files.
Duration distance(Timestamp a, Timestamp b) {
  std::int64_t d = 0;
  if (__builtin_sub_overflow(to_nanoseconds(b), to_nanoseconds(a), &d)) {
    return b > a ? Duration::max() : Duration::min();
  }
  return Duration{d};
}

bool within_steps(Duration step) {
  return step <= PacketClockRule::kClockJump && step >= -PacketClockRule::kClockStepBack;
}

}  // namespace

bool PacketClockRule::fits(Timestamp stamp) const {
  return within_steps(distance(last_stamp_, stamp));
}

bool PacketClockRule::confirms_suspect(Timestamp stamp) const {
  return suspecting_ && within_steps(distance(suspect_, stamp));
}

// Forward: time has really passed. Back: the same clock under another base.
void PacketClockRule::take_step(Timestamp stamp) {
  if (stamp < last_stamp_) offset_ = distance(stamp, clock_);
  last_stamp_ = stamp;
}

Timestamp PacketClockRule::advance_oddly(Timestamp stamp, Timestamp next) {
  if (!wants_next(stamp) || fits(next) || !within_steps(distance(stamp, next))) {
    return advance_oddly(stamp);
  }
  if (suspecting_) ++bad_timestamps_;
  suspecting_ = false;
  take_step(stamp);
  return follow(stamp);
}

Timestamp PacketClockRule::advance_oddly(Timestamp stamp) {
  if (!started_) {
    started_ = true;
    clock_ = last_stamp_ = stamp;
    return clock_;
  }
  if (!fits(stamp)) {
    if (!confirms_suspect(stamp)) {
      if (suspecting_) ++bad_timestamps_;
      suspecting_ = true;
      suspect_ = stamp;
      return clock_;
    }
    take_step(suspect_);
  } else if (suspecting_) {
    ++bad_timestamps_;
  }
  suspecting_ = false;
  return follow(stamp);
}

}  // namespace flowloom
