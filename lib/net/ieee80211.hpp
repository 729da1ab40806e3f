// 802.11 aggregates: one frame that carries several datagrams (A-MSDU).
#pragma once

#include <cstdint>
#include <span>

#include "net/packet.hpp"

namespace flowloom {

/// An A-MSDU is at most 11454 bytes and a subframe at least 14 plus padding.
inline constexpr std::uint32_t kMaxAmsduSubframes = 64;

/// Splits an A-MSDU: writes a packet per subframe, each an Ethernet frame in the aggregate's own
/// bytes with the aggregate's stamp, clock and number, and returns how many. 0 for anything else:
/// such a packet is decoded as it is. decode() of an aggregate that nobody splits finds its first
/// subframe. Subframes that were not captured at all, or beyond parts.size(), are left out.
/// Preconditions: as for decode().
std::uint32_t split_amsdu(const Packet& packet, std::span<Packet> parts);

}  // namespace flowloom
