#include "io/pcapng_time.hpp"

#include <limits>

namespace flowloom {

namespace {
constexpr std::uint8_t kBinaryBit = 0x80;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr unsigned kNanosecondDigits = 9;
constexpr unsigned kDigitsOfUint64 = 19;  // 10^19 is the largest power that fits
constexpr std::int64_t kLongest = std::numeric_limits<std::int64_t>::max();

constexpr std::uint64_t power_of_ten(unsigned exponent) {
  std::uint64_t power = 1;
  for (unsigned i = 0; i < exponent; ++i) power *= 10;
  return power;
}
}  // namespace

TickScale::TickScale(std::uint8_t resolution) {
  const unsigned exponent = resolution & static_cast<std::uint8_t>(~kBinaryBit);
  if ((resolution & kBinaryBit) != 0) {
    kind_ = Kind::Binary;
    exponent_ = static_cast<std::uint8_t>(exponent);
  } else if (exponent <= kNanosecondDigits) {
    factor_ = power_of_ten(kNanosecondDigits - exponent);
  } else {
    kind_ = Kind::Fine;
    const unsigned digits = exponent - kNanosecondDigits;
    factor_ = digits <= kDigitsOfUint64 ? power_of_ten(digits) : 0;
  }
}

void TickScale::set_offset(std::int64_t seconds) {
  std::int64_t ns = 0;
  if (__builtin_mul_overflow(seconds, kNanosecondsPerSecond, &ns)) {
    ns = seconds > 0 ? kLongest : -kLongest;
  }
  offset_ = Duration{ns};
}

std::int64_t TickScale::fine_nanoseconds(std::uint64_t ticks) const {
  __extension__ using Wide = unsigned __int128;
  Wide ns = 0;
  switch (kind_) {
    case Kind::Coarse:
      ns = Wide{ticks} * factor_;
      break;
    case Kind::Fine:
      ns = factor_ == 0 ? 0 : ticks / factor_;
      break;
    case Kind::Binary:
      ns = (Wide{ticks} * kNanosecondsPerSecond) >> exponent_;
      break;
  }
  return ns > static_cast<Wide>(kLongest) ? kLongest : static_cast<std::int64_t>(ns);
}

}  // namespace flowloom
