// One TCP segment as the tracker looks at it. Views into the packet.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "compat/nids/abi.hpp"
#include "compat/nids/reassembler.hpp"
#include "compat/nids/tcp_values.hpp"
#include "net/checksum.hpp"
#include "net/ip.hpp"
#include "net/tcp_header.hpp"

namespace flowloom::nids {

inline constexpr std::uint32_t kSeqOffset = 4;
inline constexpr std::uint32_t kAckOffset = 8;

struct Segment {
  const std::uint8_t* ip;
  const std::uint8_t* tcp;
  std::uint32_t header_bytes;  ///< of TCP
  std::uint32_t truesize;
  ByteView payload;
  tuple4 ends;
  std::uint32_t seq;
  std::uint32_t ack;
  std::uint8_t flags;
  Timestamp stamp;

  [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
  [[nodiscard]] std::uint16_t window() const { return TcpHeader{tcp}.window(); }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(payload.size()); }
  [[nodiscard]] Piece piece() const {
    return {seq, payload, flags, TcpHeader{tcp}.urgent_pointer()};
  }
};

inline std::int64_t seconds_of(Timestamp stamp) {
  return std::chrono::floor<std::chrono::seconds>(stamp.time_since_epoch()).count();
}

/// Preconditions: `tcp_bytes` are readable.
inline bool checksum_is_right(const Segment& segment, std::uint32_t tcp_bytes) {
  constexpr std::size_t kAddressesBytes = 8;
  return checksum_is_good(
      pseudo_header_sum({segment.ip + kIpv4SourceOffset, kAddressesBytes}, kTcpProtocol) +
      pseudo_length_sum(tcp_bytes) + checksum_sum({segment.tcp, tcp_bytes}));
}

/// What a SYN says of its sender.
inline void read_options(const Segment& segment, half_stream& half) {
  const auto stamp = timestamp_of(segment.tcp, segment.header_bytes);
  half.ts_on = stamp ? 1 : 0;
  if (stamp) half.curr_ts = *stamp;
  const auto scale = window_scale_of(segment.tcp, segment.header_bytes);
  half.wscale_on = scale ? 1 : 0;
  half.wscale = scale.value_or(1);
}

}  // namespace flowloom::nids
