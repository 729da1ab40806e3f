#include "net/tcp_checksum.hpp"

namespace flowloom {

namespace {

// The last station of a routing header that has stations left, or null: the sender's pseudo-header
// has it in the place of the destination (RFC 8200, 8.1). It stands first in a segment list
// (RFC 8754, 2) and is the only one of mobile IPv6 (RFC 6275, 6.4).
const std::uint8_t* final_destination(const Packet& packet) {
  constexpr std::uint8_t kRouting = 43;
  constexpr std::uint8_t kFragment = 44;
  constexpr std::uint8_t kAuthentication = 51;
  constexpr std::uint8_t kMobile = 2;
  constexpr std::uint8_t kSegments = 4;
  constexpr std::uint32_t kFirstStation = 8;
  constexpr std::uint32_t kWithStation = 24;
  std::uint8_t next = packet.frame[packet.ip_offset + 6];
  std::uint32_t at = packet.ip_offset + kIpv6HeaderBytes;
  while (at < packet.tcp_offset) {  // decode() has been through: every header is there
    const std::uint8_t* header = packet.frame + at;
    std::uint32_t bytes = (header[1] + 1U) * 8;
    if (next == kAuthentication) bytes = (header[1] + 2U) * 4;
    if (next == kFragment) bytes = 8;
    const bool known = header[2] == kMobile || header[2] == kSegments;
    if (next == kRouting && known && header[3] != 0 && bytes >= kWithStation) {
      return header + kFirstStation;
    }
    next = header[0];
    at += bytes;
  }
  return nullptr;
}

// The checksum as the sender of a routed IPv6 datagram computed it.
bool is_good_at_the_final_destination(const Packet& packet, std::uint32_t length) {
  constexpr std::size_t kAddressBytes = 16;
  if (!packet.has(packet_flags::kIpv6)) return false;
  const std::uint8_t* destination = final_destination(packet);
  if (destination == nullptr) return false;
  const ByteView source{packet.frame + packet.ip_offset + kIpv6SourceOffset, kAddressBytes};
  return checksum_is_good(pseudo_header_sum(source, kTcpProtocol) +
                          checksum_sum({destination, kAddressBytes}) + pseudo_length_sum(length) +
                          checksum_sum({packet.frame + packet.tcp_offset, length}));
}

}  // namespace

ChecksumResult check_tcp_checksum(const Packet& packet) {
  if (packet.has(packet_flags::kChecksumGood)) return ChecksumResult::Good;
  if (packet.has(packet_flags::kSnapped)) return ChecksumResult::NotCaptured;
  if (tcp_checksum_is_good(packet)) return ChecksumResult::Good;
  const TcpHeader tcp = tcp_header_of(packet);
  const std::uint32_t length = tcp.header_bytes() + packet.payload_length;
  if (is_good_at_the_final_destination(packet, length)) return ChecksumResult::Good;
  const ChecksumSum pseudo = tcp_pseudo_header_sum(packet);
  const std::uint16_t stored = __builtin_bswap16(tcp.checksum());
  const bool offloaded = stored == 0 ||
                         stored == checksum_fold(pseudo + pseudo_length_sum(length)) ||
                         stored == checksum_fold(pseudo);
  return offloaded ? ChecksumResult::Offloaded : ChecksumResult::Bad;
}

}  // namespace flowloom
