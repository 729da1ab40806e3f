#include "net/decode.hpp"

#include "net/checksum.hpp"
#include "net/frame_walk.hpp"
#include "net/ip.hpp"
#include "net/tcp_header.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

namespace flowloom {

namespace {

constexpr std::uint8_t kChecksumFlags = packet_flags::kChecksumGood | packet_flags::kChecksumBad;
constexpr std::uint8_t kReceiverFlags = kChecksumFlags | packet_flags::kSubframe;

// Encapsulation of a packet without tags; bit 0 is the IP version, so that an IPv4-mapped IPv6
// address never meets the IPv4 address it looks like.
constexpr std::uint32_t kPlainIpv4 = 0;
constexpr std::uint32_t kPlainIpv6 = 1;
constexpr std::uint32_t kVersionBit = 1;

// Indexed by Layer.
constexpr auto kLayerFunctions = std::to_array<Layer (*)(FrameWalk&)>({
#define LAYER(symbol, function) function,
#include "net/layers.def"
#undef LAYER
});

void walk_frame(FrameWalk& walk, LinkType link) {
  Layer next = link_layer(walk, link);
  for (std::uint32_t steps = 0; next != Layer::Done; ++steps) {
    if (steps == kMaxLayers) {
      walk.stop(Verdict::TooManyLayers);
      return;
    }
    next = kLayerFunctions[static_cast<std::size_t>(next)](walk);
  }
}

std::uint32_t encapsulation_of(const FrameWalk& walk, const HashSeed& seed) {
  std::uint64_t hash = 0;
  for (std::uint32_t i = 0; i < walk.list.count; ++i) {
    const EncapsulationLayer& layer = walk.list.layers[i];
    const EncapsulationKind& kind = kind_of(layer);
    if (kind.identity == EncapsulationIdentity::Nothing) continue;
    const std::uint32_t id = kind.identity == EncapsulationIdentity::Id ? layer.id : 0;
    const std::uint64_t word = std::uint64_t{static_cast<std::uint8_t>(kind.counts_as)} << 32 | id;
    hash = mix(hash ^ word ^ seed.a, seed.b | 1);
  }
  const auto folded = static_cast<std::uint32_t>(hash ^ hash >> 32) & ~kVersionBit;
  return folded | (walk.ipv6 ? kPlainIpv6 : kPlainIpv4);
}

std::uint8_t flags_of(const Packet& packet, const FrameWalk& walk) {
  std::uint32_t flags = packet.flags & kReceiverFlags;
  // A NIC that knows nothing of tunnels has looked at the checksum of the outer UDP header.
  if (walk.tunnel_count != 0) flags &= ~std::uint32_t{kChecksumFlags};
  if (walk.ipv6) flags |= packet_flags::kIpv6;
  if (walk.list.count != 0) flags |= packet_flags::kEncapsulated;
  if (walk.datagram_end > walk.captured) flags |= packet_flags::kSnapped;
  return static_cast<std::uint8_t>(flags);
}

// Packet holds offsets in 16 bits; only absurd capture headers come near their end.
bool offsets_fit(const FrameWalk& walk) {
  return walk.tcp_offset <= 0xffff;
}

void store(const FrameWalk& walk, const HashSeed& seed, Packet& packet) {
  packet.verdict = offsets_fit(walk) ? walk.verdict : Verdict::TooManyLayers;
  packet.payload_length = 0;
  packet.encapsulation = 0;
  packet.ip_offset = 0;
  packet.tcp_offset = 0;
  if (packet.verdict != Verdict::Tcp && packet.verdict != Verdict::Fragment) {
    packet.flags &= kReceiverFlags;
    return;
  }
  packet.payload_length = walk.payload_length;
  packet.encapsulation = encapsulation_of(walk, seed);
  packet.ip_offset = static_cast<std::uint16_t>(walk.ip_offset);
  packet.tcp_offset = static_cast<std::uint16_t>(walk.tcp_offset);
  packet.flags = flags_of(packet, walk);
  // What a switch cut off must not be taken from the padding behind the datagram that carries it.
  if (walk.cut && walk.captured < packet.captured) packet.captured = walk.captured;
}

// The fast path: untagged Ethernet, IPv4 without options or IPv6 without extension headers, TCP,
// no length that needs a second look. It decides nothing on its own: whatever is unusual goes the
// long way, and what it accepts the long way accepts with the same result.

struct PlainDatagram {
  std::uint32_t header_bytes;  // of IP
  std::uint32_t total_bytes;
  std::uint8_t version_flag;
};

inline bool finish_plain(const PlainDatagram& datagram, Packet& packet) {
  const std::uint32_t tcp_offset = kEthernetHeaderBytes + datagram.header_bytes;
  const TcpHeader tcp{packet.frame + tcp_offset};
  const std::uint32_t tcp_bytes = tcp.header_bytes();
  if (tcp_bytes < kTcpMinHeaderBytes || tcp_offset + tcp_bytes > packet.captured ||
      datagram.header_bytes + tcp_bytes > datagram.total_bytes ||
      kEthernetHeaderBytes + datagram.total_bytes > packet.wire_length) {
    return false;
  }
  const bool snapped = kEthernetHeaderBytes + datagram.total_bytes > packet.captured;
  packet.payload_length = datagram.total_bytes - datagram.header_bytes - tcp_bytes;
  packet.encapsulation = datagram.version_flag != 0 ? kPlainIpv6 : kPlainIpv4;
  packet.ip_offset = kEthernetHeaderBytes;
  packet.tcp_offset = static_cast<std::uint16_t>(tcp_offset);
  packet.verdict = Verdict::Tcp;
  packet.flags = static_cast<std::uint8_t>((packet.flags & kReceiverFlags) | datagram.version_flag |
                                           (snapped ? packet_flags::kSnapped : 0));
  return true;
}

// A big-endian 32-bit pattern as it loads natively.
constexpr std::uint32_t in_memory(std::uint32_t big_endian) {
  return __builtin_bswap32(big_endian);
}

// Whether no address is one that has to be looked at, by their first bytes: groups and what lies
// above, and 0 for the source. Below 0, unsigned numbers are large.
inline bool addresses_are_plain(const std::uint8_t* ip) {
  constexpr std::uint32_t kGroups = 224;
  return ip[kIpv4SourceOffset] - 1U < kGroups - 1 && ip[kIpv4DestinationOffset] < kGroups;
}

inline bool addresses_are_plain6(const std::uint8_t* ip) {
  constexpr std::uint8_t kGroup = 0xff;
  const std::uint64_t source = load_native<std::uint64_t>(ip + kIpv6SourceOffset) |
                               load_native<std::uint64_t>(ip + kIpv6SourceOffset + 8);
  return source != 0 && ip[kIpv6SourceOffset] != kGroup && ip[kIpv6DestinationOffset] != kGroup;
}

inline bool decode_plain(Packet& packet) {
  constexpr std::uint32_t kIpv4TypeVersion = in_memory(0x08004500);
  constexpr std::uint32_t kIpv4TypeVersionMask = in_memory(0xffffff00);
  constexpr std::uint32_t kFragmentAndProtocolOffset = kEthernetHeaderBytes + 6;
  constexpr std::uint32_t kFragmentAndProtocolMask = in_memory(0x3fffffff);
  constexpr std::uint32_t kWholeTcpLeastAlive = in_memory(0x00000106);
  constexpr int kTimeToLiveShift = 16;  // where it stands in the word
  constexpr std::uint32_t kTimesToLive = 255;
  constexpr std::uint32_t kIpv6TypeVersion = in_memory(0x86dd6000);
  constexpr std::uint32_t kIpv6TypeVersionMask = in_memory(0xfffff000);

  if (packet.link != LinkType::Ethernet ||
      packet.captured < kEthernetHeaderBytes + kIpv4MinHeaderBytes + kTcpMinHeaderBytes) {
    return false;
  }
  const std::uint8_t* ip = packet.frame + kEthernetHeaderBytes;
  const auto type_version = load_native<std::uint32_t>(packet.frame + kEthernetTypeOffset);
  if ((type_version & kIpv4TypeVersionMask) == kIpv4TypeVersion) [[likely]] {
    const auto word = load_native<std::uint32_t>(packet.frame + kFragmentAndProtocolOffset);
    // A time to live of 0 lies below the range, and other bits than its are rotated above it.
    const std::uint32_t alive = (word & kFragmentAndProtocolMask) - kWholeTcpLeastAlive;
    if (std::rotr(alive, kTimeToLiveShift) >= kTimesToLive) return false;
    if (!addresses_are_plain(ip)) return false;
    if (!checksum_is_good(checksum_sum_of_20(ip))) return false;
    return finish_plain({kIpv4MinHeaderBytes, load_be16(ip + 2), 0}, packet);
  }
  if ((type_version & kIpv6TypeVersionMask) != kIpv6TypeVersion ||
      packet.captured < kEthernetHeaderBytes + kIpv6HeaderBytes + kTcpMinHeaderBytes ||
      ip[6] != kTcpProtocol || load_be16(ip + 4) == 0 || !addresses_are_plain6(ip)) {
    return false;
  }
  const std::uint32_t total_bytes = kIpv6HeaderBytes + load_be16(ip + 4);
  return finish_plain({kIpv6HeaderBytes, total_bytes, packet_flags::kIpv6}, packet);
}

}  // namespace

void decode_by_layers(Packet& packet, const DecodeOptions& options) {
  FrameWalk walk(packet, options.header_checksum);
  walk_frame(walk, packet.link);
  store(walk, options.seed, packet);
}

void decode(Packet& packet, const DecodeOptions& options) {
  if (!decode_plain(packet)) [[unlikely]]
    decode_by_layers(packet, options);
}

EncapsulationList list_encapsulation(const Packet& packet) {
  if (!packet.has(packet_flags::kEncapsulated)) return {};
  FrameWalk walk(packet, HeaderChecksum::Ignore);
  walk_frame(walk, packet.link);
  return walk.list;
}

std::size_t write_reassembled_header(const Packet& fragment, std::uint8_t* to) {
  FrameWalk walk(fragment, HeaderChecksum::Ignore);
  walk_frame(walk, fragment.link);
  to[0] = static_cast<std::uint8_t>(walk.list.count);
  to[1] = static_cast<std::uint8_t>(walk.tunnel_count);
  to[2] = static_cast<std::uint8_t>(walk.tag_count);
  std::uint8_t* at = to + kReassembledFixedBytes;
  for (std::uint32_t i = 0; i < walk.list.count; ++i, at += kReassembledLayerBytes) {
    const std::uint32_t id = __builtin_bswap32(walk.list.layers[i].id);
    at[0] = static_cast<std::uint8_t>(walk.list.layers[i].kind);
    std::memcpy(at + 1, &id, sizeof id);
  }
  return static_cast<std::size_t>(at - to);
}

}  // namespace flowloom
