// Who talks to whom: the tuple as on the wire and the direction-free key of a connection.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "net/ip.hpp"
#include "net/ip_address.hpp"
#include "net/packet.hpp"

namespace flowloom {

/// An address and a TCP port, host order.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// The same for both directions of a connection: end points sorted, lower first, with what the
/// frame was wrapped in (so the same tuple on two VLANs is two connections).
struct FlowKey {
  IpAddress lower_address;
  IpAddress upper_address;
  /// Ports and encapsulation, one word: see IpAddress::of_words() for why keys are made of words.
  std::uint64_t rest;

  static constexpr std::uint64_t rest_of(std::uint16_t lower_port, std::uint16_t upper_port,
                                         std::uint32_t encapsulation) {
    return std::uint64_t{encapsulation} << 32 | std::uint32_t{upper_port} << 16 | lower_port;
  }
  [[nodiscard]] std::uint16_t lower_port() const { return static_cast<std::uint16_t>(rest); }
  [[nodiscard]] std::uint16_t upper_port() const { return static_cast<std::uint16_t>(rest >> 16); }
  [[nodiscard]] std::uint32_t encapsulation() const {
    return static_cast<std::uint32_t>(rest >> 32);
  }
  /// Of the IP version that `rest` says; see decode().
  static constexpr bool is_ipv6(std::uint64_t rest) { return (rest >> 32 & 1) != 0; }
  friend bool operator==(const FlowKey& a, const FlowKey& b) {
    return (difference(a.lower_address, b.lower_address) |
            difference(a.upper_address, b.upper_address) | (a.rest ^ b.rest)) == 0;
  }
  [[nodiscard]] Endpoint lower() const { return {lower_address, lower_port()}; }
  [[nodiscard]] Endpoint upper() const { return {upper_address, upper_port()}; }
};
static_assert(sizeof(FlowKey) == 40, "no padding");

namespace five_tuple_detail {

/// An end point of either version as integers that sort as Endpoint does. IPv4 is held whole in
/// `low`, so that its comparison is one of integers.
struct SortableEndpoint {
  std::uint64_t high;  // IPv6: first half of the address
  std::uint64_t low;   // IPv6: second half; IPv4: address and port
  std::uint16_t port;
};

inline std::uint64_t ipv4_endpoint(const std::uint8_t* address, const std::uint8_t* port) {
  return std::uint64_t{load_be32(address)} << 16 | load_be16(port);
}

inline SortableEndpoint ipv6_endpoint(const std::uint8_t* address, const std::uint8_t* port) {
  return {load_be64(address), load_be64(address + 8), load_be16(port)};
}

inline bool at_or_below(const SortableEndpoint& a, const SortableEndpoint& b) {
  if (a.high != b.high) return a.high < b.high;
  if (a.low != b.low) return a.low < b.low;
  return a.port <= b.port;
}

inline std::uint8_t with_from_lower(std::uint8_t flags, bool from_lower) {
  const auto cleared = static_cast<std::uint8_t>(flags & ~packet_flags::kFromLower);
  return static_cast<std::uint8_t>(cleared | (from_lower ? packet_flags::kFromLower : 0));
}

inline std::uint64_t mix_ipv4(std::uint64_t lower, std::uint64_t upper, std::uint32_t encapsulation,
                              const HashSeed& seed) {
  const std::uint64_t rest = std::uint64_t{encapsulation} << 32;
  return mix(mix(lower ^ seed.a, upper ^ seed.b ^ rest) ^ rest ^ seed.b, seed.a | 1);
}

/// The end points of an IPv6 packet are 36 bytes, so it takes three multiplications.
inline std::uint64_t mix_ipv6(const SortableEndpoint& lower, const SortableEndpoint& upper,
                              std::uint32_t encapsulation, const HashSeed& seed) {
  const std::uint64_t ports = std::uint64_t{lower.port} << 16 | upper.port;
  const std::uint64_t rest = std::uint64_t{encapsulation} << 32 | ports;
  const std::uint64_t lower_mix = mix(lower.high ^ seed.a, lower.low ^ seed.b);
  const std::uint64_t upper_mix = mix(upper.high ^ seed.b, upper.low ^ seed.a ^ rest);
  return mix(lower_mix ^ seed.a, upper_mix ^ seed.b ^ rest);
}

inline void hash_ipv6_flow(Packet& packet, const HashSeed& seed) {
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  const std::uint8_t* tcp = packet.frame + packet.tcp_offset;
  const SortableEndpoint source = ipv6_endpoint(ip + kIpv6SourceOffset, tcp);
  const SortableEndpoint destination = ipv6_endpoint(ip + kIpv6DestinationOffset, tcp + 2);
  const bool from_lower = at_or_below(source, destination);
  const SortableEndpoint& lower = from_lower ? source : destination;
  const SortableEndpoint& upper = from_lower ? destination : source;
  packet.flow_hash = mix_ipv6(lower, upper, packet.encapsulation, seed);
  packet.flags = with_from_lower(packet.flags, from_lower);
}

}  // namespace five_tuple_detail

/// A FlowKey as a connection keeps it: of IPv4 all of it in two words, which stay in registers
/// where they are only compared. IPv6 addresses are kept beside (Ipv6Addresses).
struct ShortKey {
  std::uint64_t rest;       ///< FlowKey::rest
  /// IPv4: the lower one in the low half, as loaded; IPv6: kBeside. Never 0, as nobody sends from
  /// 0.0.0.0 (see decode()).
  std::uint64_t addresses;

  static constexpr std::uint64_t kBeside = 1;
  [[nodiscard]] bool is_ipv6() const { return FlowKey::is_ipv6(rest); }
  friend bool operator==(const ShortKey& a, const ShortKey& b) {
    return ((a.rest ^ b.rest) | (a.addresses ^ b.addresses)) == 0;
  }
};

/// Those of the end points of a FlowKey.
struct Ipv6Addresses {
  IpAddress lower;
  IpAddress upper;
  friend bool operator==(const Ipv6Addresses& a, const Ipv6Addresses& b) {
    return (difference(a.lower, b.lower) | difference(a.upper, b.upper)) == 0;
  }
};

/// The canonical key of a decoded TCP packet.
/// Preconditions: packet.verdict == Verdict::Tcp, offsets and encapsulation are set; hash_flow()
/// was called (kFromLower says which end point is the lower one).
inline ShortKey short_key_of(const Packet& packet) {
  // Which end point is the lower one follows no pattern: places are computed, not branched to.
  const std::uint32_t from_lower = packet.has(packet_flags::kFromLower) ? 1U : 0U;
  const std::uint32_t swapped_ports =
      load_be32(packet.frame + packet.tcp_offset);  // source above destination
  const std::uint32_t ports =
      std::rotl(swapped_ports, static_cast<int>(16 * from_lower));  // the lower one's below
  const std::uint64_t rest =
      FlowKey::rest_of(static_cast<std::uint16_t>(ports), static_cast<std::uint16_t>(ports >> 16),
                       packet.encapsulation);
  if (packet.has(packet_flags::kIpv6)) [[unlikely]] return {rest, ShortKey::kBeside};
  static_assert(kIpv4DestinationOffset == kIpv4SourceOffset + 4);
  const auto addresses =
      load_native<std::uint64_t>(packet.frame + packet.ip_offset + kIpv4SourceOffset);
  return {rest, std::rotl(addresses, static_cast<int>(32 - 32 * from_lower))};
}

/// Preconditions: as short_key_of(), and the packet is IPv6.
inline Ipv6Addresses ipv6_addresses_of(const Packet& packet) {
  const std::uint32_t from_lower = packet.has(packet_flags::kFromLower) ? 1U : 0U;
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  constexpr std::uint32_t kApart = kIpv6DestinationOffset - kIpv6SourceOffset;
  return {IpAddress::v6(ip + kIpv6DestinationOffset - kApart * from_lower),
          IpAddress::v6(ip + kIpv6SourceOffset + kApart * from_lower)};
}

/// `beside` is read with IPv6 only.
inline FlowKey flow_key_of(const ShortKey& key, const Ipv6Addresses& beside) {
  if (key.is_ipv6()) return {beside.lower, beside.upper, key.rest};
  return {IpAddress::v4_of_word(static_cast<std::uint32_t>(key.addresses)),
          IpAddress::v4_of_word(static_cast<std::uint32_t>(key.addresses >> 32)), key.rest};
}
/// Preconditions: as short_key_of().
inline FlowKey flow_key_of(const Packet& packet) {
  const bool is_ipv6 = packet.has(packet_flags::kIpv6);
  return flow_key_of(short_key_of(packet), is_ipv6 ? ipv6_addresses_of(packet) : Ipv6Addresses{});
}
/// The other way round; its addresses are what is kept beside.
inline ShortKey short_key_of(const FlowKey& key) {
  if (FlowKey::is_ipv6(key.rest)) return {key.rest, ShortKey::kBeside};
  return {key.rest, key.lower_address.last_word() >> 32 |
                        (key.upper_address.last_word() >> 32 << 32)};
}

/// Keyed hash of the flow, equal for both directions. Sets flow_hash and kFromLower. Where both
/// end points are the same (a "land" packet), the source counts as the lower one.
/// Inline because it is called for every packet and its IPv4 form is a dozen instructions.
/// Preconditions: packet.verdict == Verdict::Tcp, offsets and encapsulation are set.
inline void hash_flow(Packet& packet, const HashSeed& seed) {
  if (packet.has(packet_flags::kIpv6)) {
    five_tuple_detail::hash_ipv6_flow(packet, seed);
    return;
  }
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  const std::uint8_t* tcp = packet.frame + packet.tcp_offset;
  const std::uint64_t source = five_tuple_detail::ipv4_endpoint(ip + kIpv4SourceOffset, tcp);
  const std::uint64_t destination =
      five_tuple_detail::ipv4_endpoint(ip + kIpv4DestinationOffset, tcp + 2);
  const std::uint64_t lower = source < destination ? source : destination;
  const std::uint64_t upper = source < destination ? destination : source;
  packet.flow_hash = five_tuple_detail::mix_ipv4(lower, upper, packet.encapsulation, seed);
  packet.flags = five_tuple_detail::with_from_lower(packet.flags, source <= destination);
}

/// What hash_flow() gives the packets of this connection: a connection stores its key only.
inline std::uint64_t hash_of(const FlowKey& key, const HashSeed& seed) {
  namespace detail = five_tuple_detail;
  const std::uint16_t lower_port = key.lower_port();
  const std::uint16_t upper_port = key.upper_port();
  const std::uint8_t ports[4] = {
      static_cast<std::uint8_t>(lower_port >> 8), static_cast<std::uint8_t>(lower_port),
      static_cast<std::uint8_t>(upper_port >> 8), static_cast<std::uint8_t>(upper_port)};
  const std::uint8_t* lower = key.lower_address.bytes.data();
  const std::uint8_t* upper = key.upper_address.bytes.data();
  if (FlowKey::is_ipv6(key.rest)) {
    return detail::mix_ipv6(detail::ipv6_endpoint(lower, ports),
                            detail::ipv6_endpoint(upper, ports + 2), key.encapsulation(), seed);
  }
  return detail::mix_ipv4(detail::ipv4_endpoint(lower + 12, ports),
                          detail::ipv4_endpoint(upper + 12, ports + 2), key.encapsulation(), seed);
}

}  // namespace flowloom
