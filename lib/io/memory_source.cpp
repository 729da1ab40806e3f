#include "io/memory_source.hpp"

#include <algorithm>

namespace flowloom {

MemorySource::MemorySource(const std::vector<MemoryFrame>& frames) {
  frames_.reserve(frames.size());
  for (const MemoryFrame& frame : frames) {
    const auto captured = static_cast<std::uint32_t>(frame.bytes.size());
    frames_.push_back({.stamp = frame.stamp,
                       .offset = bytes_.size(),
                       .captured = captured,
                       .wire_length = std::max(captured, frame.wire_length),
                       .link = frame.link});
    bytes_.insert(bytes_.end(), frame.bytes.begin(), frame.bytes.end());
  }
}

SourceState MemorySource::receive(Burst& burst) {
  burst.size = 0;
  const std::uint32_t limit = std::min(burst.limit, kBurstMax);
  while (burst.size < limit && next_ < frames_.size()) {
    const Frame& frame = frames_[next_++];
    Packet& packet = burst.packets[burst.size++];
    packet.frame = bytes_.data() + frame.offset;
    packet.stamp = frame.stamp;
    packet.clock = next_ < frames_.size() ? rule_.advance(frame.stamp, frames_[next_].stamp)
                                          : rule_.advance(frame.stamp);
    packet.number = next_;
    packet.captured = frame.captured;
    packet.wire_length = frame.wire_length;
    packet.flags = frame.captured < frame.wire_length ? packet_flags::kSnapped : std::uint8_t{0};
    packet.link = frame.link;
    packet.input = 0;
  }
  if (burst.size != 0) return SourceState::Packets;
  return next_ == frames_.size() ? SourceState::End : SourceState::Idle;
}

void MemorySource::release(Burst& burst) {
  if (burst.size != 0) released_ = burst.packets[burst.size - 1].number;
}

SourceStats MemorySource::stats() const {
  return {.missed = 0, .bad_timestamps = rule_.bad_timestamps()};
}

}  // namespace flowloom
