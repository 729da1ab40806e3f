// About how many different things there were, in 128 bytes, however many there are: HyperLogLog
// (Flajolet, Fusy, Gandouet, Meunier, 2007) with 128 registers, standard error 9 %.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace flowloom {

class Spread {
 public:
  /// Preconditions: `hash` is evenly distributed.
  void add(std::uint64_t hash) {
    std::uint8_t& place = ranks_[hash >> (64 - kIndexBits)];
    const auto rank = static_cast<std::uint8_t>(std::countl_zero(hash << kIndexBits | kEnd) + 1);
    place = std::max(place, rank);
  }
  void join(const Spread& other) {
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      ranks_[i] = std::max(ranks_[i], other.ranks_[i]);
    }
  }

  [[nodiscard]] std::uint64_t estimate() const {
    constexpr double kAlpha = 0.7213 / (1 + 1.079 / kRegisters);
    double sum = 0;
    double unused = 0;
    for (const std::uint8_t rank : ranks_) {
      sum += std::ldexp(1.0, -rank);
      unused += rank == 0 ? 1 : 0;
    }
    const double raw = kAlpha * kRegisters * kRegisters / sum;
    // Few leave registers untouched, and how many tells more.
    const bool few = raw <= 2.5 * kRegisters && unused > 0;
    return static_cast<std::uint64_t>(
        std::llround(few ? kRegisters * std::log(kRegisters / unused) : raw));
  }

 private:
  static constexpr unsigned kIndexBits = 7;
  static constexpr double kRegisters = 1U << kIndexBits;
  static constexpr std::uint64_t kEnd = std::uint64_t{1} << (kIndexBits - 1);

  std::array<std::uint8_t, std::size_t{1} << kIndexBits> ranks_{};
};

}  // namespace flowloom
