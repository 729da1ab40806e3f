// Tunnels over UDP. A port alone proves nothing: a datagram is taken for a tunnel only where the
// header is sound and what it would carry is, too; all else stays UDP. UDP checksums are not
// looked at: most of these tunnels leave them 0.
#include "net/frame_walk.hpp"
#include "net/inner_header.hpp"

#include <array>

namespace flowloom {

namespace {

using Kind = EncapsulationLayer::Kind;

/// What a header was found to be; Layer::Done: no tunnel.
struct UdpTunnel {
  Layer next = Layer::Done;
  EncapsulationLayer layer{};
  std::uint32_t inner = 0;       ///< offset in the frame of what is carried
  std::uint16_t ether_type = 0;  ///< with Layer::EtherType
};

constexpr std::uint16_t kIpv4Type = 0x0800;
constexpr std::uint16_t kIpv6Type = 0x86dd;
constexpr std::uint16_t kBridgedType = 0x6558;
constexpr std::uint16_t kMplsType = 0x8847;
constexpr std::uint16_t kNshType = 0x894f;

UdpTunnel ether_type_at(const InnerBytes& in, std::uint32_t at, std::uint16_t type,
                        EncapsulationLayer layer) {
  if (!payload_stands_at(in, at, type)) return {};
  return {Layer::EtherType, layer, at, type};
}

// RFC 7348, 5; also what Linux used before it had a port, and OTV: flags with I, a network's
// number, Ethernet.
UdpTunnel read_vxlan(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint32_t kHeaderBytes = 8;
  constexpr unsigned kHasNumber = 0x08;
  if (!in.has(at, kHeaderBytes) || (in.u8(at) & kHasNumber) == 0) return {};
  return ether_type_at(in, at + kHeaderBytes, kBridgedType, {Kind::Vxlan, in.u24(at + 4)});
}

// draft-ietf-nvo3-vxlan-gpe, 3: version 0, I and P set, no OAM; the last byte of the first word
// names what follows.
UdpTunnel read_vxlan_gpe(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint32_t kHeaderBytes = 8;
  constexpr unsigned kCheckedBits = 0xc1 | 0x04;  // version, OAM, P
  constexpr unsigned kProtocolFollows = 0x04;
  constexpr auto kTypes = std::to_array<std::uint16_t>({0, kIpv4Type, kIpv6Type, kBridgedType,
                                                        kNshType, kMplsType});
  if (!in.has(at, kHeaderBytes) || (in.u8(at) & kCheckedBits) != kProtocolFollows) return {};
  const unsigned protocol = in.u8(at + 3);
  if (protocol == 0 || protocol >= kTypes.size()) return {};
  return ether_type_at(in, at + kHeaderBytes, kTypes[protocol], {Kind::VxlanGpe, in.u24(at + 4)});
}

// RFC 8926, 3.4: version 0, length of the options in words, an EtherType, a network's number.
UdpTunnel read_geneve(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint32_t kFixedBytes = 8;
  constexpr unsigned kVersionMask = 0xc0;
  constexpr unsigned kOptionWordsMask = 0x3f;
  constexpr unsigned kControl = 0x80;
  if (!in.has(at, kFixedBytes)) return {};
  if ((in.u8(at) & kVersionMask) != 0 || (in.u8(at + 1) & kControl) != 0) return {};
  const std::uint32_t bytes = kFixedBytes + (in.u8(at) & kOptionWordsMask) * 4;
  return ether_type_at(in, at + bytes, in.u16(at + 2), {Kind::Geneve, in.u24(at + 4)});
}

// Where the chain of extension headers of a GTP-U packet ends, or 0 where it is not sound. The
// first one's type stands before `at`; each ends with the type of the next (3GPP TS 29.281, 5.2).
std::uint32_t end_of_gtp_extensions(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint32_t kExtensionsMax = 8;
  constexpr unsigned kNoMore = 0;
  for (std::uint32_t i = 0; in.u8(at - 1) != kNoMore; ++i) {
    if (i == kExtensionsMax || !in.has(at, 1) || in.u8(at) == 0) return 0;
    const std::uint32_t bytes = in.u8(at) * 4U;
    if (!in.has(at, bytes)) return 0;
    at += bytes;
  }
  return at;
}

// TS 29.281, 5.1: version 1 of GTP proper, message type 255, a length that fits. Any of E, S and PN
// adds four bytes, of which E makes the last one count.
UdpTunnel read_gtp(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint32_t kFixedBytes = 8;
  constexpr std::uint32_t kOptionalBytes = 4;
  constexpr unsigned kVersionAndType = 0xf0;
  constexpr unsigned kVersion1 = 0x30;
  constexpr unsigned kAnyOptional = 0x07;
  constexpr unsigned kExtension = 0x04;
  constexpr unsigned kPacket = 255;
  if (!in.has(at, kFixedBytes)) return {};
  const unsigned flags = in.u8(at);
  if ((flags & kVersionAndType) != kVersion1 || in.u8(at + 1) != kPacket) return {};
  if (!in.cut && in.u16(at + 2) > in.end - at - kFixedBytes) return {};
  std::uint32_t inner = at + kFixedBytes;
  if ((flags & kAnyOptional) != 0) {
    if (!in.has(inner, kOptionalBytes)) return {};
    inner += kOptionalBytes;
  }
  if ((flags & kExtension) != 0) inner = end_of_gtp_extensions(in, inner);
  if (inner == 0 || !ip_stands_at(in, inner)) return {};
  return {Layer::IpByVersion, {Kind::Gtp, in.u32(at + 4)}, inner};
}

// RFC 4380, 5.1.1: authentication and the origin's address may stand before the IPv6 packet.
UdpTunnel read_teredo(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint16_t kAuthentication = 0x0001;
  constexpr std::uint16_t kOrigin = 0x0000;
  constexpr std::uint32_t kAuthenticationFixedBytes = 13;  // nonce and confirmation included
  constexpr std::uint32_t kOriginBytes = 8;
  if (in.has(at, 4) && in.u16(at) == kAuthentication) {
    at += kAuthenticationFixedBytes + in.u8(at + 2) + in.u8(at + 3);
  }
  if (in.has(at, 2) && in.u16(at) == kOrigin) at += kOriginBytes;
  if (!in.has(at, 1) || in.u8(at) >> 4 != 6 || !ip_stands_at(in, at)) return {};
  return {Layer::Ipv6, {Kind::Teredo, 0}, at};
}

// RFC 7510, 3.
UdpTunnel read_mpls(const InnerBytes& in, std::uint32_t at) {
  if (!labels_stand_at(in, at)) return {};
  return {Layer::Mpls, {Kind::MplsOverUdp, 0}, at};
}

// The first byte that is not of PPP's framing or protocol number, where that says IP; or 0.
std::uint32_t ip_in_ppp(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint16_t kAddressControl = 0xff03;
  if (in.has(at, 2) && in.u16(at) == kAddressControl) at += 2;
  if (in.has(at, 1) && in.u8(at) == 0) ++at;
  if (!in.has(at, 1) || (in.u8(at) != 0x21 && in.u8(at) != 0x57)) return 0;
  return at + 1;
}

// RFC 2661, 3.1: version 2, a data message; length, sequence numbers and padding by the flags.
UdpTunnel read_l2tp(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint16_t kControlAndVersion = 0x800f;
  constexpr std::uint16_t kDataVersion2 = 0x0002;
  constexpr std::uint16_t kLength = 0x4000;
  constexpr std::uint16_t kSequence = 0x0800;
  constexpr std::uint16_t kOffset = 0x0200;
  if (!in.has(at, 2)) return {};
  const std::uint16_t flags = in.u16(at);
  if ((flags & kControlAndVersion) != kDataVersion2) return {};
  at += (flags & kLength) != 0 ? 4 : 2;
  if (!in.has(at, 4)) return {};
  const std::uint32_t session = in.u16(at + 2);
  at += 4;
  if ((flags & kSequence) != 0) at += 4;
  if ((flags & kOffset) != 0) {
    if (!in.has(at, 2)) return {};
    at += 2U + in.u16(at);
  }
  at = ip_in_ppp(in, at);
  if (at == 0 || !ip_stands_at(in, at)) return {};
  return {Layer::IpByVersion, {Kind::L2tp, session}, at};
}

// RFC 9300, 5.3: eight bytes, then IP; with I set, three of them are an instance's number.
UdpTunnel read_lisp(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint32_t kHeaderBytes = 8;
  constexpr unsigned kInstance = 0x08;
  if (!in.has(at, kHeaderBytes) || !ip_stands_at(in, at + kHeaderBytes)) return {};
  const std::uint32_t instance = (in.u8(at) & kInstance) != 0 ? in.u24(at + 4) : 0;
  return {Layer::IpByVersion, {Kind::Lisp, instance}, at + kHeaderBytes};
}

// A sniffer's frames: version 1, a received or sent frame, its link type, and tagged fields up to
// one that ends them.
UdpTunnel read_tzsp(const InnerBytes& in, std::uint32_t at) {
  constexpr std::uint32_t kHeaderBytes = 4;
  constexpr std::uint32_t kFieldsMax = 32;
  constexpr unsigned kVersion = 1;
  constexpr unsigned kLastFrameType = 1;
  constexpr std::uint16_t kEthernet = 1;
  constexpr unsigned kPadding = 0;
  constexpr unsigned kEnd = 1;
  if (!in.has(at, kHeaderBytes) || in.u8(at) != kVersion || in.u8(at + 1) > kLastFrameType ||
      in.u16(at + 2) != kEthernet) {
    return {};
  }
  at += kHeaderBytes;
  for (std::uint32_t i = 0; i < kFieldsMax && in.has(at, 2); ++i) {
    const unsigned field = in.u8(at);
    if (field == kEnd) return ether_type_at(in, at + 1, kBridgedType, {Kind::Tzsp, 0});
    at += field == kPadding ? 1U : 2U + in.u8(at + 1);
  }
  return {};
}

using Reader = UdpTunnel (*)(const InnerBytes&, std::uint32_t);

// By destination port only where replies come back to another one.
Reader reader_of_destination(std::uint16_t port) {
  switch (port) {
    case 4789:
    case 8472:
      return read_vxlan;
    case 4790:
      return read_vxlan_gpe;
    case 6081:
      return read_geneve;
    case 2152:
      return read_gtp;
    case 3544:
      return read_teredo;
    case 6635:
      return read_mpls;
    case 1701:
      return read_l2tp;
    case 4341:
      return read_lisp;
    case 37008:
      return read_tzsp;
    default:
      return nullptr;
  }
}

Reader reader_of_source(std::uint16_t port) {
  switch (port) {
    case 4789:
    case 8472:
    case 2152:
    case 3544:
    case 1701:
      return reader_of_destination(port);
    default:
      return nullptr;
  }
}

}  // namespace

Layer udp_layer(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 8;
  const std::uint32_t on_wire = walk.datagram_end - walk.offset;
  if (on_wire < kHeaderBytes || walk.left() < kHeaderBytes) return walk.stop(Verdict::Udp);
  const std::uint8_t* udp = walk.here();
  const Reader readers[] = {reader_of_destination(load_be16(udp + 2)),
                            reader_of_source(load_be16(udp))};
  const std::uint32_t length = load_be16(udp + 4) == 0 ? on_wire : load_be16(udp + 4);
  if (length < kHeaderBytes || length > on_wire) return walk.stop(Verdict::Udp);
  const std::uint32_t end = walk.offset + length;
  for (const Reader reader : readers) {
    if (reader == nullptr) continue;
    const UdpTunnel tunnel = reader(inner_bytes(walk, end), walk.offset + kHeaderBytes);
    if (tunnel.next == Layer::Done) continue;
    walk.ether_type = tunnel.ether_type;
    return walk.enter_tunnel(tunnel.layer, end, tunnel.inner - walk.offset, tunnel.next);
  }
  return walk.stop(Verdict::Udp);
}

}  // namespace flowloom
