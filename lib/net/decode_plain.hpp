// The fast path of decode(): untagged Ethernet, IPv4 without options or IPv6 without extension
// headers, TCP, no length that needs a second look. It decides nothing on its own: whatever is
// unusual goes the long way, and what it accepts the long way accepts with the same result.
// Inline, so that who goes on with the packet has its fields at hand.
#pragma once

#include <bit>
#include <cstdint>

#include "net/checksum.hpp"
#include "net/frame_walk.hpp"
#include "net/ip.hpp"
#include "net/packet.hpp"
#include "net/tcp_header.hpp"

namespace flowloom {

namespace decode_detail {

inline constexpr std::uint8_t kChecksumFlags =
    packet_flags::kChecksumGood | packet_flags::kChecksumBad;
inline constexpr std::uint8_t kReceiverFlags = kChecksumFlags | packet_flags::kSubframe;

// Encapsulation of a packet without tags; bit 0 is the IP version, so that an IPv4-mapped IPv6
// address never meets the IPv4 address it looks like.
inline constexpr std::uint32_t kPlainIpv4 = 0;
inline constexpr std::uint32_t kPlainIpv6 = 1;

struct PlainDatagram {
  std::uint32_t header_bytes;  // of IP
  std::uint32_t total_bytes;
  std::uint8_t version_flag;
};

inline bool finish_plain(const PlainDatagram& datagram, Packet& packet) {
  const std::uint32_t tcp_offset = kEthernetHeaderBytes + datagram.header_bytes;
  const TcpHeader tcp{packet.frame + tcp_offset};
  const std::uint32_t tcp_bytes = tcp.header_bytes();
  if (tcp_bytes < kTcpMinHeaderBytes || tcp_offset + tcp_bytes > packet.captured ||
      datagram.header_bytes + tcp_bytes > datagram.total_bytes ||
      kEthernetHeaderBytes + datagram.total_bytes > packet.wire_length) {
    return false;
  }
  const bool snapped = kEthernetHeaderBytes + datagram.total_bytes > packet.captured;
  packet.payload_length = datagram.total_bytes - datagram.header_bytes - tcp_bytes;
  packet.encapsulation = datagram.version_flag != 0 ? kPlainIpv6 : kPlainIpv4;
  packet.ip_offset = kEthernetHeaderBytes;
  packet.tcp_offset = static_cast<std::uint16_t>(tcp_offset);
  packet.verdict = Verdict::Tcp;
  packet.flags = static_cast<std::uint8_t>((packet.flags & kReceiverFlags) | datagram.version_flag |
                                           (snapped ? packet_flags::kSnapped : 0));
  return true;
}

// A big-endian 32-bit pattern as it loads natively.
constexpr std::uint32_t in_memory(std::uint32_t big_endian) {
  return __builtin_bswap32(big_endian);
}

// Whether no address is one that has to be looked at, by their first bytes: groups and what lies
// above, and 0 for the source. Below 0, unsigned numbers are large.
inline bool addresses_are_plain(const std::uint8_t* ip) {
  constexpr std::uint32_t kGroups = 224;
  return ip[kIpv4SourceOffset] - 1U < kGroups - 1 && ip[kIpv4DestinationOffset] < kGroups;
}

inline bool addresses_are_plain6(const std::uint8_t* ip) {
  constexpr std::uint8_t kGroup = 0xff;
  const std::uint64_t source = load_native<std::uint64_t>(ip + kIpv6SourceOffset) |
                               load_native<std::uint64_t>(ip + kIpv6SourceOffset + 8);
  return source != 0 && ip[kIpv6SourceOffset] != kGroup && ip[kIpv6DestinationOffset] != kGroup;
}

}  // namespace decode_detail

/// Does what decode() does, or nothing: false where it takes the long way.
[[gnu::always_inline]] inline bool decode_plain(Packet& packet) {
  using decode_detail::in_memory;
  constexpr std::uint32_t kIpv4TypeVersion = in_memory(0x08004500);
  constexpr std::uint32_t kIpv4TypeVersionMask = in_memory(0xffffff00);
  constexpr std::uint32_t kFragmentAndProtocolOffset = kEthernetHeaderBytes + 6;
  constexpr std::uint32_t kFragmentAndProtocolMask = in_memory(0x3fffffff);
  constexpr std::uint32_t kWholeTcpLeastAlive = in_memory(0x00000106);
  constexpr int kTimeToLiveShift = 16;  // where it stands in the word
  constexpr std::uint32_t kTimesToLive = 255;
  constexpr std::uint32_t kIpv6TypeVersion = in_memory(0x86dd6000);
  constexpr std::uint32_t kIpv6TypeVersionMask = in_memory(0xfffff000);

  if (packet.link != LinkType::Ethernet ||
      packet.captured < kEthernetHeaderBytes + kIpv4MinHeaderBytes + kTcpMinHeaderBytes) {
    return false;
  }
  const std::uint8_t* ip = packet.frame + kEthernetHeaderBytes;
  const auto type_version = load_native<std::uint32_t>(packet.frame + kEthernetTypeOffset);
  if ((type_version & kIpv4TypeVersionMask) == kIpv4TypeVersion) [[likely]] {
    const auto word = load_native<std::uint32_t>(packet.frame + kFragmentAndProtocolOffset);
    // A time to live of 0 lies below the range, and other bits than its are rotated above it.
    const std::uint32_t alive = (word & kFragmentAndProtocolMask) - kWholeTcpLeastAlive;
    if (std::rotr(alive, kTimeToLiveShift) >= kTimesToLive) return false;
    if (!decode_detail::addresses_are_plain(ip)) return false;
    if (!checksum_is_good(checksum_sum_of_20(ip))) return false;
    return decode_detail::finish_plain({kIpv4MinHeaderBytes, load_be16(ip + 2), 0}, packet);
  }
  if ((type_version & kIpv6TypeVersionMask) != kIpv6TypeVersion ||
      packet.captured < kEthernetHeaderBytes + kIpv6HeaderBytes + kTcpMinHeaderBytes ||
      ip[6] != kTcpProtocol || load_be16(ip + 4) == 0 || !decode_detail::addresses_are_plain6(ip)) {
    return false;
  }
  const std::uint32_t total_bytes = kIpv6HeaderBytes + load_be16(ip + 4);
  return decode_detail::finish_plain({kIpv6HeaderBytes, total_bytes, packet_flags::kIpv6}, packet);
}

}  // namespace flowloom
