// What a consumer is told of a packet of a connection, where packets were asked for.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "net/link_type.hpp"
#include "stream/connection_record.hpp"

namespace flowloom {

/// What was found out about a packet's segment; bits of PacketNote::marks.
namespace packet_marks {
inline constexpr std::uint8_t kRetransmission = 1 << 0;  ///< repeats bytes already seen
inline constexpr std::uint8_t kOutOfOrder = 1 << 1;      ///< came before its turn
inline constexpr std::uint8_t kConflict = 1 << 2;        ///< differs from bytes that were held
inline constexpr std::uint8_t kBadChecksum = 1 << 3;     ///< and was not tracked
inline constexpr std::uint8_t kReassembled = 1 << 4;     ///< a datagram made of fragments
inline constexpr std::uint8_t kCut = 1 << 5;             ///< no memory to keep all of it
}  // namespace packet_marks

/// A packet of a connection, after it was tracked. The frame dies when the call returns.
struct PacketNote {
  Timestamp stamp;
  std::uint64_t number = 0;
  ByteView frame;                    ///< of a datagram made of fragments: from its IP header on
  std::uint32_t wire_length = 0;
  std::uint32_t payload_length = 0;  ///< TCP payload on the wire
  std::uint32_t ahead = 0;           ///< with kOutOfOrder: bytes beyond the next expected one
  LinkType link = LinkType::Unknown;
  KeySide sender = KeySide::Lower;
  std::uint8_t marks = 0;
};

}  // namespace flowloom
