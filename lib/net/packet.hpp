// A packet on its way through the data path, and the burst it travels in.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "net/link_type.hpp"
#include "net/verdict.hpp"

namespace flowloom {

/// What hardware or the decoder found out about a packet; bits of Packet::flags.
namespace packet_flags {
inline constexpr std::uint8_t kIpv6 = 1 << 0;
/// The TCP checksum was verified, by the receiver (NIC) or by the shard: good. Nothing is computed
/// again.
inline constexpr std::uint8_t kChecksumGood = 1 << 1;
/// The receiver (NIC) found the TCP checksum wrong.
inline constexpr std::uint8_t kChecksumBad = 1 << 2;
/// Fewer bytes were captured than were on the wire.
inline constexpr std::uint8_t kSnapped = 1 << 3;
/// The source is the lower end point of the canonical FlowKey.
inline constexpr std::uint8_t kFromLower = 1 << 4;
/// VLAN tags, MPLS labels or tunnels stood before the IP header at ip_offset.
inline constexpr std::uint8_t kEncapsulated = 1 << 5;
/// A further subframe of an 802.11 aggregate: the frame was counted with its first.
inline constexpr std::uint8_t kSubframe = 1 << 6;
/// A datagram in the place of its last fragment, which stays counted as a fragment.
inline constexpr std::uint8_t kReassembled = 1 << 7;
}  // namespace packet_flags

/// One frame with what is known of it: the source fills the first part, `front` the second. This
/// is the descriptor that crosses the steering rings, hence one cache line.
struct alignas(64) Packet {
  // Filled by the source. The frame's bytes belong to the source until release().
  const std::uint8_t* frame;   ///< first captured byte of the link layer
  Timestamp stamp;             ///< as recorded; only reported, never decided upon
  Timestamp clock;             ///< non-decreasing; decides time-outs (PacketClockRule)
  std::uint64_t number;        ///< 1-based position in the input's total order
  std::uint64_t flow_hash;     ///< front: keyed symmetric hash of the flow
  std::uint32_t captured;      ///< bytes at `frame`
  std::uint32_t wire_length;   ///< bytes on the wire, >= captured
  // Filled by front.
  std::uint32_t payload_length;  ///< TCP payload bytes on the wire, padding excluded
  std::uint32_t encapsulation;   ///< keyed hash of tags, tunnels and IP version; part of identity
  std::uint16_t ip_offset;       ///< of the IP header that carries the TCP segment
  std::uint16_t tcp_offset;      ///< of the TCP header
  Verdict verdict;
  std::uint8_t flags;            ///< packet_flags
  LinkType link;
  std::uint8_t input;            ///< source's own: which input, queue or interface it came from

  [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};
static_assert(sizeof(Packet) == 64, "one cache line");

inline constexpr std::uint32_t kBurstMax = 32;

/// Up to kBurstMax packets in input order. `limit` asks for fewer (tests use 1 and 7).
struct Burst {
  std::uint32_t size = 0;
  std::uint32_t limit = kBurstMax;
  std::array<Packet, kBurstMax> packets;
  /// Which connection a packet may belong to: guessed from its hash alone while lines are fetched
  /// (Shard::prefetch_connections), and confirmed by the key.
  std::array<std::uint32_t, kBurstMax> guesses{};
};

}  // namespace flowloom
