#include "compat/nids/reset_sender.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "compat/nids/ip_rules.hpp"
#include "compat/nids/stream.hpp"
#include "net/checksum.hpp"

namespace flowloom::nids {

namespace {

// What libnids puts into its resets.
constexpr std::uint16_t kIdentification = 12345;
constexpr std::uint16_t kWindow = 32000;
constexpr std::uint8_t kTimeToLive = 64;

void store_be16(std::uint8_t* to, std::uint16_t value) {
  const std::uint16_t swapped = __builtin_bswap16(value);
  std::memcpy(to, &swapped, sizeof swapped);
}

void store_sum(std::uint8_t* to, ChecksumSum sum) {
  const auto complement = static_cast<std::uint16_t>(~checksum_fold(sum));
  std::memcpy(to, &complement, sizeof complement);
}

}  // namespace

ResetPacket make_reset(const tuple4& ends, std::uint32_t seq) {
  constexpr std::size_t kIpChecksum = 10;
  constexpr std::size_t kTcpFlags = 13;
  constexpr std::size_t kTcpWindow = 14;
  constexpr std::size_t kTcpChecksum = 16;
  constexpr std::uint8_t kVersionAndLength = 0x45;
  constexpr std::uint8_t kTcpLength = 5 << 4;
  constexpr std::size_t kAddressesBytes = 8;
  constexpr std::size_t kTtlOffset = 8;
  ResetPacket packet{};
  std::uint8_t* const ip = packet.data();
  std::uint8_t* const tcp = ip + kIpv4MinHeaderBytes;
  ip[0] = kVersionAndLength;
  store_be16(ip + kIpv4LengthOffset, static_cast<std::uint16_t>(packet.size()));
  store_be16(ip + kIpv4IdOffset, kIdentification);
  ip[kTtlOffset] = kTimeToLive;
  ip[kIpv4ProtocolOffset] = kTcpProtocol;
  std::memcpy(ip + kIpv4SourceOffset, &ends.saddr, sizeof ends.saddr);
  std::memcpy(ip + kIpv4DestinationOffset, &ends.daddr, sizeof ends.daddr);
  store_sum(ip + kIpChecksum, checksum_sum_of_20(ip));
  store_be16(tcp, ends.source);
  store_be16(tcp + 2, ends.dest);
  const std::uint32_t swapped = __builtin_bswap32(seq);
  std::memcpy(tcp + 4, &swapped, sizeof swapped);
  tcp[kTcpFlags - 1] = kTcpLength;
  tcp[kTcpFlags] = TH_RST;
  store_be16(tcp + kTcpWindow, kWindow);
  store_sum(tcp + kTcpChecksum,
            pseudo_header_sum({ip + kIpv4SourceOffset, kAddressesBytes}, kTcpProtocol) +
                pseudo_length_sum(kTcpMinHeaderBytes) +
                checksum_sum_short(tcp, kTcpMinHeaderBytes));
  return packet;
}

std::array<ResetPacket, 4> resets_of(const tcp_stream& stream) {
  const half_stream& client = stream.client;
  const half_stream& server = stream.server;
  const auto half_window = [](const half_stream& half) {
    return std::uint32_t{half.window} * half.wscale / 2;
  };
  const tuple4 back = reversed(stream.addr);
  return {make_reset(stream.addr, server.ack_seq),
          make_reset(stream.addr, server.ack_seq + half_window(server)),
          make_reset(back, client.ack_seq), make_reset(back, client.ack_seq + half_window(client))};
}

ResetSender::~ResetSender() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool ResetSender::open() {
  descriptor_ = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
  if (descriptor_ < 0) set_error("raw socket: ", std::strerror(errno));
  return descriptor_ >= 0;
}

void ResetSender::reset_both(const tcp_stream& stream) const {
  if (descriptor_ < 0) return;
  for (const ResetPacket& packet : resets_of(stream)) send(packet);
}

void ResetSender::reset_at(const tcp_stream& stream, std::uint32_t distance) const {
  if (descriptor_ < 0) return;
  send(make_reset(stream.addr, stream.server.ack_seq + distance));
  send(make_reset(reversed(stream.addr), stream.client.ack_seq + distance));
}

void ResetSender::send(const ResetPacket& packet) const {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  std::memcpy(&to.sin_addr, packet.data() + kIpv4DestinationOffset, sizeof to.sin_addr);
  // A reset that is not sent has no other consequence than one that is lost.
  static_cast<void>(sendto(descriptor_, packet.data(), packet.size(), MSG_DONTWAIT,
                           reinterpret_cast<const sockaddr*>(&to), sizeof to));
}

}  // namespace flowloom::nids
