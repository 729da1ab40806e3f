// The two TCP options that libnids follows, read as leniently as it does: lengths are not compared
// with what the option should have, and where one is repeated, the last counts.
#pragma once

#include <cstdint>
#include <optional>

namespace flowloom::nids {

/// The search of timestamp_of().
std::optional<std::uint32_t> find_timestamp(const std::uint8_t* tcp, std::uint32_t header_bytes);

/// `tcp` is a header of `header_bytes` (of its own saying), all readable.
inline std::optional<std::uint32_t> timestamp_of(const std::uint8_t* tcp,
                                                 std::uint32_t header_bytes) {
  constexpr std::uint32_t kLeastWithOption = 30;
  if (header_bytes < kLeastWithOption) return std::nullopt;
  return find_timestamp(tcp, header_bytes);
}

/// The multiplier that the option stands for; never above 2^14 (RFC 7323, 2.3).
std::optional<std::uint32_t> window_scale_of(const std::uint8_t* tcp, std::uint32_t header_bytes);

}  // namespace flowloom::nids
