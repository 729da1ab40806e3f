#include "net/decode.hpp"

#include "net/decode_plain.hpp"
#include "net/frame_walk.hpp"

#include <array>
#include <cstddef>
#include <cstring>

namespace flowloom {

namespace {

using decode_detail::kChecksumFlags;
using decode_detail::kPlainIpv4;
using decode_detail::kPlainIpv6;
using decode_detail::kReceiverFlags;

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
