// 64-bit positions in one direction's byte stream, and the one place where 32 bits meet 64.
#pragma once

#include <cstdint>

#include "net/seq_num.hpp"

namespace flowloom {

/// Byte position in one direction; 0 is the first data byte (ISN + 1). Signed, because a segment
/// may start before the stream's origin.
using StreamOffset = std::int64_t;

/// Segments further than this from the delivery point are out of window by definition: 2^30 is
/// the largest window that RFC 7323 (section 2.3) allows.
inline constexpr std::int64_t kMaxWindow = std::int64_t{1} << 30;

/// The stream offset of sequence number `s`, given that `near_seq` stands at `near`.
/// Exact for points less than 2^31 from `near_seq`.
constexpr StreamOffset unwrap(SeqNum s, StreamOffset near, SeqNum near_seq) {
  return near + near_seq.distance_to(s);
}

}  // namespace flowloom
