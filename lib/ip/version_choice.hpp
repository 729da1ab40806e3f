// Which version of an IPv4 datagram its host took, where fragments contradicted each other: the TCP
// checksum may tell. Decides once, when the datagram is whole; keeps nothing.
#pragma once

#include <cstdint>
#include <span>

#include "ip/fragment_map.hpp"

namespace flowloom {

/// Contested runs of bytes of which every combination is tried; of more, all are replaced or none,
/// so that a hostile datagram costs no more than its length.
inline constexpr std::uint32_t kMaxDoubts = 4;

/// `datagram` is as the policy has it. Where its TCP checksum is wrong, and exactly one choice
/// among the contested runs makes it right, those losers are put in and the result is true.
/// A run whose both versions have the same sum stays as the policy has it.
/// Preconditions: whole datagram of IPv4 with TCP; the units of `losers` lie within its data.
bool choose_by_checksum(std::span<std::uint8_t> datagram, std::uint32_t header_bytes,
                        const FragmentStore& store, const FragmentMap& losers);

}  // namespace flowloom
