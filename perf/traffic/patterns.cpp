#include "perf/traffic/patterns.hpp"

#include "perf/traffic/frame_writer.hpp"

#include <algorithm>

namespace flowloom::traffic {

namespace {

using tcp_bits::kAck;
using tcp_bits::kFin;
using tcp_bits::kPush;
using tcp_bits::kSyn;

/// Draws are compared with these 16-bit fractions. A group has two segments of which one is
/// disturbed, hence twice the share of segments: 2 % reordered, 1 % lost, 1 % fragmented.
constexpr std::uint64_t kDrawRange = 1 << 16;
constexpr std::uint64_t kReorderedGroups = kDrawRange * 4 / 100;
constexpr std::uint64_t kLossyGroups = kDrawRange * 2 / 100;
constexpr std::uint64_t kFragmentedGroups = kDrawRange * 2 / 100;

}  // namespace

SegmentPlan HandshakePattern::next(TrafficTruth& truth) {
  const Conversation c = population_.conversation(connection_);
  switch (step_++) {
    case 0:
      ++truth.connections;
      return from_client(c, {0, 0}, 0, kSyn);
    case 1:
      return from_server(c, {1, 0}, 0, kSyn | kAck);
    default:
      step_ = 0;
      ++connection_;
      return from_client(c, {1, 1}, 0, kAck);
  }
}

BulkPattern::BulkPattern(const Population& population, const TrafficConfig& config)
    : population_(population),
      order_(population.count, population.seed),
      segment_(std::clamp(config.segment_bytes, kSmallestSegment, kLargestSegment)),
      kind_(config.kind) {}

BulkPattern::Mishap BulkPattern::drawn(std::uint64_t connection, std::uint64_t lap) const {
  const std::uint64_t draw = scatter(connection * 0x9e3779b97f4a7c15 + lap + ~population_.seed);
  const std::uint64_t share = draw % kDrawRange;
  const std::uint64_t which = draw >> 32;
  switch (kind_) {
    case TrafficKind::Reorder:
      if (share >= kReorderedGroups) return Mishap::None;
      return which % 2 == 0 ? Mishap::Swapped : Mishap::Delayed;
    case TrafficKind::Loss:
      if (share >= kLossyGroups) return Mishap::None;
      if (which % 4 == 0) return Mishap::NotCaptured;
      return which % 4 == 1 ? Mishap::Repeated : Mishap::Retransmitted;
    case TrafficKind::Fragments:
      // A short segment does not reach into a second fragment.
      if (share >= kFragmentedGroups || segment_ <= kFirstFragmentBytes) return Mishap::None;
      return which % 2 == 0 ? Mishap::Fragmented : Mishap::FragmentedBackwards;
    case TrafficKind::Small:
    case TrafficKind::Bulk:
    case TrafficKind::Http:
    case TrafficKind::SynFlood:
      break;
  }
  return Mishap::None;
}

/// The lap after a drawn mishap has none of its own: it repairs. Both laps derive this from the
/// same two draws, so nothing needs to be remembered.
BulkPattern::Mishap BulkPattern::mishap_of(std::uint64_t connection, std::uint64_t lap) const {
  if (lap > 0 && drawn(connection, lap - 1) != Mishap::None) return Mishap::None;
  return drawn(connection, lap);
}

void BulkPattern::emit_data(const Conversation& c, std::uint32_t position) {
  emit(from_server(c, {1, 1 + position}, segment_, kAck));
}

void BulkPattern::emit_ack(const Conversation& c, std::uint32_t position) {
  emit(from_client(c, {1, 1 + position}, 0, kAck));
}

void BulkPattern::emit_fragments(const Conversation& c, std::uint32_t position, Mishap mishap) {
  SegmentPlan plan = from_server(c, {1, 1 + position}, segment_, kAck);
  const bool backwards = mishap == Mishap::FragmentedBackwards;
  plan.part = backwards ? Part::LastFragment : Part::FirstFragment;
  emit(plan);
  plan.part = backwards ? Part::FirstFragment : Part::LastFragment;
  emit(plan);
}

void BulkPattern::emit_fresh(const Conversation& c, std::uint32_t position, Mishap mishap,
                             TrafficTruth& truth) {
  const std::uint32_t second = position + segment_;
  const std::uint32_t end = second + segment_;
  switch (mishap) {
    case Mishap::None:
    case Mishap::Repeated:
      emit_data(c, position);
      emit_data(c, second);
      return emit_ack(c, mishap == Mishap::Repeated ? second : end);
    case Mishap::Swapped:
      emit_data(c, second);
      emit_data(c, position);
      return emit_ack(c, end);
    case Mishap::Delayed:
    case Mishap::Retransmitted:
      truth.pending_bytes += segment_;
      emit_data(c, position);
      return emit_ack(c, second);
    case Mishap::NotCaptured:
      truth.gap_bytes += segment_;
      emit_data(c, position);
      return emit_ack(c, end);
    case Mishap::Fragmented:
    case Mishap::FragmentedBackwards:
      emit_data(c, position);
      emit_fragments(c, second, mishap);
      return emit_ack(c, end);
  }
}

/// The lap that repairs: `position` is its own first byte, the late segment ends there.
void BulkPattern::emit_late(const Conversation& c, std::uint32_t position, Mishap carried,
                            TrafficTruth& truth) {
  const std::uint32_t late = position - segment_;
  if (carried == Mishap::Repeated) {
    truth.duplicate_bytes += segment_;
  } else {
    truth.pending_bytes -= segment_;
  }
  emit_data(c, position);
  if (carried == Mishap::Delayed) {
    emit_data(c, late);
    emit_data(c, position + segment_);
  } else {  // the receiver asks twice, then it comes
    emit_data(c, position + segment_);
    emit_ack(c, late);
    emit_ack(c, late);
    emit_data(c, late);
  }
  emit_ack(c, position + 2 * segment_);
}

void BulkPattern::build_group(TrafficTruth& truth) {
  std::uint32_t index = order_.next();
  while (order_.lap() < first_lap_of(index)) index = order_.next();
  const std::uint64_t lap = order_.lap() - first_lap_of(index);
  const Conversation c = population_.conversation(index);
  const std::uint32_t position = static_cast<std::uint32_t>(lap) * 2 * segment_;
  next_ = size_ = 0;
  if (kind_ == TrafficKind::Bulk) return emit_fresh(c, position, Mishap::None, truth);
  const std::uint64_t connection = population_.first + index;
  const Mishap carried = lap == 0 ? Mishap::None : mishap_of(connection, lap - 1);
  if (carried == Mishap::Delayed || carried == Mishap::Retransmitted ||
      carried == Mishap::Repeated) {
    return emit_late(c, position, carried, truth);
  }
  emit_fresh(c, position, mishap_of(connection, lap), truth);
}

SegmentPlan HttpPattern::step(std::uint64_t index, std::uint32_t step, TrafficTruth& truth) const {
  const Conversation c = population_.conversation(index);
  constexpr std::uint32_t kAsked = 1 + kRequest;
  constexpr std::uint32_t kAnswered = 1 + kResponse + kResponseRest;
  switch (step) {
    case 0:
      ++truth.connections;
      return from_client(c, {0, 0}, 0, kSyn);
    case 1:
      return from_server(c, {1, 0}, 0, kSyn | kAck);
    case 2:
      return from_client(c, {1, 1}, 0, kAck);
    case 3:
      return from_client(c, {1, 1}, kRequest, kPush | kAck);
    case 4:
      return from_server(c, {kAsked, 1}, kResponse, kAck);
    case 5:
      return from_server(c, {kAsked, 1 + kResponse}, kResponseRest, kPush | kAck);
    case 6:
      return from_client(c, {kAsked, kAnswered}, 0, kAck);
    case 7:
      return from_client(c, {kAsked, kAnswered}, 0, kFin | kAck);
    case 8:
      return from_server(c, {kAsked + 1, kAnswered}, 0, kFin | kAck);
    default:
      return from_client(c, {kAsked + 1, kAnswered + 1}, 0, kAck);
  }
}

SegmentPlan HttpSetupPattern::next(TrafficTruth& truth) {
  while (step_ == slot_ % HttpPattern::kSteps) {
    ++slot_;
    step_ = 0;
  }
  return http_.step(slot_, step_++, truth);
}

std::uint64_t HttpSetupPattern::total() const {
  constexpr std::uint64_t kSteps = HttpPattern::kSteps;
  const std::uint64_t rounds = count_ / kSteps;
  const std::uint64_t rest = count_ % kSteps;
  return rounds * (kSteps * (kSteps - 1) / 2) + rest * (rest - 1) / 2;
}

SegmentPlan SynFloodPattern::syn(std::uint64_t n) const {
  // A bijection of 47 bits: 32 of address, 15 of port, so no source comes twice.
  constexpr std::uint64_t kMask = (std::uint64_t{1} << 47) - 1;
  constexpr std::uint32_t kTarget = 0xac1f'ff01;
  constexpr std::uint64_t kHighPorts = 0x8000;
  std::uint64_t x = ((n ^ seed_) * 0xd6e8feb86659fd93) & kMask;
  x ^= x >> 24;
  x = (x * 0xa0761d6478bd642f) & kMask;
  x ^= x >> 24;
  const std::uint64_t port = kHighPorts | (x & (kHighPorts - 1));
  return {.source = static_cast<std::uint32_t>(x >> kPortBits),
          .destination = kTarget,
          .ports = static_cast<std::uint32_t>(port << 16) | kServerPort,
          .seq = static_cast<std::uint32_t>(scatter(n)),
          .ack = 0,
          .payload = 0,
          .flags = kSyn,
          .part = Part::Whole};
}

}  // namespace flowloom::traffic
