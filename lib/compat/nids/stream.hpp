// One tracked connection: what programs see of it, and what only the tracker knows.
#pragma once

#include <cstdint>

#include "base/slab_pool.hpp"
#include "compat/nids/abi.hpp"
#include "net/five_tuple.hpp"

namespace flowloom::nids {

/// Lives in a pool; zeroed when taken. The first listener is part of it, since nearly all have one,
/// and stands in the last line that a data packet touches.
struct alignas(64) Stream {
  tcp_stream seen;
  lurker_node first_listener;

  // The line below is touched when a connection begins, ends or is out of the ordinary.
  std::uint64_t hash;
  std::uint32_t index;           ///< of this object in its pool
  std::uint32_t deadline_place;  ///< in StreamTimers' heap, + 1; 0: none
  std::int64_t deadline;         ///< seconds of packet time
  std::uint64_t deadline_order;  ///< equal deadlines: first set, first due
  bool busy;                     ///< one of its callbacks is running
  bool doomed;                   ///< freed by one of its own callbacks: goes when that returns
  bool listens_in_place;         ///< first_listener is in the list
  // Exact rules only.
  bool syn_waits;               ///< another SYN of the client waits for its answer
  std::uint8_t behind_hole[2];  ///< segments since it was acknowledged: to client, to server
  std::uint16_t waiting_window;
  std::uint32_t waiting_seq;    ///< of that SYN
  std::uint32_t waiting_scale;  ///< its multiplier; 0: no option
  std::uint32_t waiting_timestamp;
  bool waiting_stamped;
};
static_assert(sizeof(Stream) == 384 && offsetof(Stream, hash) == 320);

inline Stream& stream_of(tcp_stream* seen) {
  return *reinterpret_cast<Stream*>(seen);
}

/// The table's key of a connection given by its end points, whichever way round.
inline FlowKey key_of(const tuple4& ends) {
  const auto* source = reinterpret_cast<const std::uint8_t*>(&ends.saddr);
  const auto* destination = reinterpret_cast<const std::uint8_t*>(&ends.daddr);
  constexpr int kPortBits = 16;
  const std::uint64_t from = std::uint64_t{load_be32(source)} << kPortBits | ends.source;
  const std::uint64_t to = std::uint64_t{load_be32(destination)} << kPortBits | ends.dest;
  const IpAddress a = IpAddress::v4(source);
  const IpAddress b = IpAddress::v4(destination);
  return from <= to ? FlowKey{a, b, FlowKey::rest_of(ends.source, ends.dest, 0)}
                    : FlowKey{b, a, FlowKey::rest_of(ends.dest, ends.source, 0)};
}

inline bool same_ends(const tuple4& a, const tuple4& b) {
  return a.saddr == b.saddr && a.daddr == b.daddr && a.source == b.source && a.dest == b.dest;
}

inline tuple4 reversed(const tuple4& ends) {
  return {ends.dest, ends.source, ends.daddr, ends.saddr};
}

}  // namespace flowloom::nids
