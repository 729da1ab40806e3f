// Wraps Ethernet frames of PacketBuilder and of the tests of lib/net into tunnels, byte by byte.
// Shares no code with the decoder. A tunnel takes a frame and gives a frame, so tunnels nest.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace flowloom::test {

using TunnelBytes = std::vector<std::uint8_t>;

/// One kind of tunnel, with numbers of its own.
struct Tunnel {
  std::string name;    ///< of the case: letters, digits, underscores
  std::string record;  ///< as flows.jsonl prints it
  std::function<TunnelBytes(const TunnelBytes& frame)> wrap;
  std::size_t layers = 1;  ///< elements that it adds to the list of encapsulations
};

/// An Ethernet frame with an IPv4 datagram of this protocol, between two routers.
TunnelBytes outer_ipv4(std::uint8_t protocol, const TunnelBytes& payload);
/// The same with IPv6.
TunnelBytes outer_ipv6(std::uint8_t protocol, const TunnelBytes& payload);
/// A UDP datagram over such an IPv4; its checksum is 0.
TunnelBytes outer_udp(std::uint16_t port, const TunnelBytes& payload,
                      std::uint16_t source_port = 50000);
/// The IP datagram in an Ethernet frame without tags.
TunnelBytes datagram_of(const TunnelBytes& frame);

TunnelBytes vxlan(std::uint32_t network, const TunnelBytes& frame);
TunnelBytes nvgre(std::uint32_t network, std::uint8_t flow, const TunnelBytes& frame);
TunnelBytes keyed_gre(std::uint32_t key, const TunnelBytes& frame);
TunnelBytes gtp(std::uint32_t tunnel, const TunnelBytes& frame);

/// Every tunnel that flowloom follows, each in its variants. `frame` may carry IPv4 or IPv6, but
/// Teredo only IPv6.
const std::vector<Tunnel>& all_tunnels();

/// Fragments of the IPv4 datagram in a frame, each of `bytes` at most (a multiple of 8).
std::vector<TunnelBytes> fragments_of(const TunnelBytes& frame, std::size_t bytes,
                                      std::uint16_t identification);

}  // namespace flowloom::test
