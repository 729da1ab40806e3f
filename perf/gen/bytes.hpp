// Numbers as bytes on the wire, and the internet checksum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace flowloom::gen {

inline void store16(std::uint8_t* p, std::uint64_t v) {
  p[0] = static_cast<std::uint8_t>(v >> 8);
  p[1] = static_cast<std::uint8_t>(v);
}

inline void store32(std::uint8_t* p, std::uint64_t v) {
  store16(p, v >> 16);
  store16(p + 2, v);
}

/// One's complement sum in the machine's byte order, which RFC 1071 (section 2, B) allows.
inline std::uint64_t sum_of(const std::uint8_t* p, std::size_t bytes, std::uint64_t sum = 0) {
  for (; bytes >= 4; p += 4, bytes -= 4) {
    std::uint32_t word;
    std::memcpy(&word, p, 4);
    sum += word;
  }
  std::uint32_t rest = 0;
  std::memcpy(&rest, p, bytes);
  return sum + rest;
}

/// Stores the complement of the folded sum.
inline void store_checksum(std::uint8_t* p, std::uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  const auto value = static_cast<std::uint16_t>(~sum);
  std::memcpy(p, &value, sizeof value);
}

}  // namespace flowloom::gen
