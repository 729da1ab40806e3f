// The IP header fields that other rooms ask for. Judges nothing: decode() has found them.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "net/ip_address.hpp"
#include "net/packet.hpp"
#include "net/tcp_header.hpp"

namespace flowloom {

/// Numbers of the fixed headers (RFC 791, section 3.1; RFC 8200, section 3).
inline constexpr std::uint32_t kIpv4MinHeaderBytes = 20;
inline constexpr std::uint32_t kIpv4SourceOffset = 12;
inline constexpr std::uint32_t kIpv4DestinationOffset = 16;
inline constexpr std::uint32_t kIpv6HeaderBytes = 40;
inline constexpr std::uint32_t kIpv6SourceOffset = 8;
inline constexpr std::uint32_t kIpv6DestinationOffset = 24;
inline constexpr std::uint8_t kTcpProtocol = 6;

// Preconditions of all: packet.verdict is Tcp or Fragment, so that ip_offset names an IP header
// that is captured whole.

inline IpAddress source_address(const Packet& packet) {
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  return packet.has(packet_flags::kIpv6) ? IpAddress::v6(ip + kIpv6SourceOffset)
                                         : IpAddress::v4(ip + kIpv4SourceOffset);
}

inline IpAddress destination_address(const Packet& packet) {
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  return packet.has(packet_flags::kIpv6) ? IpAddress::v6(ip + kIpv6DestinationOffset)
                                         : IpAddress::v4(ip + kIpv4DestinationOffset);
}

/// Time to live or hop limit.
inline std::uint8_t ttl_of(const Packet& packet) {
  return packet.frame[packet.ip_offset + (packet.has(packet_flags::kIpv6) ? 7U : 8U)];
}

/// Bytes of the IP datagram on the wire, headers included, link-layer padding excluded; also where
/// the header's own length field is 0 (segmentation offload, jumbograms).
/// Preconditions: packet.verdict == Verdict::Tcp.
inline std::uint32_t ip_length_of(const Packet& packet) {
  return packet.tcp_offset - packet.ip_offset + tcp_header_of(packet).header_bytes() +
         packet.payload_length;
}

}  // namespace flowloom
