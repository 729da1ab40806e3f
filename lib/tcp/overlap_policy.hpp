// Which copy wins where segments overlap with different bytes before they are delivered.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flowloom {

/// Applied among held bytes only: what has been delivered never changes.
enum class OverlapPolicy : std::uint8_t {
  Bsd,    ///< the segment that starts earlier wins; the same start: the first to arrive
  First,  ///< the first to arrive wins
  Last    ///< the last to arrive wins
};

inline constexpr std::array<std::string_view, 3> kOverlapPolicyNames = {"bsd", "first", "last"};

constexpr std::optional<OverlapPolicy> overlap_policy_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kOverlapPolicyNames.size(); ++i) {
    if (kOverlapPolicyNames[i] == name) return static_cast<OverlapPolicy>(i);
  }
  return std::nullopt;
}

}  // namespace flowloom
