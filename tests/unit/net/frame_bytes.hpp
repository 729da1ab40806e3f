// Builds frames byte by byte for the tests of lib/net. Shares no code with the decoder: numbers
// are written out, and the checksum is the textbook loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "net/packet.hpp"

namespace flowloom::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes be16(std::uint32_t v) {
  return {static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
}

inline Bytes be32(std::uint32_t v) {
  return {static_cast<std::uint8_t>(v >> 24), static_cast<std::uint8_t>(v >> 16),
          static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
}

inline Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline Bytes text(std::string_view s) {
  return {s.begin(), s.end()};
}
inline Bytes zeros(std::size_t n) {
  return Bytes(n, 0);
}

/// RFC 1071, word by word, big-endian, folded after each addition; not complemented.
inline std::uint16_t naive_sum(const Bytes& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const std::uint32_t low = i + 1 < bytes.size() ? bytes[i + 1] : 0U;
    sum += static_cast<std::uint32_t>(bytes[i]) << 8 | low;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(sum);
}

inline void put16(Bytes& bytes, std::size_t at, std::uint32_t v) {
  bytes.at(at) = static_cast<std::uint8_t>(v >> 8);
  bytes.at(at + 1) = static_cast<std::uint8_t>(v);
}

inline std::uint32_t complement(std::uint16_t sum) {
  return 0xffffU & ~std::uint32_t{sum};
}

struct TcpSpec {
  std::uint16_t source_port = 1025;
  std::uint16_t destination_port = 80;
  std::uint32_t seq = 0x01020304;
  std::uint32_t ack = 0x0a0b0c0d;
  std::uint8_t flags = 0x18;
  Bytes options{};
  Bytes payload = text("hello");
};

/// The segment with checksum field 0.
inline Bytes tcp_segment(const TcpSpec& spec) {
  const auto words = static_cast<std::uint8_t>(5 + spec.options.size() / 4);
  return join({be16(spec.source_port),
               be16(spec.destination_port),
               be32(spec.seq),
               be32(spec.ack),
               {static_cast<std::uint8_t>(words << 4), spec.flags},
               be16(0x2000),
               be16(0),
               be16(0x0007),
               spec.options,
               spec.payload});
}

inline const Bytes kAddressA4 = {10, 0, 0, 1};
inline const Bytes kAddressB4 = {10, 0, 0, 2};
inline const Bytes kAddressA6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
inline const Bytes kAddressB6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};

/// Fills in the TCP checksum for a pseudo-header of these addresses.
inline Bytes with_tcp_checksum(Bytes segment, const Bytes& source, const Bytes& destination) {
  const Bytes pseudo = join(
      {source, destination, be32(static_cast<std::uint32_t>(segment.size())), {0, 6}, segment});
  put16(segment, 16, complement(naive_sum(pseudo)));
  return segment;
}

struct Ipv4Spec {
  Bytes source = kAddressA4;
  Bytes destination = kAddressB4;
  Bytes options{};
  std::uint16_t fragment = 0x4000;
  std::uint8_t protocol = 6;
  int total_length = -1;  ///< -1: what it is
};

inline void fix_ipv4_checksum(Bytes& datagram) {
  put16(datagram, 10, 0);
  const Bytes header(datagram.begin(), datagram.begin() + (datagram[0] & 15) * 4);
  put16(datagram, 10, complement(naive_sum(header)));
}

inline Bytes ipv4(const Bytes& payload, const Ipv4Spec& spec = {}) {
  const std::size_t header_bytes = 20 + spec.options.size();
  const auto total = spec.total_length >= 0
                         ? static_cast<std::uint32_t>(spec.total_length)
                         : static_cast<std::uint32_t>(header_bytes + payload.size());
  Bytes datagram = join({{static_cast<std::uint8_t>(0x40 | header_bytes / 4), 0},
                         be16(total),
                         be16(0x1234),
                         be16(spec.fragment),
                         {64, spec.protocol},
                         be16(0),
                         spec.source,
                         spec.destination,
                         spec.options,
                         payload});
  fix_ipv4_checksum(datagram);
  return datagram;
}

/// `extensions` stand before the payload; `next` names the first of them.
inline Bytes ipv6(const Bytes& payload, std::uint8_t next = 6, const Bytes& extensions = {},
                  int payload_length = -1) {
  const auto length = payload_length >= 0
                          ? static_cast<std::uint32_t>(payload_length)
                          : static_cast<std::uint32_t>(extensions.size() + payload.size());
  return join(
      {{0x60, 0, 0, 0}, be16(length), {next, 63}, kAddressA6, kAddressB6, extensions, payload});
}

inline Bytes tcp4(const TcpSpec& spec = {}, const Ipv4Spec& ip = {}) {
  return ipv4(with_tcp_checksum(tcp_segment(spec), ip.source, ip.destination), ip);
}

inline Bytes tcp6(const TcpSpec& spec = {}) {
  return ipv6(with_tcp_checksum(tcp_segment(spec), kAddressA6, kAddressB6));
}

inline const Bytes kMacs = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

inline Bytes ethernet(std::uint16_t type, const Bytes& payload) {
  return join({kMacs, be16(type), payload});
}

/// A packet of a frame in memory, captured whole. The frame must outlive it.
inline Packet packet_of(const Bytes& frame, LinkType link) {
  Packet packet{};
  packet.frame = frame.data();
  packet.captured = static_cast<std::uint32_t>(frame.size());
  packet.wire_length = packet.captured;
  packet.link = link;
  return packet;
}

}  // namespace flowloom::test
