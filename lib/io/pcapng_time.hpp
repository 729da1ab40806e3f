// Time stamps of pcapng interfaces: ticks of a power of ten or of two, with an offset in seconds.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace flowloom {

/// How an interface counts time. Any values are possible: they come from hostile files.
class TickScale {
 public:
  /// Microseconds, as where no option says otherwise.
  TickScale() : TickScale(kMicroseconds) {}

  /// `resolution` as in if_tsresol: 10^-n, or 2^-n with the top bit set.
  explicit TickScale(std::uint8_t resolution);

  /// if_tsoffset, in seconds.
  void set_offset(std::int64_t seconds);

  /// Saturates where the result does not fit.
  [[nodiscard]] Timestamp stamp(std::uint64_t ticks) const {
    std::int64_t ns = 0;
    if (kind_ != Kind::Coarse || __builtin_mul_overflow(ticks, factor_, &ns)) [[unlikely]] {
      ns = fine_nanoseconds(ticks);
    }
    return saturating_add(from_nanoseconds(ns), offset_);
  }

 private:
  static constexpr std::uint8_t kMicroseconds = 6;

  enum class Kind : std::uint8_t { Coarse, Fine, Binary };
  [[nodiscard]] std::int64_t fine_nanoseconds(std::uint64_t ticks) const;

  Kind kind_ = Kind::Coarse;
  std::uint8_t exponent_ = 0;  // of two
  std::uint64_t factor_ = 1;   // Coarse: nanoseconds a tick; Fine: ticks a nanosecond
  Duration offset_{0};
};

}  // namespace flowloom
