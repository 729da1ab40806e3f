#include "perf/traffic/traffic_source.hpp"

#include "perf/traffic/frame_writer.hpp"

#include <algorithm>
#include <new>

namespace flowloom::traffic {

namespace {

constexpr std::size_t kCacheLine = 64;

constexpr bool has_small_frames_only(TrafficKind kind) {
  return kind == TrafficKind::Small || kind == TrafficKind::SynFlood;
}

/// Buffers for the largest frame of the kind. An odd number of cache lines, so that the headers of
/// successive frames do not fall into a few sets of the first-level cache.
std::size_t stride_of(const TrafficConfig& config) {
  if (has_small_frames_only(config.kind)) return kCacheLine;
  const std::size_t lines = (kHeaderBytes + kLargestSegment + kCacheLine - 1) / kCacheLine;
  return (lines | 1) * kCacheLine;
}

}  // namespace

std::optional<TrafficKind> traffic_kind_from_name(std::string_view name) {
  const auto* found = std::find(kTrafficNames.begin(), kTrafficNames.end(), name);
  if (found == kTrafficNames.end()) return std::nullopt;
  return static_cast<TrafficKind>(found - kTrafficNames.begin());
}

std::string_view traffic_name(TrafficKind kind) {
  return kTrafficNames[static_cast<std::size_t>(kind)];
}

FrameBuffers::FrameBuffers(std::size_t count, std::size_t stride) : count_(count), stride_(stride) {
  data_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kCacheLine, count * stride)));
  if (data_ == nullptr) throw std::bad_alloc();
  for (std::size_t i = 0; i < count; ++i) prepare_frame_buffer((*this)[i], stride);
}

Population TrafficSource::population_of(const TrafficConfig& config) {
  // Queues take their connections from far apart, so http's new tuples never meet another queue's.
  constexpr unsigned kConnectionsPerQueueBits = 31;
  return {.first = std::uint64_t{config.queue} << kConnectionsPerQueueBits,
          .count = std::max(config.flows, 1U),
          .seed = scatter(config.seed)};
}

TrafficSource::Setup TrafficSource::setup_of(const TrafficConfig& config) {
  if (config.kind == TrafficKind::Http) return HttpSetupPattern(population_of(config));
  return HandshakePattern(population_of(config));
}

TrafficSource::Timed TrafficSource::timed_of(const TrafficConfig& config) {
  switch (config.kind) {
    case TrafficKind::Small:
      return SmallPattern(population_of(config));
    case TrafficKind::Http:
      return HttpPattern(population_of(config));
    case TrafficKind::SynFlood:
      return SynFloodPattern(population_of(config));
    case TrafficKind::Bulk:
    case TrafficKind::Reorder:
    case TrafficKind::Loss:
    case TrafficKind::Fragments:
      break;
  }
  return BulkPattern(population_of(config), config);
}

TrafficSource::TrafficSource(const TrafficConfig& config)
    : config_(config),
      stride_(stride_of(config)),
      setup_(setup_of(config)),
      timed_(timed_of(config)),
      setup_packets_(std::visit([](const auto& p) { return p.total(); }, setup_)),
      recycled_(std::max(config.frame_slots, 1U), stride_) {}

std::uint64_t TrafficSource::left_of_phase(std::uint64_t wanted) const {
  if (made_ < setup_packets_) return std::min(wanted, setup_packets_ - made_);
  const std::uint64_t timed = made_ - setup_packets_;
  if (timed < config_.packets) return std::min(wanted, config_.packets - timed);
  const auto* bulk = std::get_if<BulkPattern>(&timed_);
  return bulk == nullptr ? 0 : std::min<std::uint64_t>(wanted, bulk->unfinished());
}

template <class Pattern>
void TrafficSource::make_with(Pattern& pattern, std::span<Packet> packets,
                              const FrameBuffers& buffers, std::size_t first_buffer) {
  const std::uint8_t flags = config_.checksums == ChecksumMark::VerifiedByNic
                                 ? packet_flags::kChecksumGood
                                 : std::uint8_t{0};
  std::size_t buffer = first_buffer;
  Timestamp stamp = config_.start + config_.packet_interval * static_cast<std::int64_t>(made_);
  for (Packet& packet : packets) {
    const SegmentPlan plan = pattern.next(truth_);
    std::uint8_t* const frame = buffers[buffer];
    if (++buffer == buffers.count()) buffer = 0;
    const std::uint32_t bytes = write_frame(frame, plan);
    packet.frame = frame;
    packet.stamp = stamp;
    packet.clock = stamp;
    packet.number = ++made_;
    packet.captured = bytes;
    packet.wire_length = bytes;
    packet.flags = flags;
    packet.link = LinkType::Ethernet;
    packet.input = config_.queue;
    stamp += config_.packet_interval;
    truth_.frame_bytes += bytes;
    if (plan.part != Part::LastFragment) truth_.payload_bytes += plan.payload;
    if (plan.part != Part::Whole) ++truth_.fragments;
  }
  truth_.packets += packets.size();
}

void TrafficSource::make(std::span<Packet> packets, const FrameBuffers& buffers,
                         std::size_t first_buffer) {
  const auto make_all = [&](auto& pattern) { make_with(pattern, packets, buffers, first_buffer); };
  if (made_ < setup_packets_) {
    std::visit(make_all, setup_);
  } else {
    std::visit(make_all, timed_);
  }
}

std::uint32_t TrafficSource::hand_out_prepared(Burst& burst) {
  const std::size_t size =
      std::min<std::size_t>(std::min(burst.limit, kBurstMax), prepared_.size() - prepared_next_);
  const auto first = prepared_.begin() + static_cast<std::ptrdiff_t>(prepared_next_);
  std::copy_n(first, size, burst.packets.begin());
  prepared_next_ += size;
  if (prepared_next_ > prepared_seen_) {
    handed_over_ += prepared_next_ - prepared_seen_;
    prepared_seen_ = prepared_next_;
  }
  return static_cast<std::uint32_t>(size);
}

SourceState TrafficSource::receive(Burst& burst) {
  burst.size = 0;
  if (prepared_next_ < prepared_.size()) {
    burst.size = hand_out_prepared(burst);
    in_use_ += burst.size;
    return SourceState::Packets;
  }
  std::uint64_t size = left_of_phase(std::min(burst.limit, kBurstMax));
  if (size == 0) return SourceState::End;
  const std::uint64_t out = std::min<std::uint64_t>(in_use_, recycled_.count());
  size = std::min<std::uint64_t>(size, recycled_.count() - out);
  if (size == 0) return SourceState::Idle;
  make(std::span(burst.packets.data(), size), recycled_, next_buffer_);
  next_buffer_ = (next_buffer_ + size) % recycled_.count();
  burst.size = static_cast<std::uint32_t>(size);
  in_use_ += size;
  handed_over_ += size;
  return SourceState::Packets;
}

void TrafficSource::release(Burst& burst) {
  in_use_ -= std::min<std::uint64_t>(in_use_, burst.size);
  burst.size = 0;
}

// The buffers of packets that may be read yet are the last ones before those of the next packets.
ByteView TrafficSource::keep_released(std::uint64_t packets, FrameKeeper&) {
  kept_ = packets;
  ahead_ = FrameBuffers(kept_ + config_.ahead_max, stride_);
  return ahead_.memory();
}

std::size_t TrafficSource::prepare(std::size_t packets) {
  if (kept_ > 0) packets = std::min<std::size_t>(packets, config_.ahead_max);
  const auto size = static_cast<std::size_t>(left_of_phase(packets));
  if (ahead_.count() < size) ahead_ = FrameBuffers(size, stride_);
  prepared_.resize(size);
  if (size > 0) {
    make(prepared_, ahead_, next_ahead_);
    next_ahead_ = (next_ahead_ + size) % ahead_.count();
  }
  prepared_next_ = prepared_seen_ = 0;
  return size;
}

void TrafficSource::rewind() {
  prepared_next_ = 0;
}

void TrafficSource::end() {
  const std::uint64_t timed = made_ - std::min(made_, setup_packets_);
  config_.packets = std::min(config_.packets, timed);
}

}  // namespace flowloom::traffic
