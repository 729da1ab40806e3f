#include "net/checksum.hpp"

#include <immintrin.h>

#include <cstddef>

namespace flowloom {

namespace {

// The vector loops add whole 64-bit words modulo 2^64 and, beside them, the upper halves exactly;
// what the lower halves add up to follows from the two, one instruction less per word.
ChecksumSum sum_of_halves(std::uint64_t words, std::uint64_t upper_halves) {
  return words - (upper_halves << 32) + upper_halves;
}

std::uint64_t add_lanes(__m128i lanes) {
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(lanes)) +
         static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(lanes, lanes)));
}

ChecksumSum sum_sse2(const std::uint8_t* p, std::size_t bytes) {
  __m128i words = _mm_setzero_si128();
  __m128i uppers = _mm_setzero_si128();
  __m128i more_words = _mm_setzero_si128();
  __m128i more_uppers = _mm_setzero_si128();
  for (; bytes >= 32; p += 32, bytes -= 32) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16));
    words = _mm_add_epi64(words, a);
    uppers = _mm_add_epi64(uppers, _mm_srli_epi64(a, 32));
    more_words = _mm_add_epi64(more_words, b);
    more_uppers = _mm_add_epi64(more_uppers, _mm_srli_epi64(b, 32));
  }
  const ChecksumSum sum = sum_of_halves(add_lanes(_mm_add_epi64(words, more_words)),
                                        add_lanes(_mm_add_epi64(uppers, more_uppers)));
  return sum + checksum_sum_short(p, bytes);
}

__attribute__((target("avx2"))) ChecksumSum sum_avx2(const std::uint8_t* p, std::size_t bytes) {
  __m256i words = _mm256_setzero_si256();
  __m256i uppers = _mm256_setzero_si256();
  __m256i more_words = _mm256_setzero_si256();
  __m256i more_uppers = _mm256_setzero_si256();
  for (; bytes >= 64; p += 64, bytes -= 64) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
    words = _mm256_add_epi64(words, a);
    uppers = _mm256_add_epi64(uppers, _mm256_srli_epi64(a, 32));
    more_words = _mm256_add_epi64(more_words, b);
    more_uppers = _mm256_add_epi64(more_uppers, _mm256_srli_epi64(b, 32));
  }
  words = _mm256_add_epi64(words, more_words);
  uppers = _mm256_add_epi64(uppers, more_uppers);
  const __m128i words_sum =
      _mm_add_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  const __m128i uppers_sum =
      _mm_add_epi64(_mm256_castsi256_si128(uppers), _mm256_extracti128_si256(uppers, 1));
  return sum_of_halves(add_lanes(words_sum), add_lanes(uppers_sum)) +
         checksum_sum_short(p, bytes);
}

// The build's own instruction set stays at x86-64-v2; this one loop asks the processor.
const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;

}  // namespace

ChecksumSum checksum_sum_long(const std::uint8_t* p, std::size_t bytes) {
  return kHasAvx2 ? sum_avx2(p, bytes) : sum_sse2(p, bytes);
}

}  // namespace flowloom
