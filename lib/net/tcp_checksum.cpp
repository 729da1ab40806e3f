#include "net/tcp_checksum.hpp"

namespace flowloom {

ChecksumResult check_tcp_checksum(const Packet& packet) {
  if (packet.has(packet_flags::kChecksumGood)) return ChecksumResult::Good;
  if (packet.has(packet_flags::kSnapped)) return ChecksumResult::NotCaptured;
  if (tcp_checksum_is_good(packet)) return ChecksumResult::Good;
  const TcpHeader tcp = tcp_header_of(packet);
  const std::uint32_t length = tcp.header_bytes() + packet.payload_length;
  const ChecksumSum pseudo = tcp_pseudo_header_sum(packet);
  const std::uint16_t stored = __builtin_bswap16(tcp.checksum());
  const bool offloaded = stored == 0 ||
                         stored == checksum_fold(pseudo + pseudo_length_sum(length)) ||
                         stored == checksum_fold(pseudo);
  return offloaded ? ChecksumResult::Offloaded : ChecksumResult::Bad;
}

}  // namespace flowloom
