// Which way a segment travels within its connection.
#pragma once

#include <cstdint>

namespace flowloom {

enum class Direction : std::uint8_t { OriginatorToResponder = 0, ResponderToOriginator = 1 };

constexpr Direction reverse(Direction d) {
  return d == Direction::OriginatorToResponder ? Direction::ResponderToOriginator
                                               : Direction::OriginatorToResponder;
}

/// Array index of the direction, and of the side that sends in it.
constexpr unsigned index_of(Direction d) { return static_cast<unsigned>(d); }

}  // namespace flowloom
