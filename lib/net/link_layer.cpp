#include "net/link_layer.hpp"

#include <array>
#include <cstddef>

namespace flowloom {

namespace {

// PPP in HDLC-like framing (RFC 1662, 3.1): all stations, unnumbered information.
constexpr std::uint16_t kPppAddressControl = 0xff03;
// Cisco HDLC: unicast or multicast address, control 0, then an EtherType.
constexpr std::uint8_t kCiscoUnicast = 0x0f;
constexpr std::uint8_t kCiscoMulticast = 0x8f;
constexpr std::uint32_t kCiscoHeaderBytes = 4;

constexpr std::uint32_t kNullHeaderBytes = 4;
constexpr std::uint32_t kSllHeaderBytes = 16;
constexpr std::uint32_t kSll2HeaderBytes = 20;
constexpr std::uint32_t kSlipHeaderBytes = 16;  // direction, 15 bytes of the compressed header
constexpr std::uint32_t kFddiHeaderBytes = 13;
constexpr std::uint32_t kTokenRingHeaderBytes = 14;
constexpr std::uint32_t kTokenRingSourceOffset = 8;

// What the systems that write NULL and LOOP call IPv4 and IPv6.
enum class Family : std::uint8_t { Other, Ipv4, Ipv6 };

Family family_of(std::uint32_t number) {
  switch (number) {
    case 2:
      return Family::Ipv4;
    case 10:  // Linux
    case 23:  // Windows
    case 24:  // NetBSD, OpenBSD, BSD/OS, Npcap
    case 28:  // FreeBSD
    case 30:  // Darwin
      return Family::Ipv6;
    default:
      return Family::Other;
  }
}

Layer ip_of_family(FrameWalk& walk, std::uint32_t header_bytes, std::uint32_t number) {
  switch (family_of(number)) {
    case Family::Ipv4:
      return walk.skip(header_bytes, Layer::Ipv4);
    case Family::Ipv6:
      return walk.skip(header_bytes, Layer::Ipv6);
    case Family::Other:
      break;
  }
  return walk.stop(Verdict::NotIp);
}

// NULL and LOOP differ in the byte order of the family; files hold both orders under both
// numbers, and only one of them gives a small number. Some writers put an EtherType there.
Layer null_or_loop(FrameWalk& walk) {
  if (walk.left() < kNullHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  constexpr std::uint32_t kSmall = 0xffff;
  std::uint32_t family = load_be32(walk.here());
  if (family > kSmall) family = __builtin_bswap32(family);
  if (family >= kEtherTypeMin && family <= kSmall) {
    return walk.skip_to_ether_type(kNullHeaderBytes, static_cast<std::uint16_t>(family));
  }
  return ip_of_family(walk, kNullHeaderBytes, family);
}

Layer cisco_hdlc(FrameWalk& walk) {
  if (walk.left() < kCiscoHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  return walk.skip_to_ether_type(kCiscoHeaderBytes, load_be16(walk.here() + 2));
}

// PPP with or without its address and control bytes (RFC 1661, 6.6 lets peers leave them out), or
// Cisco HDLC, which real captures hold under both link types of PPP: the address byte tells. No
// PPP protocol number begins like it (RFC 1661, 2: the first of its two bytes is even).
Layer ppp_framing(FrameWalk& walk) {
  if (walk.left() < 2) return walk.stop(Verdict::TruncatedLink);
  const std::uint8_t address = *walk.here();
  if (address == kCiscoUnicast || address == kCiscoMulticast) return cisco_hdlc(walk);
  return walk.skip(load_be16(walk.here()) == kPppAddressControl ? 2 : 0, Layer::Ppp);
}

// The cooked protocol is an EtherType, or a small number of Linux's own (if_ether.h).
Layer cooked(FrameWalk& walk, std::uint32_t header_bytes, std::uint16_t protocol) {
  constexpr std::uint16_t kLinux8022 = 4;
  if (protocol >= kEtherTypeMin) return walk.skip_to_ether_type(header_bytes, protocol);
  if (protocol == kLinux8022) return walk.skip(header_bytes, Layer::Llc);
  return walk.stop(Verdict::NotIp);
}

}  // namespace

template <>
Layer parse_link<LinkType::Null>(FrameWalk& walk) {
  return null_or_loop(walk);
}

template <>
Layer parse_link<LinkType::Loop>(FrameWalk& walk) {
  return null_or_loop(walk);
}

template <>
Layer parse_link<LinkType::Ethernet>(FrameWalk&) {
  return Layer::Ethernet;
}

template <>
Layer parse_link<LinkType::Raw>(FrameWalk&) {
  return Layer::IpByVersion;
}

template <>
Layer parse_link<LinkType::Ipv4>(FrameWalk&) {
  return Layer::Ipv4;
}

template <>
Layer parse_link<LinkType::Ipv6>(FrameWalk&) {
  return Layer::Ipv6;
}

template <>
Layer parse_link<LinkType::LinuxSll>(FrameWalk& walk) {
  if (walk.left() < kSllHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  constexpr std::uint32_t kProtocolOffset = 14;
  return cooked(walk, kSllHeaderBytes, load_be16(walk.here() + kProtocolOffset));
}

template <>
Layer parse_link<LinkType::LinuxSll2>(FrameWalk& walk) {
  if (walk.left() < kSll2HeaderBytes) return walk.stop(Verdict::TruncatedLink);
  return cooked(walk, kSll2HeaderBytes, load_be16(walk.here()));
}

template <>
Layer parse_link<LinkType::Ppp>(FrameWalk& walk) {
  return ppp_framing(walk);
}

template <>
Layer parse_link<LinkType::PppSerial>(FrameWalk& walk) {
  return ppp_framing(walk);
}

template <>
Layer parse_link<LinkType::PppEther>(FrameWalk&) {
  return Layer::PppoeSession;
}

// The Global Routing Header of InfiniBand, then RFC 4391, 6: an EtherType and two reserved bytes.
template <>
Layer parse_link<LinkType::Ipoib>(FrameWalk& walk) {
  constexpr std::uint32_t kRoutingHeaderBytes = 40;
  constexpr std::uint32_t kHeaderBytes = kRoutingHeaderBytes + 4;
  if (walk.left() < kHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  return walk.skip_to_ether_type(kHeaderBytes, load_be16(walk.here() + kRoutingHeaderBytes));
}

template <>
Layer parse_link<LinkType::CiscoHdlc>(FrameWalk& walk) {
  return cisco_hdlc(walk);
}

// BSD's SLIP: the kernel has already undone header compression below this pseudo-header.
template <>
Layer parse_link<LinkType::Slip>(FrameWalk& walk) {
  if (walk.left() < kSlipHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  return walk.skip(kSlipHeaderBytes, Layer::IpByVersion);
}

// Frame control, destination, source; asynchronous and synchronous LLC frames carry 802.2.
template <>
Layer parse_link<LinkType::Fddi>(FrameWalk& walk) {
  if (walk.left() < kFddiHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  constexpr std::uint8_t kFormatMask = 0x70;
  constexpr std::uint8_t kLlcFormat = 0x50;
  if ((*walk.here() & kFormatMask) != kLlcFormat) return walk.stop(Verdict::NotIp);
  return walk.skip(kFddiHeaderBytes, Layer::Llc);
}

// Access and frame control, addresses, then routing information where the source's top bit is set
// (802.5, 3.3).
template <>
Layer parse_link<LinkType::TokenRing>(FrameWalk& walk) {
  if (walk.left() < kTokenRingHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  constexpr std::uint8_t kFrameTypeMask = 0xc0;
  constexpr std::uint8_t kLlcFrame = 0x40;
  constexpr std::uint8_t kSourceRouted = 0x80;
  constexpr std::uint8_t kRoutingLengthMask = 0x1f;
  const std::uint8_t* header = walk.here();
  if ((header[1] & kFrameTypeMask) != kLlcFrame) return walk.stop(Verdict::NotIp);
  std::uint32_t bytes = kTokenRingHeaderBytes;
  if ((header[kTokenRingSourceOffset] & kSourceRouted) != 0) {
    if (walk.left() < bytes + 2) return walk.stop(Verdict::TruncatedLink);
    bytes += header[kTokenRingHeaderBytes] & kRoutingLengthMask;
    if (walk.left() < bytes) return walk.stop(Verdict::TruncatedLink);
  }
  return walk.skip(bytes, Layer::Llc);
}

// Family, version, resource, then attributes of netlink: length and type in the byte order of the
// machine that wrote them, values padded to 4 bytes. The first type tells the order: types are
// small numbers.
template <>
Layer parse_link<LinkType::Nflog>(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 4;
  constexpr std::uint32_t kAttributeBytes = 4;
  constexpr std::uint32_t kAttributesMax = 64;
  constexpr std::uint16_t kPayloadAttribute = 9;
  constexpr std::uint16_t kTypesEnd = 256;
  if (walk.left() < kHeaderBytes + kAttributeBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint8_t family = *walk.here();
  walk.offset += kHeaderBytes;
  const bool little = load_native<std::uint16_t>(walk.here() + 2) < kTypesEnd;
  for (std::uint32_t i = 0; i < kAttributesMax; ++i) {
    if (walk.left() < kAttributeBytes) break;
    const std::uint8_t* a = walk.here();
    const std::uint32_t length = little ? load_native<std::uint16_t>(a) : load_be16(a);
    const std::uint32_t type = little ? load_native<std::uint16_t>(a + 2) : load_be16(a + 2);
    if (type == kPayloadAttribute) return ip_of_family(walk, kAttributeBytes, family);
    const std::uint32_t padded = (length + 3) & ~std::uint32_t{3};
    if (length < kAttributeBytes || padded > walk.left()) break;
    walk.offset += padded;
  }
  return walk.stop(Verdict::TruncatedLink);
}

namespace {

constexpr std::uint32_t kMacsBytes = 12;

// What a switch chip puts behind the MAC addresses, `bytes` of it; the EtherType follows.
Layer skip_switch_tag(FrameWalk& walk, std::uint32_t bytes) {
  const std::uint32_t header_bytes = kMacsBytes + bytes + 2;
  if (walk.left() < header_bytes) return walk.stop(Verdict::TruncatedLink);
  return walk.skip_to_ether_type(header_bytes, load_be16(walk.here() + kMacsBytes + bytes));
}

// Marvell's tag takes the place of a VLAN tag where the frame had one, whose id it then holds.
Layer skip_marvell_tag(FrameWalk& walk, std::uint32_t before) {
  constexpr std::uint32_t kTagBytes = 4;
  constexpr std::uint8_t kHadVlanTag = 0x20;
  constexpr std::uint16_t kVlanIdMask = 0x0fff;
  const std::uint32_t at = kMacsBytes + before;
  if (walk.left() < at + kTagBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint8_t* tag = walk.here() + at;
  const std::uint32_t id = std::uint32_t{load_be16(tag + 2)} & kVlanIdMask;
  if ((tag[0] & kHadVlanTag) != 0 && !walk.add_tag(EncapsulationLayer::Kind::Vlan, id)) {
    return walk.stop(Verdict::TooManyTags);
  }
  return skip_switch_tag(walk, before + kTagBytes);
}

// RFC 2684 with LLC, or the datagram by itself (VC multiplexing).
Layer llc_or_ip(FrameWalk& walk) {
  constexpr std::uint8_t kSnap = 0xaa;
  if (walk.left() == 0) return walk.stop(Verdict::TruncatedLink);
  return *walk.here() == kSnap ? Layer::Llc : Layer::IpByVersion;
}

// A capture header of little-endian length and link type, then a frame of that type: but not of
// one that has such a header itself.
Layer link_within(FrameWalk& walk, std::uint32_t header_bytes, std::uint32_t linktype) {
  const LinkType link = link_type_from_number(linktype);
  if (link == LinkType::Unknown || link == LinkType::Ppi || link == LinkType::Pktap) {
    return walk.stop(Verdict::UnknownLink);
  }
  if (walk.left() < header_bytes) return walk.stop(Verdict::TruncatedLink);
  walk.offset += header_bytes;
  return link_layer(walk, link);
}

std::uint32_t load_le32(const std::uint8_t* p) { return __builtin_bswap32(load_be32(p)); }
std::uint16_t load_le16(const std::uint8_t* p) { return __builtin_bswap16(load_be16(p)); }

}  // namespace

template <>
Layer parse_link<LinkType::BroadcomTag>(FrameWalk& walk) {
  constexpr std::uint32_t kTagBytes = 4;
  return skip_switch_tag(walk, kTagBytes);
}

template <>
Layer parse_link<LinkType::BroadcomTagFirst>(FrameWalk& walk) {
  constexpr std::uint32_t kTagBytes = 4;
  if (walk.left() < kTagBytes) return walk.stop(Verdict::TruncatedLink);
  return walk.skip(kTagBytes, Layer::Ethernet);
}

template <>
Layer parse_link<LinkType::DsaTag>(FrameWalk& walk) {
  return skip_marvell_tag(walk, 0);
}

// The same tag behind an EtherType of its own and two reserved bytes.
template <>
Layer parse_link<LinkType::EdsaTag>(FrameWalk& walk) {
  constexpr std::uint32_t kEtherTypeAndReservedBytes = 4;
  return skip_marvell_tag(walk, kEtherTypeAndReservedBytes);
}

// Q.922 address up to a byte with its lowest bit set, then RFC 2427, 3 (control, padding, a network
// layer's number), or Cisco's form, an EtherType.
template <>
Layer parse_link<LinkType::FrameRelay>(FrameWalk& walk) {
  constexpr std::uint32_t kAddressBytesMax = 4;
  constexpr std::uint8_t kLastAddressByte = 0x01;
  constexpr std::uint8_t kUnnumbered = 0x03;
  constexpr std::uint8_t kPadding = 0x00;
  constexpr std::uint8_t kIpv4Number = 0xcc;
  constexpr std::uint8_t kIpv6Number = 0x8e;
  constexpr std::uint8_t kSnapNumber = 0x80;
  constexpr std::uint32_t kSnapBytes = 6;  // with the number before it
  std::uint32_t at = 0;
  do {
    if (at == kAddressBytesMax) return walk.stop(Verdict::NotIp);
    if (walk.left() < at + 3) return walk.stop(Verdict::TruncatedLink);
  } while ((walk.here()[at++] & kLastAddressByte) == 0);
  const std::uint8_t* p = walk.here();
  if (p[at] != kUnnumbered) return walk.skip_to_ether_type(at + 2, load_be16(p + at));
  if (p[++at] == kPadding) ++at;
  if (walk.left() < at + 1) return walk.stop(Verdict::TruncatedLink);
  switch (p[at]) {
    case kIpv4Number:
      return walk.skip(at + 1, Layer::Ipv4);
    case kIpv6Number:
      return walk.skip(at + 1, Layer::Ipv6);
    case kSnapNumber:
      break;
    default:
      return walk.stop(Verdict::NotIp);
  }
  if (walk.left() < at + kSnapBytes) return walk.stop(Verdict::TruncatedLink);
  return walk.skip_to_ether_type(at + kSnapBytes, load_be16(p + at + kSnapBytes - 2));
}

template <>
Layer parse_link<LinkType::AtmRfc1483>(FrameWalk& walk) {
  return llc_or_ip(walk);
}

// Kind of traffic, path and channel.
template <>
Layer parse_link<LinkType::SunAtm>(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 4;
  constexpr std::uint8_t kKindMask = 0x0f;
  constexpr std::uint8_t kLlcKind = 2;
  if (walk.left() < kHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  if ((*walk.here() & kKindMask) != kLlcKind) return walk.stop(Verdict::NotIp);
  walk.offset += kHeaderBytes;
  return llc_or_ip(walk);
}

// Direction, then PPP without framing or with it.
template <>
Layer parse_link<LinkType::PppPppd>(FrameWalk& walk) {
  if (walk.left() < 1) return walk.stop(Verdict::TruncatedLink);
  return walk.skip(1, Layer::PppFraming);
}

// OpenBSD's IPsec interface: family in the byte order of the machine, SPI, flags.
template <>
Layer parse_link<LinkType::Enc>(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 12;
  constexpr std::uint32_t kSmall = 0xffff;
  if (walk.left() < kHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  std::uint32_t family = load_be32(walk.here());
  if (family > kSmall) family = __builtin_bswap32(family);
  return ip_of_family(walk, kHeaderBytes, family);
}

// Length of the header, less the padding to four bytes; family.
template <>
Layer parse_link<LinkType::Pflog>(FrameWalk& walk) {
  if (walk.left() < 2) return walk.stop(Verdict::TruncatedLink);
  const std::uint32_t bytes = (walk.here()[0] + 3U) & ~3U;
  if (walk.left() < bytes) return walk.stop(Verdict::TruncatedLink);
  return ip_of_family(walk, bytes, walk.here()[1]);
}

// Solaris: version, family, and 22 bytes about zones.
template <>
Layer parse_link<LinkType::Ipnet>(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 24;
  if (walk.left() < kHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  return walk.skip(kHeaderBytes, Layer::IpByVersion);
}

template <>
Layer parse_link<LinkType::Ppi>(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 8;
  if (walk.left() < kHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint32_t bytes = load_le16(walk.here() + 2);
  if (bytes < kHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  return link_within(walk, bytes, load_le32(walk.here() + 4));
}

// Apple's: length, kind of record (1: a packet), link type.
template <>
Layer parse_link<LinkType::Pktap>(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 12;
  constexpr std::uint32_t kPacketRecord = 1;
  if (walk.left() < kHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint32_t bytes = load_le32(walk.here());
  if (load_le32(walk.here() + 4) != kPacketRecord) return walk.stop(Verdict::NotIp);
  if (bytes < kHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  return link_within(walk, bytes, load_le32(walk.here() + 8));
}

namespace {

Layer unknown_link(FrameWalk& walk) {
  return walk.stop(Verdict::UnknownLink);
}

// What write_reassembled_header() has written, then the datagram.
Layer reassembled_link(FrameWalk& walk) {
  if (walk.left() < kReassembledFixedBytes) return walk.stop(Verdict::UnknownLink);
  const std::uint8_t* p = walk.here();
  const std::uint32_t count = p[0];
  const std::size_t bytes = kReassembledFixedBytes + count * kReassembledLayerBytes;
  if (count > kMaxEncapsulationLayers || walk.left() < bytes) {
    return walk.stop(Verdict::UnknownLink);
  }
  walk.tunnel_count = p[1];
  walk.tag_count = p[2];
  walk.list.count = count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint8_t* layer = p + kReassembledFixedBytes + i * kReassembledLayerBytes;
    if (layer[0] >= kEncapsulationKinds.size()) return walk.stop(Verdict::UnknownLink);
    walk.list.layers[i] = {static_cast<EncapsulationLayer::Kind>(layer[0]), load_be32(layer + 1)};
  }
  return walk.skip(static_cast<std::uint32_t>(bytes), Layer::IpByVersion);
}

// Indexed by LinkType.
constexpr auto kLinkFunctions = std::to_array<Layer (*)(FrameWalk&)>({
    unknown_link,
#define LINK(symbol, linktype, name) parse_link<LinkType::symbol>,
#include "net/links.def"
#undef LINK
    reassembled_link,
    reassembled_link,  // Contradicted
});

}  // namespace

Layer link_layer(FrameWalk& walk, LinkType link) {
  const auto row = static_cast<std::size_t>(link);
  return row < kLinkFunctions.size() ? kLinkFunctions[row](walk) : unknown_link(walk);
}

}  // namespace flowloom
