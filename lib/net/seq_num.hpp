// TCP sequence numbers (RFC 9293, section 3.4): points on a circle of 2^32. They have no total
// order, so there is no operator< here; the named comparisons hold for points less than 2^31 apart.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>

namespace flowloom {

class SeqNum {
 public:
  constexpr SeqNum() = default;
  explicit constexpr SeqNum(std::uint32_t host_order) : value_(host_order) {}

  [[nodiscard]] constexpr std::uint32_t value() const { return value_; }

  friend constexpr SeqNum operator+(SeqNum a, std::uint32_t n) { return SeqNum{a.value_ + n}; }
  friend constexpr SeqNum operator-(SeqNum a, std::uint32_t n) { return SeqNum{a.value_ - n}; }
  friend constexpr bool operator==(SeqNum, SeqNum) = default;

  /// Signed distance from this point to `other`: positive where `other` lies ahead.
  [[nodiscard]] constexpr std::int32_t distance_to(SeqNum other) const {
    return static_cast<std::int32_t>(other.value_ - value_);
  }
  [[nodiscard]] constexpr bool before(SeqNum other) const { return distance_to(other) > 0; }
  [[nodiscard]] constexpr bool at_or_before(SeqNum other) const { return distance_to(other) >= 0; }
  /// Whether this point lies in the half-open interval [first, first + length).
  [[nodiscard]] constexpr bool in_window(SeqNum first, std::uint32_t length) const {
    return value_ - first.value_ < length;
  }

 private:
  std::uint32_t value_ = 0;
};

static_assert(!std::totally_ordered<SeqNum>, "sequence numbers are circular");

}  // namespace flowloom
