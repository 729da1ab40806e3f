#include "net/checksum.hpp"

#include <immintrin.h>

#include <array>
#include <cstddef>

namespace flowloom {

namespace {

// The vector loops add whole 64-bit words modulo 2^64 and, beside them, the upper halves exactly;
// what the lower halves add up to follows from the two, one instruction less per word.
//
// The lengths of segments follow no pattern that a processor could predict, so nothing branches on
// what is left behind the last whole vector: it is the vector that ends where the buffer ends, with
// what was added already masked out. Where an odd number of bytes is left, that vector begins
// between the two bytes of a 16-bit word: its sum counts 256 times (RFC 1071, 2.B: a byte swap).

// Bytes of zeros, then as many of ones.
constexpr std::size_t kMaskReach = 32;
constexpr auto kLastBytes = [] {
  std::array<std::uint8_t, 2 * kMaskReach> bytes{};
  for (std::size_t i = kMaskReach; i < bytes.size(); ++i) bytes[i] = 0xff;
  return bytes;
}();

/// Where a mask of the last `left` bytes of a vector of `width` begins.
const std::uint8_t* mask_of_last(std::size_t left, std::size_t width) {
  return kLastBytes.data() + kMaskReach + left - width;
}

ChecksumSum swapped_if_odd(ChecksumSum sum, std::size_t left) {
  return std::uint64_t{checksum_fold(sum)} << (8 * (left & 1));
}

__m128i load128(const std::uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

/// The sum of all lanes' halves.
ChecksumSum add_halves(__m128i words, __m128i uppers) {
  const __m128i sums =
      _mm_add_epi64(_mm_sub_epi64(words, _mm_slli_epi64(uppers, 32)), uppers);
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(sums)) +
         static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(sums, sums)));
}

ChecksumSum sum_sse2(const std::uint8_t* p, std::size_t bytes) {
  constexpr std::size_t kWidth = sizeof(__m128i);
  __m128i words = _mm_setzero_si128();
  __m128i uppers = _mm_setzero_si128();
  for (; bytes >= kWidth; p += kWidth, bytes -= kWidth) {
    const __m128i a = load128(p);
    words = _mm_add_epi64(words, a);
    uppers = _mm_add_epi64(uppers, _mm_srli_epi64(a, 32));
  }
  const __m128i last =
      _mm_and_si128(load128(p + bytes - kWidth), load128(mask_of_last(bytes, kWidth)));
  return add_halves(words, uppers) +
         swapped_if_odd(add_halves(last, _mm_srli_epi64(last, 32)), bytes);
}

__attribute__((target("avx2"))) __m256i load256(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

__attribute__((target("avx2"))) ChecksumSum add_halves(__m256i words, __m256i uppers) {
  return add_halves(
      _mm_add_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)),
      _mm_add_epi64(_mm256_castsi256_si128(uppers), _mm256_extracti128_si256(uppers, 1)));
}

__attribute__((target("avx2"))) ChecksumSum sum_avx2(const std::uint8_t* p, std::size_t bytes) {
  constexpr std::size_t kWidth = sizeof(__m256i);
  __m256i words = _mm256_setzero_si256();
  __m256i uppers = _mm256_setzero_si256();
  for (; bytes >= kWidth; p += kWidth, bytes -= kWidth) {
    const __m256i a = load256(p);
    words = _mm256_add_epi64(words, a);
    uppers = _mm256_add_epi64(uppers, _mm256_srli_epi64(a, 32));
  }
  const __m256i last =
      _mm256_and_si256(load256(p + bytes - kWidth), load256(mask_of_last(bytes, kWidth)));
  return add_halves(words, uppers) +
         swapped_if_odd(add_halves(last, _mm256_srli_epi64(last, 32)), bytes);
}

// Masked loads need no such care: what is left begins at an even place. Intrinsics in their masked
// forms, with a mask of all, because g++ 12 warns about its own plain ones.
__attribute__((target("avx512f,avx512bw"))) ChecksumSum sum_avx512(const std::uint8_t* p,
                                                                   std::size_t bytes) {
  constexpr std::size_t kWidth = sizeof(__m512i);
  constexpr __mmask8 kAll = 0xff;
  __m512i words = _mm512_setzero_si512();
  __m512i uppers = _mm512_setzero_si512();
  for (; bytes > kWidth; p += kWidth, bytes -= kWidth) {
    const __m512i a = _mm512_loadu_si512(p);
    words = _mm512_add_epi64(words, a);
    uppers = _mm512_add_epi64(uppers, _mm512_maskz_srli_epi64(kAll, a, 32));
  }
  const __m512i last = _mm512_maskz_loadu_epi8(~std::uint64_t{0} >> (kWidth - bytes), p);
  words = _mm512_add_epi64(words, last);
  uppers = _mm512_add_epi64(uppers, _mm512_maskz_srli_epi64(kAll, last, 32));
  alignas(kWidth) std::uint8_t lanes[2 * kWidth];
  _mm512_store_si512(lanes, words);
  _mm512_store_si512(lanes + kWidth, uppers);
  return add_halves(_mm256_add_epi64(load256(lanes), load256(lanes + kWidth / 2)),
                    _mm256_add_epi64(load256(lanes + kWidth), load256(lanes + kWidth * 3 / 2)));
}

__attribute__((target("avx2"))) ChecksumSum sum_avx2_or_sse2(const std::uint8_t* p,
                                                              std::size_t bytes) {
  return bytes >= sizeof(__m256i) ? sum_avx2(p, bytes) : sum_sse2(p, bytes);
}

using Sum = ChecksumSum (*)(const std::uint8_t* p, std::size_t bytes);

Sum sum_of(CpuLevel level) {
  if (level >= CpuLevel::V4) return sum_avx512;
  if (level >= CpuLevel::V3) return sum_avx2_or_sse2;
  return sum_sse2;
}

const Sum kSum = sum_of(cpu_level());  // asked once, before any packet

}  // namespace

ChecksumSum checksum_sum_at(CpuLevel level, const std::uint8_t* p, std::size_t bytes) {
  return sum_of(level)(p, bytes);
}

ChecksumSum checksum_sum_long(const std::uint8_t* p, std::size_t bytes) { return kSum(p, bytes); }

}  // namespace flowloom
