// Packet time. PacketClock has no now(): nothing below runtime can ask what time it is, so a
// replay decides exactly as the first run did.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace flowloom {

using Duration = std::chrono::nanoseconds;

/// The clock of captured packets: nanoseconds since 1970-01-01 UTC, advanced by packets only.
struct PacketClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<PacketClock, Duration>;
  static constexpr bool is_steady = true;
};

using Timestamp = PacketClock::time_point;

inline constexpr Timestamp kTimeMin{Duration{std::numeric_limits<Duration::rep>::min()}};
inline constexpr Timestamp kTimeMax{Duration{std::numeric_limits<Duration::rep>::max()}};

/// Nanoseconds since the epoch as a plain integer, for hashing and printing.
constexpr std::int64_t to_nanoseconds(Timestamp t) { return t.time_since_epoch().count(); }
constexpr Timestamp from_nanoseconds(std::int64_t ns) { return Timestamp{Duration{ns}}; }

/// t + d, or kTimeMax where the sum does not fit: stamps come from hostile files.
constexpr Timestamp saturating_add(Timestamp t, Duration d) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(to_nanoseconds(t), d.count(), &sum)) {
    return d.count() > 0 ? kTimeMax : kTimeMin;
  }
  return from_nanoseconds(sum);
}

}  // namespace flowloom
