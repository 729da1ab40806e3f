// Builds Ethernet frames with TCP over IPv4 or IPv6, for tests: fluent, valid checksums unless told
// otherwise, whole or a fragment, plain or inside tunnels. Shares no code with the decoder, so that
// the two check each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "net/five_tuple.hpp"

namespace flowloom::test {

/// One captured frame.
struct Frame {
  Timestamp stamp;
  std::vector<std::uint8_t> bytes;
  std::uint32_t wire_length = 0;  ///< 0: as long as `bytes`
};

/// A part of the IP payload, sent as a fragment; zeros stand for what the segment does not have.
struct FragmentRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  enum class More : std::uint8_t { No, Yes } more = More::No;
};

/// What a datagram is wrapped into; `id` is the key, VNI, TEID, label or session.
struct TunnelLayer {
  enum class Kind : std::uint8_t { IpIp, Gre, Vxlan, Geneve, Gtpu, Mpls, Pppoe } kind = Kind::IpIp;
  std::uint32_t id = 0;
};

/// "10.0.0.<host>" and "2001:db8::<host>".
Endpoint endpoint4(std::uint8_t host, std::uint16_t port);
Endpoint endpoint6(std::uint8_t host, std::uint16_t port);

class PacketBuilder {
 public:
  enum class Checksum : std::uint8_t {
    Good,
    Bad,
    Offloaded,  ///< the sum of the pseudo-header, as an offloading sender leaves it
    Zero        ///< the field is 0
  };

  PacketBuilder& from(const Endpoint& sender) { return sender_ = sender, *this; }
  PacketBuilder& to(const Endpoint& receiver) { return receiver_ = receiver, *this; }
  PacketBuilder& seq(std::uint32_t value) { return seq_ = value, *this; }
  PacketBuilder& ack(std::uint32_t value) { return ack_ = value, *this; }
  /// Letters as packetdrill writes them: S F R P . U E W; "-" for none.
  PacketBuilder& flags(std::string_view letters);
  PacketBuilder& window(std::uint16_t value) { return window_ = value, *this; }
  PacketBuilder& hop_limit(std::uint8_t value) { return hop_limit_ = value, *this; }
  PacketBuilder& urgent(std::uint16_t pointer) { return urgent_ = pointer, *this; }
  PacketBuilder& payload(std::string_view bytes) { return payload_ = bytes, *this; }

  PacketBuilder& mss(std::uint16_t value);
  PacketBuilder& window_scale(std::uint8_t shift);
  PacketBuilder& sack_permitted() { return option({4, 2}); }
  PacketBuilder& timestamps(std::uint32_t value, std::uint32_t echo);
  /// Bytes of one option as they are, right or wrong.
  PacketBuilder& option(const std::vector<std::uint8_t>& bytes);

  /// One more 802.1Q tag, outermost first.
  PacketBuilder& vlan(std::uint16_t id) { return vlans_.push_back(id), *this; }
  /// Ethernet padding up to this frame length.
  PacketBuilder& pad_to(std::size_t bytes) { return pad_to_ = bytes, *this; }
  /// What the IP header says its length is (IPv6: the payload length).
  PacketBuilder& ip_length(std::uint16_t value) { return ip_length_ = value, *this; }
  PacketBuilder& ip_id(std::uint16_t value) { return ip_id_ = value, *this; }
  /// Keeps "don't fragment" set even on a fragment.
  PacketBuilder& dont_fragment() { return dont_fragment_ = true, *this; }
  /// The last byte of the sender's MAC address.
  PacketBuilder& mac(std::uint8_t value) { return mac_ = value, *this; }
  PacketBuilder& protocol(std::uint8_t value) { return protocol_ = value, *this; }
  /// IPv4 options as they are; filled up with zeros to a multiple of four.
  PacketBuilder& ip_options(const std::vector<std::uint8_t>& bytes);
  /// One IPv6 extension header: hbh, dst, rh0, rh2, ah, or frag for an atomic fragment's.
  PacketBuilder& extension(const std::string& name);
  PacketBuilder& fragment(const FragmentRange& range) { return fragment_ = range, *this; }
  /// What the headers say of their own lengths, in words of four bytes.
  PacketBuilder& ip_header_words(std::uint8_t value) { return ip_header_words_ = value, *this; }
  PacketBuilder& data_offset(std::uint8_t value) { return data_offset_ = value, *this; }
  PacketBuilder& bad_ip_checksum() { return ip_checksum_ = Checksum::Bad, *this; }
  /// The datagram comes back to its sender, quoted in an ICMP error "port unreachable".
  PacketBuilder& quoted_in_icmp() { return quoted_ = true, *this; }
  /// One more tunnel around the datagram, innermost first.
  PacketBuilder& inside(const TunnelLayer& layer) { return tunnels_.push_back(layer), *this; }
  /// Of the outermost datagram, which is IPv4, this part of the payload only.
  PacketBuilder& outer_fragment(const FragmentRange& range) { return outer_ = range, *this; }
  PacketBuilder& checksum(Checksum mode) { return checksum_ = mode, *this; }
  /// The capture keeps this many bytes of the frame.
  PacketBuilder& snap(std::size_t bytes) { return snap_ = bytes, *this; }

  [[nodiscard]] Frame build(Timestamp stamp) const;
  /// For messages of failing tests: "10.0.0.1:40000 > 10.0.0.2:80 S. seq 7 ack 9 len 5".
  [[nodiscard]] std::string describe() const;

 private:
  [[nodiscard]] std::vector<std::uint8_t> segment() const;
  [[nodiscard]] std::vector<std::uint8_t> datagram() const;
  [[nodiscard]] std::vector<std::uint8_t> datagram4(const std::vector<std::uint8_t>& data) const;
  [[nodiscard]] std::vector<std::uint8_t> datagram6(const std::vector<std::uint8_t>& data) const;

  static constexpr int kTrue = -1;

  Endpoint sender_ = endpoint4(1, 40000);
  Endpoint receiver_ = endpoint4(2, 80);
  std::uint32_t seq_ = 0;
  std::uint32_t ack_ = 0;
  std::uint8_t flags_ = 0x10;
  std::uint16_t window_ = 64000;
  std::uint16_t urgent_ = 0;
  std::uint8_t hop_limit_ = 64;
  std::string payload_;
  std::vector<std::uint8_t> options_;
  std::vector<std::uint16_t> vlans_;
  std::size_t pad_to_ = 0;
  int ip_length_ = kTrue;
  int ip_header_words_ = kTrue;
  int data_offset_ = kTrue;
  std::uint16_t ip_id_ = 0x1234;
  bool dont_fragment_ = false;
  std::uint8_t mac_ = 1;
  std::uint8_t protocol_ = 6;
  std::vector<std::uint8_t> ip_options_;
  std::vector<std::string> extensions_;
  std::optional<FragmentRange> fragment_;
  Checksum ip_checksum_ = Checksum::Good;
  bool quoted_ = false;
  std::vector<TunnelLayer> tunnels_;
  std::optional<FragmentRange> outer_;
  Checksum checksum_ = Checksum::Good;
  std::size_t snap_ = 0;
};

}  // namespace flowloom::test
