// Frame to TCP segment: link layer, tags, labels, tunnels, IP and TCP headers. The only parser
// of frames. Judges one packet by itself; knows no connection.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "net/encapsulation.hpp"
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

/// Of the header that write_reassembled_header() makes: numbers of elements, tunnels and tags; then
/// per element its kind and its id, big-endian.
inline constexpr std::size_t kReassembledFixedBytes = 3;
inline constexpr std::size_t kReassembledLayerBytes = 5;

/// Finds the TCP segment in packet.frame and sets verdict, payload_length, encapsulation,
/// ip_offset, tcp_offset and flags. Reads only the captured bytes; never fails otherwise than by
/// verdict. Preconditions: the source's part of the packet is filled, link is set.
///
/// payload_length follows from the IP total length (never Ethernet padding); a total length of 0
/// (segmentation offload) is replaced by what the wire length leaves. A total length beyond the
/// wire is an error (a host would drop it), unless the frame was cut when captured.
/// kSnapped is set anew: not all of the TCP segment was captured; its fixed header always was.
/// Where a mirroring switch cut the frame inside a tunnel, packet.captured ends with what it left.
/// Other verdicts than Tcp: payload_length is 0 and the offsets are 0, but for Fragment: ip_offset
/// names the IP header, tcp_offset what follows it (IPv4) or the fragment header (IPv6), and
/// encapsulation and kIpv6 are set, so that a defragmenter can take over.
void decode(Packet& packet, const DecodeOptions& options);

/// decode() without its fast path for plain Ethernet frames (decode_plain.hpp); the two agree on
/// every frame.
void decode_by_layers(Packet& packet, const DecodeOptions& options);

/// Walks the frame again and lists its tags and tunnels; used once per connection. Priority tags
/// (VLAN id 0) are left out. Not all that is listed is part of Packet::encapsulation, see
/// encapsulations.def.
/// Preconditions: decode() gave the packet the verdict Tcp or Fragment.
EncapsulationList list_encapsulation(const Packet& packet);

/// Longest header that write_reassembled_header() makes.
inline constexpr std::size_t kMaxReassembledHeaderBytes =
    kReassembledFixedBytes + kMaxEncapsulationLayers * kReassembledLayerBytes;

/// Writes what decode() has to know to go on with the datagram that `fragment` is part of, as if it
/// had stood whole in the fragment's place: the header of LinkType::Reassembled, which no source
/// gives. Headers around a fragment cannot serve for that, since they state its length. Returns the
/// bytes written. It is needed where something was around the fragment, and for
/// LinkType::Contradicted; else the datagram is a plain one (LinkType::Raw).
/// Preconditions: decode() gave the fragment the verdict Fragment; `to` has room for the longest.
std::size_t write_reassembled_header(const Packet& fragment, std::uint8_t* to);

}  // namespace flowloom
