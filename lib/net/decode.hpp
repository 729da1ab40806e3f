// Frame to TCP segment: link layer, tags, labels, IP and TCP headers. The only parser of frames.
// Judges one packet by itself; knows no connection.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "net/packet.hpp"

namespace flowloom {

/// What a wrong IPv4 header checksum means. The default follows `--checksum auto`.
enum class HeaderChecksum : std::uint8_t {
  Auto,    ///< BadIpChecksum, unless the field is 0: a sender's own capture, filled in by its NIC
  Verify,  ///< BadIpChecksum
  Ignore   ///< not looked at
};

struct DecodeOptions {
  HashSeed seed;  ///< keys Packet::encapsulation
  HeaderChecksum header_checksum = HeaderChecksum::Auto;
};

/// Finds the TCP segment in packet.frame and sets verdict, payload_length, encapsulation,
/// ip_offset, tcp_offset and flags. Reads only the captured bytes; never fails otherwise than by
/// verdict. Preconditions: the source's part of the packet is filled, link is set.
///
/// payload_length follows from the IP total length (never Ethernet padding); a total length of 0
/// (segmentation offload) is replaced by what the wire length leaves. A total length beyond the
/// wire is an error (a host would drop it), unless the frame was cut when captured.
/// kSnapped is set anew: not all of the TCP payload was captured.
/// Other verdicts than Tcp: payload_length is 0 and the offsets are 0, but for Fragment: ip_offset
/// names the IP header, tcp_offset what follows it (IPv4) or the fragment header (IPv6), and
/// encapsulation and kIpv6 are set, so that a defragmenter can take over.
void decode(Packet& packet, const DecodeOptions& options);

/// decode() without its fast path for plain Ethernet frames; the two agree on every frame. For
/// tests and measurements.
void decode_by_layers(Packet& packet, const DecodeOptions& options);

/// One element of what an IP header was wrapped in, outermost first.
struct EncapsulationLayer {
  enum class Kind : std::uint8_t { Vlan, Mpls } kind;
  std::uint32_t id;  ///< VLAN id (12 bits) or MPLS label (20 bits)
};
inline constexpr std::size_t kMaxEncapsulationLayers = 16;
struct EncapsulationList {
  std::uint32_t count = 0;
  std::array<EncapsulationLayer, kMaxEncapsulationLayers> layers;
};

/// Walks the frame again and lists its tags; used once per connection. Priority tags (VLAN id 0)
/// are left out. MPLS labels are listed, but are no part of Packet::encapsulation: a label switched
/// path is one-way, so the two directions of a connection carry different labels.
/// Preconditions: decode() gave the packet the verdict Tcp.
EncapsulationList list_encapsulation(const Packet& packet);

}  // namespace flowloom
