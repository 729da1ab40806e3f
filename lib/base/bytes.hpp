// Views of bytes and unaligned big-endian loads. Knows nothing of any protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace flowloom {

/// Read-only bytes owned by somebody else; a view handed to a callback dies when the call returns.
using ByteView = std::span<const std::uint8_t>;

/// Loads an unaligned big-endian integer. Preconditions: the bytes are readable.
inline std::uint16_t load_be16(const std::uint8_t* p) {
  std::uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap16(v);
}

inline std::uint32_t load_be32(const std::uint8_t* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}

inline std::uint64_t load_be64(const std::uint8_t* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v);
}

inline void store_be32(std::uint8_t* p, std::uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(p, &value, sizeof value);
}

/// Loads an unaligned integer in the machine's byte order.
template <class Integer>
Integer load_native(const void* p) {
  Integer v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

}  // namespace flowloom
