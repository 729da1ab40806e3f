// What stands between the link type's header and IP: Ethernet, tags, labels, LLC, PPPoE and PPP.
#include "net/frame_walk.hpp"
#include "net/inner_header.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kVlanTagBytes = 4;
constexpr std::uint32_t kLabelBytes = 4;
constexpr std::uint16_t kLengthMax = 1500;  // 802.3, 3.2.6: up to here the field is a length

// Whether an Ethernet header that flowloom can follow stands at `bytes` from here.
bool ethernet_at(const FrameWalk& walk, std::uint32_t bytes) {
  if (walk.left() < bytes + kEthernetHeaderBytes) return false;
  return layer_of_ether_type(load_be16(walk.here() + bytes + kEthernetTypeOffset)) != Layer::Done;
}

// What is below the bottom of a label stack is not written anywhere; the first nibble tells
// (RFC 4385, 3; RFC 4928, 3): 4 and 6 are IP, 0 a pseudowire's control word. A pseudowire may also
// go without one, so Ethernet is looked for in both places.
Layer below_labels(FrameWalk& walk) {
  constexpr std::uint32_t kControlWordBytes = 4;
  if (walk.left() == 0) return walk.stop(Verdict::TruncatedLink);
  switch (*walk.here() >> 4) {
    case 4:
      return Layer::Ipv4;
    case 6:
      return Layer::Ipv6;
    case 0:
      if (ethernet_at(walk, kControlWordBytes)) {
        return walk.skip(kControlWordBytes, Layer::Ethernet);
      }
      break;
    default:
      break;
  }
  return ethernet_at(walk, 0) ? Layer::Ethernet : walk.stop(Verdict::NotIp);
}

}  // namespace

Layer layer_of_ether_type(std::uint16_t type) {
  switch (type) {
    case 0x0800:
      return Layer::Ipv4;
    case 0x86dd:
      return Layer::Ipv6;
    case 0x8100:  // 802.1Q
    case 0x88a8:  // 802.1ad
    case 0x9100:  // stacked tags before 802.1ad
    case 0x9200:
      return Layer::Vlan;
    case 0x8847:
    case 0x8848:
      return Layer::Mpls;
    case 0x8864:
      return Layer::PppoeSession;
    case 0x6558:  // transparent bridging
      return Layer::Ethernet;
    case 0x8926:
      return Layer::VnTag;
    case 0x894f:
      return Layer::Nsh;
    case 0x88e7:
      return Layer::Pbb;
    case 0x8909:
      return Layer::CiscoMetadata;
    case 0x8870:  // a frame too long for a length field, with LLC
      return Layer::Llc;
    default:
      return Layer::Done;
  }
}

Layer ethernet_layer(FrameWalk& walk) {
  if (walk.left() < kEthernetHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  return walk.skip_to_ether_type(kEthernetHeaderBytes,
                                 load_be16(walk.here() + kEthernetTypeOffset));
}

Layer ether_type_layer(FrameWalk& walk) {
  if (walk.ether_type <= kLengthMax) return Layer::Llc;
  const Layer next = layer_of_ether_type(walk.ether_type);
  return next != Layer::Done ? next : walk.stop(Verdict::NotIp);
}

Layer vlan_layer(FrameWalk& walk) {
  constexpr std::uint16_t kVlanIdMask = 0x0fff;
  if (walk.left() < kVlanTagBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint16_t id = load_be16(walk.here()) & kVlanIdMask;
  if (!walk.add_tag(EncapsulationLayer::Kind::Vlan, id)) return walk.stop(Verdict::TooManyTags);
  return walk.skip_to_ether_type(kVlanTagBytes, load_be16(walk.here() + 2));
}

Layer mpls_layer(FrameWalk& walk) {
  constexpr std::uint32_t kBottomOfStack = 0x100;
  constexpr std::uint32_t kLabelShift = 12;
  for (;;) {  // ends with the bottom of the stack, the frame or add_tag()
    if (walk.left() < kLabelBytes) return walk.stop(Verdict::TruncatedLink);
    const std::uint32_t entry = load_be32(walk.here());
    if (!walk.add_tag(EncapsulationLayer::Kind::Mpls, entry >> kLabelShift)) {
      return walk.stop(Verdict::TooManyTags);
    }
    walk.offset += kLabelBytes;
    if ((entry & kBottomOfStack) != 0) return below_labels(walk);
  }
}

// Version and type 1, code, session, length (RFC 2516, 4). The length adds nothing to the one
// that IP states.
Layer pppoe_layer(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 6;
  constexpr std::uint16_t kSessionData = 0x1100;
  if (walk.left() < kHeaderBytes) return walk.stop(Verdict::TruncatedLink);
  if (load_be16(walk.here()) != kSessionData) return walk.stop(Verdict::NotIp);
  if (!walk.add_tag(EncapsulationLayer::Kind::Pppoe, load_be16(walk.here() + 2))) {
    return walk.stop(Verdict::TooManyTags);
  }
  return walk.skip(kHeaderBytes, Layer::Ppp);
}

// Two interfaces of the switch, one per end of its cable; the receiver's is the one that is listed.
Layer vn_tag_layer(FrameWalk& walk) {
  constexpr std::uint32_t kTagBytes = 4;
  constexpr std::uint16_t kInterfaceMask = 0x3fff;
  if (walk.left() < kTagBytes + 2) return walk.stop(Verdict::TruncatedLink);
  const std::uint16_t receiver = load_be16(walk.here()) & kInterfaceMask;
  if (!walk.add_tag(EncapsulationLayer::Kind::VnTag, receiver)) {
    return walk.stop(Verdict::TooManyTags);
  }
  return walk.skip_to_ether_type(kTagBytes + 2, load_be16(walk.here() + kTagBytes));
}

// RFC 8300, 2: version 0, no OAM, length in words, what follows, the number of the path.
Layer nsh_layer(FrameWalk& walk) {
  constexpr std::uint32_t kFixedBytes = 8;
  constexpr std::uint16_t kVersionAndOam = 0xe000;
  constexpr std::uint16_t kWordsMask = 0x3f;
  constexpr std::uint32_t kPathShift = 8;
  if (walk.left() < kFixedBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint8_t* p = walk.here();
  const std::uint32_t bytes = (load_be16(p) & kWordsMask) * 4U;
  if ((load_be16(p) & kVersionAndOam) != 0 || bytes < kFixedBytes) {
    return walk.stop(Verdict::NotIp);
  }
  if (walk.left() < bytes) return walk.stop(Verdict::TruncatedLink);
  if (!walk.add_tag(EncapsulationLayer::Kind::Nsh, load_be32(p + 4) >> kPathShift)) {
    return walk.stop(Verdict::TooManyTags);
  }
  switch (p[3]) {
    case 1:
      return walk.skip(bytes, Layer::Ipv4);
    case 2:
      return walk.skip(bytes, Layer::Ipv6);
    case 3:
      return walk.skip(bytes, Layer::Ethernet);
    case 4:
      return walk.skip(bytes, Layer::Nsh);
    case 5:
      return walk.skip(bytes, Layer::Mpls);
    default:
      return walk.stop(Verdict::NotIp);
  }
}

// The number of the service is the lower 24 bits of the tag; Ethernet follows.
Layer pbb_layer(FrameWalk& walk) {
  constexpr std::uint32_t kTagBytes = 4;
  constexpr std::uint32_t kServiceMask = 0xffffff;
  if (walk.left() < kTagBytes) return walk.stop(Verdict::TruncatedLink);
  if (!walk.add_tag(EncapsulationLayer::Kind::Pbb, load_be32(walk.here()) & kServiceMask)) {
    return walk.stop(Verdict::TooManyTags);
  }
  return walk.skip(kTagBytes, Layer::Ethernet);
}

// Version and length 1, one option with the group of the sender; no part of the way.
Layer cisco_metadata_layer(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 6;
  constexpr std::uint16_t kVersionAndLength = 0x0101;
  if (walk.left() < kHeaderBytes + 2) return walk.stop(Verdict::TruncatedLink);
  if (load_be16(walk.here()) != kVersionAndLength) return walk.stop(Verdict::NotIp);
  return walk.skip_to_ether_type(kHeaderBytes + 2, load_be16(walk.here() + kHeaderBytes));
}

Layer ppp_framing_layer(FrameWalk& walk) {
  constexpr std::uint16_t kAddressControl = 0xff03;  // RFC 1662, 3.1
  if (walk.left() < 2) return walk.stop(Verdict::TruncatedLink);
  return walk.skip(load_be16(walk.here()) == kAddressControl ? 2 : 0, Layer::Ppp);
}

Layer ppp_layer(FrameWalk& walk) {
  if (walk.left() < 1) return walk.stop(Verdict::TruncatedLink);
  // Protocol numbers are odd and their first byte is even, so a single odd byte is a compressed
  // number (RFC 1661, 2 and 6.5).
  const bool compressed = (*walk.here() & 1) != 0;
  if (!compressed && walk.left() < 2) return walk.stop(Verdict::TruncatedLink);
  const std::uint32_t bytes = compressed ? 1 : 2;
  switch (compressed ? *walk.here() : load_be16(walk.here())) {
    case 0x0021:
      return walk.skip(bytes, Layer::Ipv4);
    case 0x0057:
      return walk.skip(bytes, Layer::Ipv6);
    case 0x0281:
    case 0x0283:
      return walk.skip(bytes, Layer::Mpls);
    default:  // negotiation, compressed and bundled data
      return walk.stop(Verdict::NotIp);
  }
}

Layer llc_layer(FrameWalk& walk) {
  constexpr std::uint32_t kLlcBytes = 3;
  constexpr std::uint32_t kSnapBytes = 8;
  constexpr std::uint32_t kIpUnnumbered = 0x060603;    // IP without SNAP (RFC 948, 2)
  constexpr std::uint32_t kSnapUnnumbered = 0xaaaa03;  // RFC 1042
  constexpr std::uint32_t kBridgeTunnel = 0x0000f8;    // 802.1H
  if (walk.left() < kLlcBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint8_t* p = walk.here();
  const auto load_be24 = [](const std::uint8_t* q) -> std::uint32_t {
    return std::uint32_t{load_be16(q)} << 8 | q[2];
  };
  if (load_be24(p) == kIpUnnumbered) return walk.skip(kLlcBytes, Layer::Ipv4);
  if (load_be24(p) != kSnapUnnumbered) return walk.stop(Verdict::NotIp);
  if (walk.left() < kSnapBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint32_t organisation = load_be24(p + kLlcBytes);
  const std::uint16_t type = load_be16(p + kLlcBytes + 3);
  if ((organisation != 0 && organisation != kBridgeTunnel) || type < kEtherTypeMin) {
    return walk.stop(Verdict::NotIp);
  }
  return walk.skip_to_ether_type(kSnapBytes, type);
}

}  // namespace flowloom
