// A segment as the bytes of TCP, with its options and a checksum over the finished bytes.
#pragma once

#include "perf/gen/segment.hpp"

#include <cstddef>
#include <cstdint>

namespace flowloom::gen {

inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::size_t kMaxTcpHeader = 60;

constexpr std::size_t address_bytes(Family family) {
  return family == Family::V4 ? 4 : 16;
}
/// Where the address begins as it stands in a header of its family.
inline const std::uint8_t* wire_address(Family family, const Address& address) {
  return address.data() + (address.size() - address_bytes(family));
}

/// Writes header, options and payload; returns how many bytes.
/// Preconditions: room for kMaxTcpHeader + segment.bytes at `tcp`.
std::size_t write_tcp(const Identity& identity, const Segment& segment, std::uint8_t* tcp);

}  // namespace flowloom::gen
