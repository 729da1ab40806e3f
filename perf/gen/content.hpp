// Pseudo-random numbers, and stream content as a pure function of (key, offset): a retransmission,
// an overlap and the ground truth all make the same bytes again without anything being kept.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace flowloom::gen {

/// SplitMix64: small, fast, and the same sequence everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() { return mixed(state_ += 0x9e3779b97f4a7c15); }
  /// Uniform in [0, bound), bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((Wide{next()} * bound) >> 64);
  }
  /// Uniform in [low, high].
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }
  /// True with the given probability.
  bool chance(double probability) {
    return static_cast<double>(next() >> 11) * 0x1p-53 < probability;
  }

  static std::uint64_t mixed(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

 private:
  __extension__ using Wide = unsigned __int128;

  std::uint64_t state_;
};

/// Writes the bytes [offset, offset + bytes) of the stream that `key` names.
inline void write_content(std::uint64_t key, std::uint64_t offset, std::uint8_t* out,
                          std::size_t bytes) {
  const auto word_at = [key](std::uint64_t index) {
    const std::uint64_t x = (key + index) * 0x9e3779b97f4a7c15;
    return (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
  };
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  while (bytes > 0) {
    const std::uint64_t word = word_at(offset / kWord);
    const std::size_t skip = offset % kWord;
    const std::size_t take = std::min(bytes, kWord - skip);
    if (take == kWord) {
      std::memcpy(out, &word, kWord);
    } else {
      const std::uint64_t shifted = word >> (8 * skip);
      std::memcpy(out, &shifted, take);
    }
    out += take;
    offset += take;
    bytes -= take;
  }
}

}  // namespace flowloom::gen
