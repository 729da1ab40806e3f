// Tunnels that are a protocol of IP: GRE with all it carries, EtherIP, MPLS, L2TPv3.
#include "net/frame_walk.hpp"
#include "net/inner_header.hpp"

namespace flowloom {

namespace {

using Kind = EncapsulationLayer::Kind;

constexpr std::uint16_t kTransparentBridging = 0x6558;
constexpr std::uint16_t kPppType = 0x880b;

// Flags of a GRE header (RFC 2784, 2.1; RFC 2890, 2; RFC 2637, 4.1).
constexpr std::uint16_t kGreChecksum = 0x8000;
constexpr std::uint16_t kGreRouting = 0x4000;
constexpr std::uint16_t kGreKey = 0x2000;
constexpr std::uint16_t kGreSequence = 0x1000;
constexpr std::uint16_t kGreAcknowledgement = 0x0080;
constexpr std::uint16_t kGreVersion = 0x0007;

struct GreHeader {
  std::uint16_t flags;
  std::uint16_t type;
  std::uint32_t key;
  std::uint32_t bytes;

  [[nodiscard]] bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
};

// Reads the fixed part and the optional fields. Preconditions: four bytes are captured; the others
// are read only where `bytes` turns out to be.
GreHeader read_gre(const FrameWalk& walk) {
  constexpr std::uint32_t kFieldBytes = 4;
  GreHeader gre{load_be16(walk.here()), load_be16(walk.here() + 2), 0, kFieldBytes};
  if (gre.has(kGreChecksum)) gre.bytes += kFieldBytes;
  if (gre.has(kGreKey)) {
    if (walk.left() >= gre.bytes + kFieldBytes) gre.key = load_be32(walk.here() + gre.bytes);
    gre.bytes += kFieldBytes;
  }
  if (gre.has(kGreSequence)) gre.bytes += kFieldBytes;
  const bool enhanced = (gre.flags & kGreVersion) == 1;
  if (enhanced && gre.has(kGreAcknowledgement)) gre.bytes += kFieldBytes;
  return gre;
}

// Checks that a tunnel's header of `bytes` is there; sets the verdict where it is not.
bool header_is_there(FrameWalk& walk, std::uint32_t bytes) {
  if (walk.datagram_end - walk.offset < bytes) {
    walk.stop(Verdict::OtherProtocol);
    return false;
  }
  if (walk.left() < bytes) {
    walk.stop(Verdict::TruncatedTunnel);
    return false;
  }
  return true;
}

// PPTP: the upper half of the key is the payload's length, the lower the callee's number of the
// call. A packet without a sequence number only acknowledges.
Layer pptp(FrameWalk& walk, const GreHeader& gre) {
  constexpr std::uint32_t kCallMask = 0xffff;
  if (!gre.has(kGreKey) || !gre.has(kGreSequence) || gre.has(kGreChecksum | kGreRouting)) {
    return walk.stop(Verdict::OtherProtocol);
  }
  return walk.enter_tunnel({Kind::Pptp, gre.key & kCallMask}, walk.datagram_end, gre.bytes,
                           Layer::PppFraming);
}

// Cisco's redirection: version 2 puts four bytes before the packet, version 1 none.
Layer wccp(FrameWalk& walk, const GreHeader& gre) {
  constexpr std::uint32_t kRedirectBytes = 4;
  if (!header_is_there(walk, gre.bytes + kRedirectBytes)) return Layer::Done;
  const bool packet_follows = walk.here()[gre.bytes] >> 4 == 4;
  return walk.enter_tunnel({Kind::Wccp, 0}, walk.datagram_end,
                           gre.bytes + (packet_follows ? 0 : kRedirectBytes), Layer::IpByVersion);
}

// The T bit says that the switch cut the mirrored frame.
constexpr std::uint16_t kErspanTruncated = 0x0400;
constexpr std::uint16_t kErspanSessionMask = 0x03ff;

Layer enter_erspan(FrameWalk& walk, std::uint32_t bytes, Layer next) {
  const std::uint16_t flags_and_session = load_be16(walk.here() + 2);
  const EncapsulationLayer session = {Kind::ErspanSession,
                                      std::uint32_t{flags_and_session} & kErspanSessionMask};
  next = walk.enter_tunnel(session, walk.datagram_end, bytes, next);
  if ((flags_and_session & kErspanTruncated) != 0) walk.cut = true;
  return next;
}

// ERSPAN type I has no header of its own, and no sequence number in that of GRE; type II has eight
// bytes and version 1 (draft-foschiano-erspan).
Layer erspan_1_or_2(FrameWalk& walk, const GreHeader& gre) {
  constexpr std::uint32_t kHeaderBytes = 8;
  constexpr unsigned kVersion = 1;
  if (!gre.has(kGreSequence)) {
    return walk.enter_tunnel({Kind::Erspan, 0}, walk.datagram_end, gre.bytes, Layer::Ethernet);
  }
  walk.offset += gre.bytes;
  if (!header_is_there(walk, kHeaderBytes)) return Layer::Done;
  if (*walk.here() >> 4 != kVersion) return walk.stop(Verdict::OtherProtocol);
  return enter_erspan(walk, kHeaderBytes, Layer::Ethernet);
}

// Type III: twelve bytes, version 2, the type of the frame, and eight more where O is set.
Layer erspan_3(FrameWalk& walk, const GreHeader& gre) {
  constexpr std::uint32_t kHeaderBytes = 12;
  constexpr std::uint32_t kSubheaderBytes = 8;
  constexpr std::uint32_t kTypeOffset = 10;
  constexpr unsigned kVersion = 2;
  constexpr unsigned kTypeShift = 10;
  constexpr unsigned kTypeMask = 0x1f;
  constexpr unsigned kEthernetFrame = 0;
  constexpr unsigned kIpPacket = 2;
  walk.offset += gre.bytes;
  if (!header_is_there(walk, kHeaderBytes)) return Layer::Done;
  if (*walk.here() >> 4 != kVersion) return walk.stop(Verdict::OtherProtocol);
  const unsigned word = load_be16(walk.here() + kTypeOffset);
  const std::uint32_t bytes = kHeaderBytes + ((word & 1) != 0 ? kSubheaderBytes : 0);
  if (!header_is_there(walk, bytes)) return Layer::Done;
  switch (word >> kTypeShift & kTypeMask) {
    case kEthernetFrame:
      return enter_erspan(walk, bytes, Layer::Ethernet);
    case kIpPacket:
      return enter_erspan(walk, bytes, Layer::IpByVersion);
    default:
      return walk.stop(Verdict::OtherProtocol);
  }
}

// What may follow any GRE header, named as in Ethernet. Bridged Ethernet with a key and nothing
// else is NVGRE, whose key is a subnet's number and eight bits that only spread load (RFC 7637,
// 3.2).
Layer gre_payload(FrameWalk& walk, const GreHeader& gre) {
  constexpr std::uint32_t kSubnetShift = 8;
  Layer next = layer_of_ether_type(gre.type);
  if (gre.type == kPppType) next = Layer::PppFraming;
  if (next == Layer::Done) return walk.stop(Verdict::OtherProtocol);
  EncapsulationLayer tunnel = {gre.has(kGreKey) ? Kind::KeyedGre : Kind::Gre, gre.key};
  if (gre.type == kTransparentBridging && gre.flags == kGreKey) {
    tunnel = {Kind::Nvgre, gre.key >> kSubnetShift};
  }
  return walk.enter_tunnel(tunnel, walk.datagram_end, gre.bytes, next);
}

}  // namespace

// Source routes (RFC 1701) are refused, as by everyone since RFC 2784, 2.3.
Layer gre_layer(FrameWalk& walk) {
  constexpr std::uint32_t kFixedBytes = 4;
  constexpr std::uint16_t kWccpType = 0x883e;
  constexpr std::uint16_t kErspanType = 0x88be;
  constexpr std::uint16_t kErspan3Type = 0x22eb;
  if (!header_is_there(walk, kFixedBytes)) return Layer::Done;
  const GreHeader gre = read_gre(walk);
  if (!header_is_there(walk, gre.bytes)) return Layer::Done;
  const unsigned version = gre.flags & kGreVersion;
  if (version == 1 && gre.type == kPppType) return pptp(walk, gre);
  if (version != 0 || gre.has(kGreRouting)) return walk.stop(Verdict::OtherProtocol);
  switch (gre.type) {
    case kWccpType:
      return wccp(walk, gre);
    case kErspanType:
      return erspan_1_or_2(walk, gre);
    case kErspan3Type:
      return erspan_3(walk, gre);
    default:
      return gre_payload(walk, gre);
  }
}

// RFC 3378, 3: version 3 in the upper four bits, twelve reserved.
Layer ether_ip_layer(FrameWalk& walk) {
  constexpr std::uint32_t kHeaderBytes = 2;
  constexpr unsigned kVersion = 3;
  if (!header_is_there(walk, kHeaderBytes)) return Layer::Done;
  if (*walk.here() >> 4 != kVersion) return walk.stop(Verdict::OtherProtocol);
  return walk.enter_tunnel({Kind::EtherIp, 0}, walk.datagram_end, kHeaderBytes, Layer::Ethernet);
}

// RFC 4023, 3.
Layer mpls_over_ip_layer(FrameWalk& walk) {
  return walk.enter_tunnel({Kind::MplsOverIp, 0}, walk.datagram_end, 0, Layer::Mpls);
}

// RFC 3931, 4.1.1.1: a session, then a cookie of 0, 4 or 8 bytes and a sublayer of 0 or 4 that only
// the two ends know of; what stands behind them tells. Session 0 is the control channel.
Layer l2tp3_layer(FrameWalk& walk) {
  constexpr std::uint32_t kSessionBytes = 4;
  constexpr std::uint32_t kStep = 4;
  constexpr std::uint32_t kLongestHeader = kSessionBytes + 8 + 4;
  if (!header_is_there(walk, kSessionBytes)) return Layer::Done;
  const std::uint32_t session = load_be32(walk.here());
  const InnerBytes inner = inner_bytes(walk, walk.datagram_end);
  for (std::uint32_t bytes = kSessionBytes; session != 0 && bytes <= kLongestHeader;
       bytes += kStep) {
    Layer next = Layer::Done;
    if (ethernet_stands_at(inner, walk.offset + bytes)) next = Layer::Ethernet;
    if (ip_stands_at(inner, walk.offset + bytes)) next = Layer::IpByVersion;
    if (next == Layer::Done) continue;
    return walk.enter_tunnel({Kind::L2tp, session}, walk.datagram_end, bytes, next);
  }
  return walk.stop(Verdict::OtherProtocol);
}

}  // namespace flowloom
