// Where libnids looks for the IP header in a frame: its link types, and what it checks of them.
#pragma once

#include <cstdint>
#include <optional>

namespace flowloom::nids {

/// Bytes of one frame that were captured, and its length on the wire.
struct FrameBytes {
  const std::uint8_t* data;
  std::uint32_t captured;
  std::uint32_t wire;
};

/// Whether frames of this type (a DLT_ number) can be read at all.
bool link_type_is_known(int link_type);

/// What libnids adds to the memory it charges for a packet of this link type.
int device_addon(int link_type);

/// Offset of what is to be read as an IP header, nothing where the frame is of no interest. May lie
/// beyond the captured bytes. Preconditions: link_type_is_known(link_type).
std::optional<std::uint32_t> find_ip_header(int link_type, const FrameBytes& frame);

}  // namespace flowloom::nids
