// The walk through one frame, layer by layer: what the layer functions read and set. A layer
// function judges its own header, moves `offset` behind it and names the next layer; the loop in
// decode.cpp calls them. So nesting costs no recursion, and the number of steps has one limit.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "net/decode.hpp"
#include "net/verdict.hpp"

namespace flowloom {

enum class Layer : std::uint8_t {
#define LAYER(symbol, function) symbol,
#include "net/layers.def"
#undef LAYER
  Done,  ///< the verdict is set
};

inline constexpr std::uint32_t kEthernetHeaderBytes = 14;
inline constexpr std::uint32_t kEthernetTypeOffset = 12;

/// The first EtherType; the same field below it is a length (802.3, 3.2.6) or, in other headers, a
/// number of their own.
inline constexpr std::uint16_t kEtherTypeMin = 0x0600;

/// VLAN tags and MPLS labels of a frame, counted together; priority tags included.
inline constexpr std::uint32_t kMaxTags = kMaxEncapsulationLayers;

/// Steps from the first byte of a frame to its TCP header: two for every tag, as many as the
/// longest way through a tunnel for each of those, and what stands between them.
inline constexpr std::uint32_t kMaxStepsPerTunnel = 6;
inline constexpr std::uint32_t kMaxLayers = 2 * kMaxTags + kMaxStepsPerTunnel * kMaxTunnels + 16;

struct FrameWalk {
  explicit FrameWalk(const Packet& packet, HeaderChecksum header_checksum_mode)
      : frame(packet.frame),
        captured(packet.captured),
        wire(packet.wire_length > packet.captured ? packet.wire_length : packet.captured),
        cut(wire > captured),
        header_checksum(header_checksum_mode) {}

  const std::uint8_t* frame;
  // Where the frame ends, as captured and on the wire. offset <= captured <= wire always. Inside a
  // tunnel: where the datagram that carries it ends.
  std::uint32_t captured;
  std::uint32_t wire;
  bool cut;  // bytes are missing at the end, because of the capture or of a mirroring switch
  std::uint32_t offset = 0;
  // Bytes of the wire that are no payload (an FCS). Only a datagram without a length of its own
  // has to know: trusting it otherwise would lose data where a capture states it wrongly.
  std::uint32_t trailer = 0;
  std::uint32_t tag_count = 0;
  std::uint32_t tunnel_count = 0;

  // What the walk found.
  std::uint32_t ip_offset = 0;
  std::uint32_t tcp_offset = 0;
  std::uint32_t datagram_end = 0;  // end of the IP datagram on the wire; may lie behind `wire`
  std::uint32_t payload_length = 0;
  std::uint16_t ether_type = 0;
  bool padded_mac_header = false;  // radiotap: the 802.11 header is padded to 4 bytes
  bool ipv6 = false;
  bool source_routed = false;  // the latest IP header was, in a way that hosts refuse
  Verdict verdict = Verdict::NotIp;
  HeaderChecksum header_checksum;
  EncapsulationList list;

  [[nodiscard]] std::uint32_t left() const { return captured - offset; }
  [[nodiscard]] const std::uint8_t* here() const { return frame + offset; }

  Layer stop(Verdict reason) {
    verdict = reason;
    return Layer::Done;
  }

  /// Moves behind a header of `bytes` that is known to be captured.
  Layer skip(std::uint32_t bytes, Layer next) {
    offset += bytes;
    return next;
  }

  /// Moves behind a header and goes on by the EtherType it ended with.
  Layer skip_to_ether_type(std::uint32_t bytes, std::uint16_t type) {
    ether_type = type;
    return skip(bytes, Layer::EtherType);
  }

  /// Whether one more tag may follow. It is remembered unless it says nothing about identity.
  [[nodiscard]] bool add_tag(EncapsulationLayer::Kind kind, std::uint32_t id) {
    if (tag_count == kMaxTags) return false;
    ++tag_count;
    constexpr std::uint32_t kPriorityTag = 0;  // VLAN id 0: a priority, no VLAN (802.1Q, 9.6)
    if (kind == EncapsulationLayer::Kind::Vlan && id == kPriorityTag) return true;
    return remember({kind, id});
  }

  /// Goes on inside a tunnel: nothing of what follows lies behind `end`, where the datagram ends
  /// that carries it. Moves `bytes` on, which are known to be captured.
  Layer enter_tunnel(EncapsulationLayer tunnel, std::uint32_t end, std::uint32_t bytes,
                     Layer next) {
    if (tunnel_count >= kMaxTunnels || !remember(tunnel)) return stop(Verdict::TooManyTunnels);
    ++tunnel_count;
    if (end <= wire) {
      wire = end;
      trailer = 0;
    }
    if (end <= captured) {
      captured = end;
      cut = false;
    }
    return skip(bytes, next);
  }

 private:
  bool remember(EncapsulationLayer layer) {
    if (list.count == kMaxEncapsulationLayers) return false;
    list.layers[list.count++] = layer;
    return true;
  }
};

/// The link type's own header: the first step of a walk.
Layer link_layer(FrameWalk& walk, LinkType link);

#define LAYER(symbol, function) Layer function(FrameWalk& walk);
#include "net/layers.def"
#undef LAYER

}  // namespace flowloom
