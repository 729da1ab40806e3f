// When bytes in order are final, and whether urgent ones belong to the stream.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flowloom {

/// When contiguous bytes are final.
enum class DeliverWhen : std::uint8_t {
  Arrival,
  Acked  ///< when the other side has acknowledged them; on arrival where it is never heard
};
inline constexpr std::array<std::string_view, 2> kDeliverNames = {"arrival", "acked"};

/// What becomes of an urgent byte (RFC 6093).
enum class UrgentMode : std::uint8_t {
  Inline,  ///< it stays in the stream
  Oob,     ///< it leaves the stream as an event of its own
  Drop
};
inline constexpr std::array<std::string_view, 3> kUrgentNames = {"inline", "oob", "drop"};

/// The value of `Enum` that `name` names in `names`, whose order is that of the values.
template <class Enum, std::size_t N>
constexpr std::optional<Enum> value_named(const std::array<std::string_view, N>& names,
                                          std::string_view name) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace flowloom
