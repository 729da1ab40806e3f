// Segments as frames with everything that may lie around them: IPv4 or IPv6, fragments, tunnels,
// VLAN tags, padding.
#pragma once

#include "perf/gen/segment.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace flowloom::gen {

enum class TunnelKind : std::uint8_t { Ipip, SixInFour, FourInSix, Gre, Vxlan, Geneve };

struct Tunnel {
  TunnelKind kind;
  std::uint32_t number;  ///< VNI of VXLAN and GENEVE, key of GRE (0: without a key)
  std::uint32_t hosts;   ///< names its two ends
};
/// As in a flow record: "gre", "vxlan:42".
std::string to_string(const Tunnel& tunnel);

enum class Cut : std::uint8_t { Innermost, Outermost };

/// What lies around the segments of a connection.
struct Wrapping {
  std::vector<std::uint16_t> vlans;  ///< outermost first
  std::vector<Tunnel> tunnels;       ///< outermost first
  Cut cut = Cut::Innermost;          ///< which datagram is fragmented
  bool padded = true;                ///< to Ethernet's 60 bytes
};

/// Piece `index` of `count` of a datagram.
struct Piece {
  std::size_t index = 0;
  std::size_t count = 1;
  std::uint16_t id = 0;
};

class LayeredFrames {
 public:
  /// Valid until the next call.
  std::span<const std::uint8_t> make(const Identity& identity, const Segment& segment,
                                     const Wrapping& wrapping, const Piece& piece);

 private:
  /// Where the datagram goes that is being made.
  struct Route {
    Family family;
    std::uint32_t from;
    std::uint32_t to;
    std::uint8_t protocol;
  };

  void put_ip(const Route& route, const Piece& piece);
  void put_ipv4(const Route& route, const Piece& piece, std::size_t offset, bool more);
  void put_ipv6(const Route& route, const Piece& piece, std::size_t offset, bool more);
  Route put_tunnel(const Tunnel& tunnel, Side sender, Family inner);
  void put_ethernet(const Wrapping& wrapping, Family family);
  /// Room of that many bytes in front of what is there.
  std::uint8_t* push(std::size_t bytes);

  static constexpr std::size_t kHeadroom = 512;
  static constexpr std::size_t kLargest = 4096;

  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kLargest);
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace flowloom::gen
