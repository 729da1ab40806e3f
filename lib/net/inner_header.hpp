// Whether what stands at some place of a frame looks like the beginning of a packet. Tunnels over
// UDP are recognised by a port, and ports are only a habit: before a datagram is taken for a
// tunnel, what it would carry has to be sound. Pure looks ahead; nothing moves.
#pragma once

#include <cstdint>

#include "net/frame_walk.hpp"

namespace flowloom {

/// A part of a frame that ends where the datagram does that carries it.
struct InnerBytes {
  const std::uint8_t* frame;
  std::uint32_t captured;  ///< offset in the frame where what was captured ends
  std::uint32_t end;       ///< offset in the frame where the datagram ends
  bool cut;                ///< bytes may be missing at the end

  [[nodiscard]] bool has(std::uint32_t at, std::uint32_t bytes) const {
    return at <= captured && captured - at >= bytes && at <= end && end - at >= bytes;
  }
  [[nodiscard]] std::uint8_t u8(std::uint32_t at) const { return frame[at]; }
  [[nodiscard]] std::uint16_t u16(std::uint32_t at) const { return load_be16(frame + at); }
  [[nodiscard]] std::uint32_t u24(std::uint32_t at) const {
    return std::uint32_t{frame[at]} << 16 | load_be16(frame + at + 1);
  }
  [[nodiscard]] std::uint32_t u32(std::uint32_t at) const { return load_be32(frame + at); }
};

/// What the walk has before it, up to `end`.
inline InnerBytes inner_bytes(const FrameWalk& walk, std::uint32_t end) {
  return {walk.frame, walk.captured, end, walk.cut};
}

/// An IP header of either version whose lengths agree with the space it is in.
bool ip_stands_at(const InnerBytes& inner, std::uint32_t at);

/// An Ethernet header, VLAN tags or none, and such an IP header; or a shim that can be followed.
bool ethernet_stands_at(const InnerBytes& inner, std::uint32_t at);

/// A label stack, and such an IP header or Ethernet below it.
bool labels_stand_at(const InnerBytes& inner, std::uint32_t at);

/// What an EtherType announces, looked at as above.
bool payload_stands_at(const InnerBytes& inner, std::uint32_t at, std::uint16_t ether_type);

/// The layer that an EtherType names, or Done.
Layer layer_of_ether_type(std::uint16_t type);

}  // namespace flowloom
