// Memory that will be needed soon, asked for while something else is done.
#pragma once

#include <cstddef>

namespace flowloom {

/// One cache line of every machine that DPDK runs on but ppc64.
inline constexpr std::size_t kCacheLine = 64;

enum class PrefetchFor : int { Read = 0, Write = 1 };

/// Fetches the line of `address`, which need not be mapped. GCC takes a function that does nothing
/// but __builtin_prefetch() for one without effect and drops the calls to it; the empty statement
/// keeps them.
template <PrefetchFor Use = PrefetchFor::Read>
inline void prefetch_line(const void* address) {
  __builtin_prefetch(address, static_cast<int>(Use));
  asm volatile("");
}

/// Fetches every line of an object, two where a small one lies across their border.
template <PrefetchFor Use = PrefetchFor::Read, class T>
inline void prefetch_object(const T& object) {
  const auto* bytes = reinterpret_cast<const char*>(&object);
  for (std::size_t at = 0; at < sizeof(T); at += kCacheLine) prefetch_line<Use>(bytes + at);
  if constexpr (alignof(T) < kCacheLine) prefetch_line<Use>(bytes + sizeof(T) - 1);
}

}  // namespace flowloom
