#include "perf/gen/layers.hpp"

#include "perf/gen/bytes.hpp"
#include "perf/gen/tcp_bytes.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <stdexcept>

namespace flowloom::gen {

namespace {

constexpr std::size_t kEthernetBytes = 14;
constexpr std::size_t kVlanBytes = 4;
constexpr std::size_t kSmallestFrame = 60;
constexpr std::uint8_t kPaddingByte = 0xaa;
constexpr std::size_t kIpv4Bytes = 20;
constexpr std::size_t kIpv6Bytes = 40;
constexpr std::size_t kFragmentBytes = 8;
constexpr std::size_t kUdpBytes = 8;
constexpr std::size_t kVxlanBytes = 8;
constexpr std::uint8_t kHopLimit = 64;
constexpr std::uint32_t kTunnelHosts = 0xac10'0000;  // 172.16.0.0

constexpr std::uint16_t kTypeIpv4 = 0x0800;
constexpr std::uint16_t kTypeIpv6 = 0x86dd;
constexpr std::uint16_t kTypeVlan = 0x8100;
constexpr std::uint16_t kTypeServiceVlan = 0x88a8;
constexpr std::uint16_t kTypeBridged = 0x6558;
constexpr std::uint16_t kPortVxlan = 4789;
constexpr std::uint16_t kPortGeneve = 6081;
constexpr std::uint16_t kPortSource = 50'000;

constexpr std::uint8_t kProtocolIpv4 = 4;
constexpr std::uint8_t kProtocolUdp = 17;
constexpr std::uint8_t kProtocolIpv6 = 41;
constexpr std::uint8_t kProtocolFragment = 44;
constexpr std::uint8_t kProtocolGre = 47;

std::uint16_t type_of(Family family) {
  return family == Family::V4 ? kTypeIpv4 : kTypeIpv6;
}

}  // namespace

std::string to_string(const Tunnel& tunnel) {
  switch (tunnel.kind) {
    case TunnelKind::Ipip:
      return "ipip";
    case TunnelKind::SixInFour:
      return "6in4";
    case TunnelKind::FourInSix:
      return "4in6";
    case TunnelKind::Gre:
      return tunnel.number == 0 ? "gre" : fmt::format("gre:{}", tunnel.number);
    case TunnelKind::Vxlan:
      return fmt::format("vxlan:{}", tunnel.number);
    case TunnelKind::Geneve:
      return fmt::format("geneve:{}", tunnel.number);
  }
  throw std::logic_error("no such tunnel");
}

std::uint8_t* LayeredFrames::push(std::size_t bytes) {
  if (bytes > begin_) throw std::logic_error("too many layers");
  begin_ -= bytes;
  std::memset(buffer_.data() + begin_, 0, bytes);
  return buffer_.data() + begin_;
}

void LayeredFrames::put_ipv4(const Route& route, const Piece& piece, std::size_t offset,
                             bool more) {
  constexpr std::size_t kDontFragment = 0x4000;
  constexpr std::size_t kMore = 0x2000;
  const std::size_t bytes = end_ - begin_;
  std::uint8_t* const ip = push(kIpv4Bytes);
  ip[0] = 0x45;
  store16(ip + 2, kIpv4Bytes + bytes);
  store16(ip + 4, piece.id);
  store16(ip + 6, piece.count == 1 ? kDontFragment : (more ? kMore : 0) | offset / 8);
  ip[8] = kHopLimit;
  ip[9] = route.protocol;
  std::memcpy(ip + 12, wire_address(Family::V4, address_of(Family::V4, route.from)), 4);
  std::memcpy(ip + 16, wire_address(Family::V4, address_of(Family::V4, route.to)), 4);
  store_checksum(ip + 10, sum_of(ip, kIpv4Bytes));
}

void LayeredFrames::put_ipv6(const Route& route, const Piece& piece, std::size_t offset,
                             bool more) {
  if (piece.count > 1) {
    std::uint8_t* const extension = push(kFragmentBytes);
    extension[0] = route.protocol;
    store16(extension + 2, offset | (more ? 1U : 0U));  // in units of 8, shifted by 3
    store32(extension + 4, piece.id);
  }
  const std::size_t bytes = end_ - begin_;
  std::uint8_t* const ip = push(kIpv6Bytes);
  ip[0] = 0x60;
  store16(ip + 4, bytes);
  ip[6] = piece.count > 1 ? kProtocolFragment : route.protocol;
  ip[7] = kHopLimit;
  std::memcpy(ip + 8, address_of(Family::V6, route.from).data(), 16);
  std::memcpy(ip + 24, address_of(Family::V6, route.to).data(), 16);
}

/// What is in the buffer, or that piece of it, becomes a datagram.
void LayeredFrames::put_ip(const Route& route, const Piece& piece) {
  const std::size_t bytes = end_ - begin_;
  std::size_t offset = 0;
  bool more = false;
  if (piece.count > 1) {
    const std::size_t step = (bytes / piece.count / 8 + 1) * 8;
    offset = piece.index * step;
    more = offset + step < bytes;
    end_ = begin_ + std::min(bytes, offset + step);
    begin_ += offset;
  }
  if (route.family == Family::V4) {
    put_ipv4(route, piece, offset, more);
  } else {
    put_ipv6(route, piece, offset, more);
  }
}

LayeredFrames::Route LayeredFrames::put_tunnel(const Tunnel& tunnel, Side sender, Family inner) {
  const bool forth = sender == Side::Client;
  const std::uint32_t host = kTunnelHosts + 2 * tunnel.hosts;
  Route route{.family = Family::V4, .from = host, .to = host + 1, .protocol = 0};
  if (!forth) std::swap(route.from, route.to);
  switch (tunnel.kind) {
    case TunnelKind::Ipip:
      route.protocol = kProtocolIpv4;
      return route;
    case TunnelKind::SixInFour:
      route.protocol = kProtocolIpv6;
      return route;
    case TunnelKind::FourInSix:
      route.family = Family::V6;
      route.protocol = kProtocolIpv4;
      return route;
    case TunnelKind::Gre: {
      constexpr std::uint64_t kKeyPresent = 0x2000;
      std::uint8_t* const gre = push(tunnel.number == 0 ? 4 : 8);
      store16(gre + 2, type_of(inner));
      if (tunnel.number != 0) {
        store16(gre, kKeyPresent);
        store32(gre + 4, tunnel.number);
      }
      route.protocol = kProtocolGre;
      return route;
    }
    case TunnelKind::Vxlan:
    case TunnelKind::Geneve:
      break;
  }
  std::uint8_t* const ethernet = push(kEthernetBytes);
  std::memset(ethernet, 0x02, 12);
  store16(ethernet + 12, type_of(inner));
  std::uint8_t* const header = push(kVxlanBytes);  // GENEVE's is as long
  const bool vxlan = tunnel.kind == TunnelKind::Vxlan;
  if (vxlan) {
    header[0] = 0x08;
  } else {
    store16(header + 2, kTypeBridged);
  }
  store32(header + 4, std::uint64_t{tunnel.number} << 8);
  const std::size_t bytes = end_ - begin_ + kUdpBytes;
  std::uint8_t* const udp = push(kUdpBytes);  // over IPv4 a checksum of 0 is none
  store16(udp, kPortSource);
  store16(udp + 2, vxlan ? kPortVxlan : kPortGeneve);
  store16(udp + 4, bytes);
  route.protocol = kProtocolUdp;
  return route;
}

void LayeredFrames::put_ethernet(const Wrapping& wrapping, Family family) {
  std::uint16_t type = type_of(family);
  for (std::size_t i = wrapping.vlans.size(); i-- > 0;) {
    std::uint8_t* const tag = push(kVlanBytes);
    store16(tag, wrapping.vlans[i]);
    store16(tag + 2, type);
    type = i == 0 && wrapping.vlans.size() > 1 ? kTypeServiceVlan : kTypeVlan;
  }
  std::uint8_t* const ethernet = push(kEthernetBytes);
  std::memset(ethernet, 0x02, 12);
  store16(ethernet + 12, type);
  if (!wrapping.padded) return;
  for (; end_ - begin_ < kSmallestFrame; ++end_) buffer_[end_] = kPaddingByte;
}

std::span<const std::uint8_t> LayeredFrames::make(const Identity& identity,
                                                  const Segment& segment,
                                                  const Wrapping& wrapping, const Piece& piece) {
  begin_ = kHeadroom;
  end_ = begin_ + write_tcp(identity, segment, buffer_.data() + begin_);
  const std::size_t from = index_of(segment.side);
  Route route{.family = identity.family,
              .from = identity.ends[from].host,
              .to = identity.ends[1 - from].host,
              .protocol = kProtocolTcp};
  const bool inner_cut = wrapping.cut == Cut::Innermost || wrapping.tunnels.empty();
  for (std::size_t i = wrapping.tunnels.size(); i-- > 0;) {
    const bool innermost = i + 1 == wrapping.tunnels.size();
    put_ip(route, innermost && inner_cut ? piece : Piece{});
    route = put_tunnel(wrapping.tunnels[i], segment.side, route.family);
  }
  put_ip(route, wrapping.tunnels.empty() || !inner_cut ? piece : Piece{});
  put_ethernet(wrapping, route.family);
  return {buffer_.data() + begin_, end_ - begin_};
}

}  // namespace flowloom::gen
