// The internet checksum (RFC 1071): ones' complement sums over buffers and pseudo-headers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/cpu_level.hpp"

namespace flowloom {

/// A sum of 16-bit words as they lie in memory, to be folded later. Sums of pieces may be added,
/// where every piece but the last has an even number of bytes. Byte order does not matter before
/// the fold (RFC 1071, 2.B), so nothing is swapped on the way.
using ChecksumSum = std::uint64_t;

/// What one 64-bit word adds: as 32-bit addends, which the fold makes equal to 16-bit ones
/// (RFC 1071, 2.C).
constexpr ChecksumSum checksum_word(std::uint64_t word) {
  return (word & 0xffffffff) + (word >> 32);
}

/// checksum_sum() word by word, for short buffers.
inline ChecksumSum checksum_sum_short(const std::uint8_t* p, std::size_t bytes) {
  ChecksumSum sum = 0;
  for (; bytes >= 8; p += 8, bytes -= 8) sum += checksum_word(load_native<std::uint64_t>(p));
  if (bytes >= 4) {
    sum += load_native<std::uint32_t>(p);
    p += 4;
    bytes -= 4;
  }
  if (bytes >= 2) {
    sum += load_native<std::uint16_t>(p);
    p += 2;
    bytes -= 2;
  }
  return bytes != 0 ? sum + *p : sum;
}

/// checksum_sum() with vectors: those of cpu_level(), or of a level that the processor has.
/// Preconditions: at least kVectorBytesMin bytes.
ChecksumSum checksum_sum_long(const std::uint8_t* p, std::size_t bytes);
ChecksumSum checksum_sum_at(CpuLevel level, const std::uint8_t* p, std::size_t bytes);

/// The least that the narrowest vectors take.
inline constexpr std::size_t kVectorBytesMin = 16;

/// The sum of a buffer of less than 2^32 bytes; an odd last byte counts as if a zero followed.
inline ChecksumSum checksum_sum(ByteView bytes) {
  if (bytes.size() < kVectorBytesMin) return checksum_sum_short(bytes.data(), bytes.size());
  return checksum_sum_long(bytes.data(), bytes.size());
}

/// Folds a sum to 16 bits, in the order of memory: not complemented.
constexpr std::uint16_t checksum_fold(ChecksumSum sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// Whether a sum that includes the checksum field is that of an undamaged header or segment: its
/// fold is 0xffff, that is, it is a multiple of 0xffff other than 0.
constexpr bool checksum_is_good(ChecksumSum sum) {
  return sum != 0 && sum % 0xffff == 0;
}

/// The sum of an IPv4 header without options, the common case, inline.
/// Preconditions: 20 readable bytes.
inline ChecksumSum checksum_sum_of_20(const std::uint8_t* p) {
  return checksum_word(load_native<std::uint64_t>(p)) +
         checksum_word(load_native<std::uint64_t>(p + 8)) + load_native<std::uint32_t>(p + 16);
}

/// The sum of a pseudo-header but for its length field (RFC 9293, 3.1; RFC 8200, 8.1).
/// `addresses` are source and destination as they lie in the IP header: 8 or 32 bytes.
inline ChecksumSum pseudo_header_sum(ByteView addresses, std::uint8_t protocol) {
  ChecksumSum sum = std::uint64_t{protocol} << 8;  // in the order of memory: a zero, then this
  for (std::size_t i = 0; i < addresses.size(); i += sizeof(std::uint64_t)) {
    sum += checksum_word(load_native<std::uint64_t>(addresses.data() + i));
  }
  return sum;
}

/// What a length field of a pseudo-header adds: as one 32-bit addend.
constexpr ChecksumSum pseudo_length_sum(std::uint32_t length) {
  return __builtin_bswap32(length);
}

}  // namespace flowloom
