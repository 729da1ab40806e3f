// The internet checksum (RFC 1071): ones' complement sums over buffers and pseudo-headers.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"

namespace flowloom {

/// A sum of 16-bit words as they lie in memory, to be folded later. Sums of pieces may be added,
/// where every piece but the last has an even number of bytes. Byte order does not matter before
/// the fold (RFC 1071, 2.B), so nothing is swapped on the way.
using ChecksumSum = std::uint64_t;

/// The sum of a buffer of less than 2^32 bytes; an odd last byte counts as if a zero followed.
ChecksumSum checksum_sum(ByteView bytes);

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
  constexpr std::uint64_t kLowHalf = 0xffffffff;
  const auto a = load_native<std::uint64_t>(p);
  const auto b = load_native<std::uint64_t>(p + 8);
  const auto c = load_native<std::uint32_t>(p + 16);
  return (a & kLowHalf) + (a >> 32) + (b & kLowHalf) + (b >> 32) + c;
}

/// The sum of a pseudo-header but for its length field (RFC 9293, 3.1; RFC 8200, 8.1).
/// `addresses` are source and destination as they lie in the IP header.
ChecksumSum pseudo_header_sum(ByteView addresses, std::uint8_t protocol);

/// What a length field of a pseudo-header adds.
constexpr ChecksumSum pseudo_length_sum(std::uint32_t length) {
  return ChecksumSum{__builtin_bswap16(static_cast<std::uint16_t>(length >> 16))} +
         __builtin_bswap16(static_cast<std::uint16_t>(length));
}

}  // namespace flowloom
