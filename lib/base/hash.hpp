// Keyed 64-bit mixing. The seed is drawn at start, so whoever sends the packets cannot choose
// colliding keys (Crosby and Wallach, 2003).
#pragma once

#include <cstdint>

namespace flowloom {

/// Secret of one process; two independent words.
struct HashSeed {
  std::uint64_t a = 0x9e3779b97f4a7c15;
  std::uint64_t b = 0xd1b54a32d192ed03;
};

/// Folds the 128-bit product of a and b: one multiplication that spreads every input bit.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Product = unsigned __int128;
  const Product product = static_cast<Product>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace flowloom
