// IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200), and the TCP header behind them.
#include "net/checksum.hpp"
#include "net/frame_walk.hpp"
#include "net/ip.hpp"
#include "net/tcp_header.hpp"

#include <optional>

namespace flowloom {

namespace {

// No sender and no offloading NIC builds more: Linux' BIG TCP ends at 512 KiB. It bounds what a
// hostile jumbogram or a datagram without a length can claim.
constexpr std::uint32_t kMaxDatagramBytes = 1 << 20;

// Extension headers before the transport header; real ones stay below four.
constexpr std::uint32_t kMaxExtensionHeaders = 8;

enum Protocol : std::uint8_t {
  kHopByHop = 0,
  kIcmp = 1,
  kIpv4InIp = 4,
  kUdp = 17,
  kIpv6InIp = 41,
  kRouting = 43,
  kFragment = 44,
  kGre = 47,
  kAuthentication = 51,
  kIcmpv6 = 58,
  kNoNext = 59,
  kDestinationOptions = 60,
  kEtherIp = 97,
  kL2tp3 = 115,
  kMobility = 135,
  kMplsInIp = 137,
  kHostIdentity = 139,
  kShim6 = 140,
};

// IP in IP (RFC 2003, RFC 2473, RFC 4213).
Layer enter_ip(FrameWalk& walk, Layer next) {
  using Kind = EncapsulationLayer::Kind;
  const Kind of_ipv4 = walk.ipv6 ? Kind::FourInSix : Kind::Ipip;
  const Kind of_ipv6 = walk.ipv6 ? Kind::SixInSix : Kind::SixInFour;
  return walk.enter_tunnel({next == Layer::Ipv4 ? of_ipv4 : of_ipv6, 0}, walk.datagram_end, 0,
                           next);
}

// Group and broadcast addresses are no end points of TCP, and nobody sends from 0.0.0.0 or ::
// (RFC 1122, 3.2.1.3 and 4.2.3.10; RFC 4291, 2.5.2 and 2.7).
bool addresses_are_hosts(const FrameWalk& walk) {
  const std::uint8_t* ip = walk.frame + walk.ip_offset;
  if (walk.ipv6) {
    constexpr std::uint8_t kGroup = 0xff;
    const std::uint8_t* source = ip + kIpv6SourceOffset;
    const bool from_somebody =
        (load_native<std::uint64_t>(source) | load_native<std::uint64_t>(source + 8)) != 0;
    return from_somebody && source[0] != kGroup && ip[kIpv6DestinationOffset] != kGroup;
  }
  constexpr std::uint32_t kGroups = 0xe;
  constexpr std::uint32_t kGroupShift = 28;
  constexpr std::uint32_t kBroadcast = 0xffffffff;
  const std::uint32_t source = load_be32(ip + kIpv4SourceOffset);
  const std::uint32_t destination = load_be32(ip + kIpv4DestinationOffset);
  return source != 0 && source != kBroadcast && source >> kGroupShift != kGroups &&
         destination != kBroadcast && destination >> kGroupShift != kGroups;
}

// Why no host takes TCP out of the datagram that the walk is in, if there is a reason. Asked for
// TCP only: other protocols are not followed, and a tunnel's own header carries whatever reached
// its end. A hop limit of 0 is no reason: RFC 8200, 3 lets the destination take it.
std::optional<Verdict> refusal_of(const FrameWalk& walk) {
  constexpr std::uint32_t kTimeToLiveOffset = 8;
  // RFC 791, 3.1: with 0 the datagram must be destroyed.
  if (!walk.ipv6 && walk.frame[walk.ip_offset + kTimeToLiveOffset] == 0) {
    return Verdict::BadIpHeader;
  }
  if (walk.source_routed) return Verdict::SourceRouted;
  if (!addresses_are_hosts(walk)) return Verdict::BadAddress;
  return std::nullopt;
}

// A fragment of a datagram with this protocol. Judged like the whole, so that a refused one puts
// nothing into it. Preconditions: offset is at what a defragmenter goes on with.
Layer stop_at_fragment(FrameWalk& walk, std::uint8_t protocol) {
  if (protocol == kTcpProtocol) {
    if (const std::optional<Verdict> refused = refusal_of(walk)) return walk.stop(*refused);
  }
  walk.tcp_offset = walk.offset;
  return walk.stop(Verdict::Fragment);
}

// The layer, or the verdict, that a protocol number names.
Layer transport_layer(FrameWalk& walk, std::uint8_t protocol) {
  switch (protocol) {
    case kTcpProtocol:
      if (const std::optional<Verdict> refused = refusal_of(walk)) return walk.stop(*refused);
      return Layer::Tcp;
    case kUdp:
      return Layer::Udp;
    case kIpv4InIp:
      return enter_ip(walk, Layer::Ipv4);
    case kIpv6InIp:
      return enter_ip(walk, Layer::Ipv6);
    case kGre:
      return Layer::Gre;
    case kEtherIp:
      return Layer::EtherIp;
    case kMplsInIp:
      return Layer::MplsOverIp;
    case kL2tp3:
      return Layer::L2tp3;
    case kAuthentication:
      return Layer::Authentication;
    case kIcmp:
    case kIcmpv6:
      return walk.stop(Verdict::Icmp);
    case kNoNext:
      return walk.stop(walk.ipv6 ? Verdict::Ipv6NoNext : Verdict::OtherProtocol);
    default:
      return walk.stop(Verdict::OtherProtocol);
  }
}

// Takes `length`, counted from the IP header, for the datagram's; 0 stands for "whatever is there"
// (segmentation offload: the sender's NIC would have filled it in). False where it contradicts the
// frame: a datagram longer than its frame was cut on the wire and a host drops it, but where the
// capture cut the frame, its recorded length may have suffered too.
bool set_datagram_length(FrameWalk& walk, std::uint32_t length) {
  const std::uint32_t on_wire = walk.wire - walk.ip_offset;
  if (length == 0) length = on_wire > walk.trailer ? on_wire - walk.trailer : 0;
  if (length > kMaxDatagramBytes) return false;
  if (length > on_wire && !walk.cut) return false;
  walk.datagram_end = walk.ip_offset + length;
  return true;
}

// RFC 791, 3.1: single bytes, and options with a length that counts kind and length.
bool ipv4_options_are_sound(ByteView options) {
  constexpr std::uint8_t kEnd = 0;
  constexpr std::uint8_t kNoOperation = 1;
  std::size_t i = 0;
  while (i < options.size() && options[i] != kEnd) {
    if (options[i] == kNoOperation) {
      ++i;
      continue;
    }
    const std::size_t left = options.size() - i;
    if (left < 2 || options[i + 1] < 2 || options[i + 1] > left) return false;
    i += options[i + 1];
  }
  return true;
}

// Whether there is a loose or strict source route among sound options (RFC 7126, 4.3 and 4.4:
// dropped by default, wherever its pointer stands).
bool has_source_route(ByteView options) {
  constexpr std::uint8_t kEnd = 0;
  constexpr std::uint8_t kNoOperation = 1;
  constexpr std::uint8_t kLoose = 131;
  constexpr std::uint8_t kStrict = 137;
  for (std::size_t i = 0; i < options.size() && options[i] != kEnd;) {
    if (options[i] == kLoose || options[i] == kStrict) return true;
    i += options[i] == kNoOperation ? 1U : options[i + 1];
  }
  return false;
}

// A field of 0 is what the IP stack leaves where the NIC fills it in; it is also a legal sum, which
// then verifies like any other.
bool ipv4_checksum_is_accepted(const FrameWalk& walk, std::uint32_t header_bytes) {
  constexpr std::uint32_t kChecksumOffset = 10;
  const std::uint8_t* ip = walk.here();
  switch (walk.header_checksum) {
    case HeaderChecksum::Ignore:
      return true;
    case HeaderChecksum::Auto:
      if (load_be16(ip + kChecksumOffset) == 0) return true;
      break;
    case HeaderChecksum::Verify:
      break;
  }
  return checksum_is_good(checksum_sum({ip, header_bytes}));
}

// What an extension header turned out to be.
enum class Extension : std::uint8_t { None, Whole, Fragment, Truncated, Bad };

struct ExtensionHeader {
  Extension kind;
  std::uint32_t bytes = 0;
};

ExtensionHeader read_extension(const FrameWalk& walk, std::uint8_t number, bool first) {
  constexpr std::uint32_t kFragmentBytes = 8;
  constexpr std::uint16_t kOffsetOrMore = 0xfff9;
  switch (number) {
    case kHopByHop:
      if (!first) return {Extension::Bad};  // RFC 8200, 4.1: a host drops it anywhere else
      break;
    case kRouting:
    case kFragment:
    case kAuthentication:
    case kDestinationOptions:
    case kMobility:
    case kHostIdentity:
    case kShim6:
      break;
    default:
      return {Extension::None};
  }
  constexpr std::uint32_t kShortest = 8;
  if (walk.datagram_end - walk.offset < kShortest) return {Extension::Bad};
  if (walk.left() < kShortest) return {Extension::Truncated};
  const std::uint8_t* p = walk.here();
  std::uint32_t bytes = (std::uint32_t{p[1]} + 1) * 8;
  if (number == kAuthentication) bytes = (std::uint32_t{p[1]} + 2) * 4;  // RFC 4302, 2.2
  if (number == kFragment) {
    // A datagram in one fragment is no fragment (RFC 6946).
    if ((load_be16(p + 2) & kOffsetOrMore) != 0) return {Extension::Fragment};
    bytes = kFragmentBytes;
  }
  if (bytes > walk.datagram_end - walk.offset) return {Extension::Bad};
  if (bytes > walk.left()) return {Extension::Truncated};
  return {Extension::Whole, bytes};
}

// Whether a host that the datagram reached drops it for this routing header: what is left to visit
// is of type 0 (RFC 5095) or of a type that it does not know (RFC 8200, 4.4). The others still in
// use name the host itself next (2: mobile IPv6) or are seen between the stations (3, 4).
// Preconditions: the first four bytes are there.
bool is_refused_route(const std::uint8_t* header) {
  constexpr std::uint8_t kMobile = 2;
  constexpr std::uint8_t kSegments = 4;
  const std::uint8_t type = header[2];
  const std::uint8_t segments_left = header[3];
  return segments_left != 0 && (type < kMobile || type > kSegments);
}

// Follows the chain to the transport header. Preconditions: offset is behind the fixed header.
Layer ipv6_chain(FrameWalk& walk, std::uint8_t next) {
  for (std::uint32_t i = 0; i <= kMaxExtensionHeaders; ++i) {
    const ExtensionHeader header = read_extension(walk, next, i == 0);
    switch (header.kind) {
      case Extension::None:
        return transport_layer(walk, next);
      case Extension::Fragment:
        return stop_at_fragment(walk, *walk.here());
      case Extension::Truncated:
        return walk.stop(Verdict::TruncatedIp);
      case Extension::Bad:
        return walk.stop(Verdict::BadIpHeader);
      case Extension::Whole:
        break;
    }
    if (next == kRouting && is_refused_route(walk.here())) walk.source_routed = true;
    next = *walk.here();
    walk.offset += header.bytes;
  }
  return walk.stop(Verdict::TooManyExtensions);
}

// The length that a jumbo payload option states (RFC 2675, 2), or 0 where there is none: it stands
// in a hop-by-hop header right behind the fixed one. Preconditions: offset is there.
std::uint32_t jumbo_payload_length(const FrameWalk& walk, std::uint8_t next) {
  constexpr std::uint8_t kJumbo = 0xc2;
  constexpr std::uint8_t kPad1 = 0;
  constexpr std::uint32_t kJumboBytes = 6;
  if (next != kHopByHop || walk.left() < 8) return 0;
  const std::uint8_t* p = walk.here();
  const std::uint32_t bytes = (std::uint32_t{p[1]} + 1) * 8;
  if (bytes > walk.left()) return 0;
  std::uint32_t i = 2;
  while (i + kJumboBytes <= bytes) {
    if (p[i] == kJumbo && p[i + 1] == kJumboBytes - 2) return load_be32(p + i + 2);
    i += p[i] == kPad1 ? 1 : p[i + 1] + 2U;
  }
  return 0;
}

}  // namespace

Layer ip_by_version_layer(FrameWalk& walk) {
  if (walk.left() == 0) return walk.stop(Verdict::TruncatedIp);
  switch (*walk.here() >> 4) {
    case 4:
      return Layer::Ipv4;
    case 6:
      return Layer::Ipv6;
    default:
      return walk.stop(Verdict::NotIp);
  }
}

Layer ipv4_layer(FrameWalk& walk) {
  constexpr std::uint16_t kOffsetOrMore = 0x3fff;
  constexpr std::uint32_t kWordBytes = 4;
  walk.ipv6 = false;
  walk.ip_offset = walk.offset;
  if (walk.left() < 1) return walk.stop(Verdict::TruncatedIp);
  const std::uint8_t* ip = walk.here();
  if (ip[0] >> 4 != 4) return walk.stop(Verdict::BadIpHeader);
  if (walk.left() < kIpv4MinHeaderBytes) return walk.stop(Verdict::TruncatedIp);
  const std::uint32_t header_bytes = (ip[0] & 0x0fU) * kWordBytes;
  if (header_bytes < kIpv4MinHeaderBytes) return walk.stop(Verdict::BadIpHeader);
  if (header_bytes > walk.left()) return walk.stop(Verdict::TruncatedIp);
  const ByteView options{ip + kIpv4MinHeaderBytes, header_bytes - kIpv4MinHeaderBytes};
  if (!set_datagram_length(walk, load_be16(ip + 2)) ||
      walk.datagram_end < walk.ip_offset + header_bytes || !ipv4_options_are_sound(options)) {
    return walk.stop(Verdict::BadIpHeader);
  }
  walk.source_routed = has_source_route(options);
  if (!ipv4_checksum_is_accepted(walk, header_bytes)) return walk.stop(Verdict::BadIpChecksum);
  walk.offset += header_bytes;
  if ((load_be16(ip + 6) & kOffsetOrMore) != 0) return stop_at_fragment(walk, ip[9]);
  return transport_layer(walk, ip[9]);
}

Layer ipv6_layer(FrameWalk& walk) {
  walk.ipv6 = true;
  walk.source_routed = false;
  walk.ip_offset = walk.offset;
  if (walk.left() < 1) return walk.stop(Verdict::TruncatedIp);
  const std::uint8_t* ip = walk.here();
  if (ip[0] >> 4 != 6) return walk.stop(Verdict::BadIpHeader);
  if (walk.left() < kIpv6HeaderBytes) return walk.stop(Verdict::TruncatedIp);
  const std::uint8_t next = ip[6];
  walk.offset += kIpv6HeaderBytes;
  std::uint32_t payload = load_be16(ip + 4);
  if (payload == 0) payload = jumbo_payload_length(walk, next);
  if (payload > kMaxDatagramBytes) return walk.stop(Verdict::BadIpHeader);
  if (!set_datagram_length(walk, payload == 0 ? 0 : payload + kIpv6HeaderBytes) ||
      walk.datagram_end < walk.offset) {
    return walk.stop(Verdict::BadIpHeader);
  }
  return ipv6_chain(walk, next);
}

Layer authentication_layer(FrameWalk& walk) {
  const ExtensionHeader header = read_extension(walk, kAuthentication, false);
  if (header.kind == Extension::Truncated) return walk.stop(Verdict::TruncatedIp);
  if (header.kind != Extension::Whole) return walk.stop(Verdict::BadIpHeader);
  const std::uint8_t next = *walk.here();
  walk.offset += header.bytes;
  return transport_layer(walk, next);
}

Layer tcp_layer(FrameWalk& walk) {
  walk.tcp_offset = walk.offset;
  const std::uint32_t on_wire = walk.datagram_end - walk.offset;
  if (on_wire < kTcpMinHeaderBytes || walk.left() < kTcpMinHeaderBytes) {
    return walk.stop(Verdict::TruncatedTcp);
  }
  const std::uint32_t header_bytes = TcpHeader{walk.here()}.header_bytes();
  if (header_bytes < kTcpMinHeaderBytes || header_bytes > on_wire) {
    return walk.stop(Verdict::BadTcpHeader);
  }
  walk.payload_length = on_wire - header_bytes;
  return walk.stop(Verdict::Tcp);
}

}  // namespace flowloom
