#include "base/copy.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "base/prefetch.hpp"

namespace flowloom {

namespace {

void copy_lines_sse2(std::uint8_t* to, const std::uint8_t* from, std::size_t lines) {
  for (; lines > 0; --lines, to += kCacheLine, from += kCacheLine) {
    auto* const out = reinterpret_cast<__m128i*>(to);
    const auto* const in = reinterpret_cast<const __m128i*>(from);
    for (int i = 0; i < 4; ++i) _mm_stream_si128(out + i, _mm_loadu_si128(in + i));
  }
}

__attribute__((target("avx512f"))) void copy_lines_avx512(std::uint8_t* to,
                                                          const std::uint8_t* from,
                                                          std::size_t lines) {
  for (; lines > 0; --lines, to += kCacheLine, from += kCacheLine) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
  }
}

using CopyLines = void (*)(std::uint8_t* to, const std::uint8_t* from, std::size_t lines);

CopyLines copy_lines_of(CpuLevel level) {
  return level >= CpuLevel::V4 ? copy_lines_avx512 : copy_lines_sse2;
}

void copy_past_caches_with(CopyLines copy_lines, std::uint8_t* to, const std::uint8_t* from,
                           std::size_t bytes) {
  const std::size_t to_border = -reinterpret_cast<std::uintptr_t>(to) % kCacheLine;
  const std::size_t head = std::min(bytes, to_border);
  const std::size_t lines = (bytes - head) / kCacheLine;
  const std::size_t tail = head + lines * kCacheLine;
  std::memcpy(to, from, head);
  copy_lines(to + head, from + head, lines);
  std::memcpy(to + tail, from + tail, bytes - tail);
}

const CopyLines kCopyLines = copy_lines_of(cpu_level());  // asked once, before any packet

}  // namespace

void copy_past_caches(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  copy_past_caches_with(kCopyLines, to, from, bytes);
}

void copy_past_caches_at(CpuLevel level, std::uint8_t* to, const std::uint8_t* from,
                         std::size_t bytes) {
  copy_past_caches_with(copy_lines_of(level), to, from, bytes);
}

}  // namespace flowloom
