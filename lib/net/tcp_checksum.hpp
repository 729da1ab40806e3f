// The TCP checksum of a packet (RFC 9293, 3.1; RFC 1071). The good case is inline: it is asked of
// every packet whose receiver did not verify it.
#pragma once

#include <cstdint>

#include "net/checksum.hpp"
#include "net/ip.hpp"
#include "net/packet.hpp"
#include "net/tcp_header.hpp"

namespace flowloom {

/// Result of looking at a TCP checksum in software.
enum class ChecksumResult : std::uint8_t {
  Good,
  Bad,
  Offloaded,   ///< what an offloading sender leaves: pseudo-header sum with or without length, or 0
  NotCaptured  ///< snapped: cannot be computed
};

/// Believes a receiver that verified it already (kChecksumGood).
/// Preconditions: packet.verdict == Verdict::Tcp.
ChecksumResult check_tcp_checksum(const Packet& packet);

/// The sum of the pseudo-header but for its length field.
/// Preconditions: packet.verdict == Verdict::Tcp.
inline ChecksumSum tcp_pseudo_header_sum(const Packet& packet) {
  constexpr std::size_t kIpv4AddressesBytes = 8;
  constexpr std::size_t kIpv6AddressesBytes = 32;
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  return packet.has(packet_flags::kIpv6)
             ? pseudo_header_sum({ip + kIpv6SourceOffset, kIpv6AddressesBytes}, kTcpProtocol)
             : pseudo_header_sum({ip + kIpv4SourceOffset, kIpv4AddressesBytes}, kTcpProtocol);
}

/// Preconditions: packet.verdict == Verdict::Tcp, the packet is not snapped.
inline bool tcp_checksum_is_good(const Packet& packet) {
  const std::uint32_t length = tcp_header_of(packet).header_bytes() + packet.payload_length;
  return checksum_is_good(tcp_pseudo_header_sum(packet) + pseudo_length_sum(length) +
                          checksum_sum({packet.frame + packet.tcp_offset, length}));
}

}  // namespace flowloom
