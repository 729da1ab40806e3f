#include "perf/gen/observer.hpp"

#include <algorithm>
#include <utility>

namespace flowloom::gen {

namespace {

using tcp_bits::kAck;
using tcp_bits::kFin;
using tcp_bits::kReset;
using tcp_bits::kSyn;

// Well inside the graces of docs/tcp.md (8 segments and 200 ms, or 32 segments) and the linger of a
// closed connection (60 s).
constexpr std::int64_t kSurelyInGrace = 150 * kMillisecond;
constexpr std::uint64_t kSegmentsInGrace = 24;
constexpr std::uint64_t kSegmentsInPickup = 6;
constexpr std::int64_t kSurelyLingering = 40 * kSecond;
/// How far before the first byte seen an acknowledgement may name the origin.
constexpr std::uint64_t kReachOfThirdStep = 65'535;
/// Ticks that a timestamp may be behind TS.Recent; see docs/tcp.md.
constexpr std::uint32_t kStampSlack = 1;

bool is_newer(std::uint32_t value, std::uint32_t recent) {
  return static_cast<std::int32_t>(value - recent) > 0;
}
bool is_old(std::uint32_t value, std::uint32_t recent) {
  return static_cast<std::int32_t>(value + kStampSlack - recent) < 0;
}

}  // namespace

Observer::Stamp Observer::judge_stamp(const Segment& segment) const {
  if (!segment.stamped || segment.has(kSyn | kReset)) return Stamp::Good;
  if (!stamps_[0].on_syn || !stamps_[1].on_syn) return Stamp::Good;
  const Stamps& mine = stamps_[index_of(segment.side)];
  if (!is_old(segment.stamp_value, mine.most)) return Stamp::Good;
  return is_old(segment.stamp_value, mine.least) ? Stamp::Old : Stamp::Unsure;
}

/// TS.Recent moves with segments that begin no later than the receiver's last acknowledgement
/// (RFC 7323, 4.3): at least those which it has acknowledged, at most those before its first hole.
void Observer::note_stamp(const Segment& segment) {
  Stamps& mine = stamps_[index_of(segment.side)];
  if (!segment.stamped || segment.has(kReset)) return;
  if (segment.has(kSyn)) {
    const bool first = !std::exchange(mine.on_syn, true);
    if (first || is_newer(mine.least, segment.stamp_value)) mine.least = segment.stamp_value;
    if (first || is_newer(segment.stamp_value, mine.most)) mine.most = segment.stamp_value;
    return;
  }
  const DirectionTruth& direction = directions_[index_of(segment.side)];
  Coverage had = direction.seen;
  const std::uint64_t surely = std::min(had.prefix(), direction.acked);
  if (direction.acked > 0) had.add(0, direction.acked);
  if (segment.offset <= surely && is_newer(segment.stamp_value, mine.least)) {
    mine.least = segment.stamp_value;
  }
  if (segment.offset <= had.prefix() && is_newer(segment.stamp_value, mine.most)) {
    mine.most = segment.stamp_value;
  }
}

/// A receiver drops it, or had these bytes already.
void Observer::note_refused(const Segment& segment) {
  const std::size_t i = index_of(segment.side);
  directions_[i].payload_bytes += segment.bytes;
  const std::uint64_t end = segment.offset + segment.bytes;
  if (segment.bytes > 0) stamps_[i].refused.add(segment.offset, end);
  if (segment.has(kFin)) stamps_[i].refused_fin = end;
}

/// What a receiver would have refused counts where it had acknowledged it, from whatever copy.
std::array<DirectionTruth, 2>& Observer::conclude() {
  for (std::size_t i = 0; i < directions_.size(); ++i) {
    DirectionTruth& mine = directions_[i];
    for (const auto& [begin, end] : stamps_[i].refused.ranges()) {
      if (begin < mine.acked) mine.seen.add(begin, std::min(end, mine.acked));
    }
    const std::optional<std::uint64_t>& fin = stamps_[i].refused_fin;
    if (fin && !mine.fin && mine.acked == *fin + 1) mine.fin = fin;
  }
  return directions_;
}

/// Some of its bytes were not seen before.
bool Observer::brings_bytes(const Segment& segment) const {
  Coverage seen = directions_[index_of(segment.side)].seen;
  return seen.add(segment.offset, segment.offset + segment.bytes) < segment.bytes;
}

/// New bytes whose hole was acknowledged so long ago that it may have been announced as a gap.
bool Observer::comes_too_late(const Segment& segment, std::int64_t at) const {
  const std::size_t i = index_of(segment.side);
  const std::uint64_t end = segment.offset + segment.bytes;
  std::uint64_t fresh = segment.offset;  // the first byte that was not seen
  for (const auto& [seen_begin, seen_end] : directions_[i].seen.ranges()) {
    if (seen_begin <= fresh && fresh < seen_end) fresh = seen_end;
  }
  if (fresh >= end) return false;
  const auto note = std::find_if(acks_[i].begin(), acks_[i].end(),
                                 [fresh](const Note& a) { return a.position > fresh; });
  if (note == acks_[i].end()) return false;
  return at - note->at > kSurelyInGrace || segments_ - note->segment > kSegmentsInGrace;
}

/// Older than where the stream began for the observer. What belongs before the first bytes (or the
/// FIN) that were seen and follows them at once is not, while the other end still waits for it.
bool Observer::precedes_origin(const Segment& segment, std::int64_t at) const {
  const std::size_t i = index_of(segment.side);
  const DirectionTruth& mine = directions_[i];
  const std::optional<Note>& start = starts_[i];
  if (!start || (mine.origin && segment.offset >= *mine.origin)) return false;
  return pickup_may_be_over(i, at);
}

/// Preconditions: starts_[i].
bool Observer::pickup_may_be_over(std::size_t i, std::int64_t at) const {
  const DirectionTruth& direction = directions_[i];
  const std::uint64_t lowest = direction.origin.value_or(starts_[i]->position);
  return (direction.first_acked && direction.acked >= lowest) ||
         at - starts_[i]->at > kSurelyInGrace ||
         segments_ - starts_[i]->segment > kSegmentsInPickup;
}

/// A SYN tells where a side began, too late for who may have had to begin elsewhere.
bool Observer::tells_origin_too_late(const Segment& segment, std::int64_t at) const {
  if (!segment.has(kSyn)) return false;
  const auto too_late = [&](std::size_t i) {
    return starts_[i] && directions_[i].origin.value_or(starts_[i]->position) > 0 &&
           pickup_may_be_over(i, at);
  };
  const std::size_t mine = index_of(segment.side);
  return too_late(mine) || (segment.has(kAck) && too_late(1 - mine));
}

/// The first acknowledgement of who sent the SYN, with nothing else, where no SYN/ACK was seen: it
/// acknowledges the other side's SYN, or more.
bool Observer::is_third_step(const Segment& segment) const {
  const std::size_t mine = index_of(segment.side);
  const DirectionTruth& theirs = directions_[1 - mine];
  return opened_[mine] && segment.bytes == 0 && segment.offset == 0 && segment.has(kAck) &&
         !segment.has(kSyn | kFin | kReset) && directions_[mine].seen.ranges().empty() &&
         closing_since_ == kNever && !theirs.first_acked &&
         (starts_[1 - mine] || (!theirs.origin && !theirs.heard));
}

/// The bytes that it could have told the origin of may have been let go.
bool Observer::names_origin_too_late(const Segment& segment, std::int64_t at) const {
  const std::size_t theirs = index_of(other(segment.side));
  return is_third_step(segment) && starts_[theirs] && pickup_may_be_over(theirs, at);
}

Observer::Answer Observer::observe(const Segment& segment, std::int64_t at) {
  if (tells_origin_too_late(segment, at)) {
    lost_its_way_ = true;
    return Answer::Refused;
  }
  if (names_origin_too_late(segment, at)) return Answer::Refused;
  const DirectionTruth& mine = directions_[index_of(segment.side)];
  const bool text = segment.bytes > 0 && !segment.has(kSyn);
  const bool over = closing_since_ != kNever && at - closing_since_ > kSurelyLingering;
  if (over || (text && (precedes_origin(segment, at) || comes_too_late(segment, at)))) {
    if (segment.has(kFin) && !mine.fin) lost_its_way_ = true;
    return Answer::Refused;
  }
  const Stamp stamp = judge_stamp(segment);
  if (stamp == Stamp::Unsure && text && !segment.has(kFin) && brings_bytes(segment)) {
    return Answer::Refused;
  }
  ++segments_;
  if (stamp == Stamp::Old) {
    note_refused(segment);
    return Answer::Noted;
  }
  note_stamp(segment);
  if (segment.has(kSyn)) note_syn(segment);
  if (segment.has(kAck)) note_ack(segment, at);
  note_bytes(segment, at);
  const bool both_fins = directions_[0].fin && directions_[1].fin;
  if (closing_since_ == kNever && (both_fins || segment.has(kReset))) closing_since_ = at;
  return Answer::Noted;
}

void Observer::observe_again(const Segment& segment) {
  ++segments_;
  directions_[index_of(segment.side)].payload_bytes += segment.bytes;
}

void Observer::note_syn(const Segment& segment) {
  const std::size_t i = index_of(segment.side);
  directions_[i].origin = 0;
  starts_[i].reset();
  named_[i].reset();
  if (!segment.has(kAck)) {
    opened_[i] = true;
    syn_bytes_[i] = std::max<std::uint64_t>(syn_bytes_[i], segment.bytes);
    directions_[i].payload_bytes += segment.bytes;
    return;
  }
  // It tells where the other side began, and whether data on its SYN were taken.
  DirectionTruth& theirs = directions_[1 - i];
  theirs.origin = 0;
  starts_[1 - i].reset();
  named_[1 - i].reset();
  if (syn_bytes_[1 - i] > 0 && segment.acked >= syn_bytes_[1 - i]) {
    theirs.seen.add(0, syn_bytes_[1 - i]);
  }
  syn_bytes_[1 - i] = 0;
}

/// Where bytes of the other side were seen before it, they began at what it names, if that is near.
void Observer::note_third_step(const Segment& segment) {
  const std::size_t theirs = index_of(other(segment.side));
  if (!starts_[theirs]) {
    named_[theirs] = segment.acked;
    return;
  }
  DirectionTruth& acknowledged = directions_[theirs];
  const std::uint64_t lowest = acknowledged.origin.value_or(starts_[theirs]->position);
  if (segment.acked < lowest && lowest - segment.acked <= kReachOfThirdStep) {
    acknowledged.origin = segment.acked;
  }
}

void Observer::note_ack(const Segment& segment, std::int64_t at) {
  if (is_third_step(segment)) note_third_step(segment);
  const std::size_t theirs = index_of(other(segment.side));
  DirectionTruth& acknowledged = directions_[theirs];
  if (!acknowledged.first_acked) acknowledged.first_acked = segment.acked;
  acknowledged.acked = std::max(acknowledged.acked, segment.acked);
  if (segment.acked == acknowledged.acked) window_closed_[theirs] = segment.window == 0;
  if (probes_[theirs] && segment.acked > *probes_[theirs]) {
    acknowledged.seen.add(*probes_[theirs], *probes_[theirs] + 1);
    probes_[theirs].reset();
  }
  std::vector<Note>& notes = acks_[theirs];
  if (notes.empty() || segment.acked > notes.back().position) {
    notes.push_back({segment.acked, at, segments_});
  }
}

void Observer::note_bytes(const Segment& segment, std::int64_t at) {
  const std::size_t i = index_of(segment.side);
  DirectionTruth& mine = directions_[i];
  mine.heard = true;
  if (segment.has(kSyn)) return;
  if (!mine.origin && !starts_[i] && (segment.bytes > 0 || segment.has(kFin))) {
    starts_[i] = {segment.offset, at, segments_};
    const std::uint64_t named = named_[i].value_or(segment.offset + 1);
    if (named <= segment.offset && segment.offset - named <= kReachOfThirdStep) {
      mine.origin = named;
    }
  }
  if (segment.bytes > 0) {
    if (!mine.origin || starts_[i]) {
      mine.origin = std::min(mine.origin.value_or(segment.offset), segment.offset);
    }
    const bool is_probe =
        segment.bytes == 1 && window_closed_[i] && segment.offset == mine.acked;
    if (is_probe) {
      probes_[i] = segment.offset;
    } else {
      mine.seen.add(segment.offset, segment.offset + segment.bytes);
    }
    mine.payload_bytes += segment.bytes;
  }
  if (segment.has(kFin) && !mine.fin) mine.fin = segment.offset + segment.bytes;
}

}  // namespace flowloom::gen
