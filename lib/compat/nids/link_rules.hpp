// Where libnids looks for the IP header in a frame: its link types, and what it checks of them.
#pragma once

#include <cstdint>
#include <optional>

#include <pcap/dlt.h>

#include "base/bytes.hpp"

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

/// The same, inline for what nearly all frames are.
inline std::optional<std::uint32_t> ip_header_of(int link_type, const FrameBytes& frame) {
  constexpr std::uint32_t kEthernetBytes = 14;
  constexpr std::uint32_t kTypeOffset = 12;
  constexpr std::uint16_t kTypeIpv4 = 0x0800;
  if (link_type == DLT_EN10MB && frame.captured >= kEthernetBytes &&
      load_be16(frame.data + kTypeOffset) == kTypeIpv4) [[likely]] {
    return kEthernetBytes;
  }
  return find_ip_header(link_type, frame);
}

}  // namespace flowloom::nids
