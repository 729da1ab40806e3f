// Which way a segment travels within its connection.
#pragma once

#include <cstdint>

namespace flowloom {

enum class Direction : std::uint8_t { OriginatorToResponder = 0, ResponderToOriginator = 1 };

// By arithmetic: packets come in an order of directions that no branch could foresee.

/// Array index of the direction, and of the side that sends in it.
constexpr unsigned index_of(Direction d) { return static_cast<unsigned>(d); }

constexpr Direction reverse(Direction d) { return static_cast<Direction>(index_of(d) ^ 1U); }

}  // namespace flowloom
