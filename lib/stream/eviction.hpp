// Connections that end because there is no room for them: in which order they go, and what is told
// of those that go without a record of their own.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "base/time.hpp"
#include "stream/spread.hpp"

namespace flowloom {

/// Who is evicted, those first that are missed least.
enum class EvictionClass : std::uint8_t {
  Unconfirmed,  ///< one side was heard, and fewer than three segments of it in order
  Closed,       ///< it ended by FINs or RST, and lingered
  HalfOpen,     ///< its handshake is not complete, and nobody has said anything
  Open
};
inline constexpr std::array<std::string_view, 4> kEvictionClassNames = {"unconfirmed", "closed",
                                                                        "half_open", "open"};

/// What an unconfirmed connection was.
enum class UnconfirmedKind : std::uint8_t {
  Syn,   ///< nothing but SYNs
  Ack,   ///< no payload, SYN, FIN or RST
  Data,  ///< payload
  Other
};
inline constexpr std::array<std::string_view, 4> kUnconfirmedKindNames = {"syn", "ack", "data",
                                                                          "other"};

/// Stands for all unconfirmed connections that were evicted within about a second of packet time.
/// Trivially copyable.
struct EvictionSummary {
  Timestamp start{kTimeMax};  ///< earliest stamp of a first packet
  Timestamp end{kTimeMin};    ///< latest stamp of a last one
  std::array<std::uint64_t, kUnconfirmedKindNames.size()> connections{};
  std::uint64_t packets = 0;
  std::uint64_t ip_bytes = 0;
  std::uint64_t payload_bytes = 0;
  Spread senders;    ///< addresses that were heard
  Spread receivers;  ///< the others

  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t n : connections) sum += n;
    return sum;
  }
  EvictionSummary& operator+=(const EvictionSummary& other) {
    start = std::min(start, other.start);
    end = std::max(end, other.end);
    for (std::size_t i = 0; i < connections.size(); ++i) connections[i] += other.connections[i];
    packets += other.packets;
    ip_bytes += other.ip_bytes;
    payload_bytes += other.payload_bytes;
    senders.join(other.senders);
    receivers.join(other.receivers);
    return *this;
  }
};

}  // namespace flowloom
