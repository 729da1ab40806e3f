#include "api/feed_source.hpp"

#include <algorithm>
#include <limits>

namespace flowloom {

SourceState FeedSource::receive(Burst& burst) {
  burst.size = 0;
  const std::size_t count = std::min<std::size_t>({burst.limit, kBurstMax, frames_.size()});
  for (const CapturedFrame& frame : frames_.first(count)) {
    Packet& packet = burst.packets[burst.size++];
    // Longer than any frame there is: what follows was never on a wire.
    const std::size_t captured =
        std::min<std::size_t>(frame.bytes.size(), std::numeric_limits<std::uint32_t>::max());
    packet.frame = frame.bytes.data();
    packet.stamp = Timestamp{frame.stamp};
    packet.clock = rule_.advance(packet.stamp);
    packet.number = ++number_;
    packet.captured = static_cast<std::uint32_t>(captured);
    packet.wire_length = std::max(packet.captured, frame.wire_length);
    packet.flags = packet.captured < packet.wire_length ? packet_flags::kSnapped : std::uint8_t{0};
    packet.link = link_type_from_number(frame.link_type);
    packet.input = 0;
  }
  frames_ = frames_.subspan(count);
  return count == 0 ? SourceState::Idle : SourceState::Packets;
}

}  // namespace flowloom
