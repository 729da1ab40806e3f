// What a worker tells of a connection that looks like a probe of a port scan. One probe means
// nothing; whether its sender scans is decided where all probes come together (lib/inspect).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "net/direction.hpp"

namespace flowloom {

/// Kinds of scans by the packet that asks, in nmap's words.
enum class ScanKind : std::uint8_t {
  Syn,      ///< a SYN made by hand, or a handshake that is broken off
  Connect,  ///< a host's own connect(): refused, unanswered, or closed without a byte
  Fin,      ///< FIN alone
  Null,     ///< no flag at all
  Xmas,     ///< FIN and URG
  Maimon,   ///< FIN and ACK of no connection
  Ack,      ///< ACK of no connection; a window scan sends the same
  Odd       ///< flags that belong to no state of TCP
};
inline constexpr std::array<std::string_view, 8> kScanKindNames = {
    "syn", "connect", "fin", "null", "xmas", "maimon", "ack", "odd"};

/// What the probed host said.
enum class ProbeAnswer : std::uint8_t { Silence, Refused, Accepted };
inline constexpr std::array<std::string_view, 3> kProbeAnswerNames = {"silence", "refused",
                                                                      "accepted"};

struct Probe {
  ScanKind kind = ScanKind::Syn;
  ProbeAnswer answer = ProbeAnswer::Silence;
  std::uint8_t flags = 0;  ///< of the connection's first packet, as on the wire
  Direction sender = Direction::OriginatorToResponder;  ///< who asked, as in the record beside it
};

}  // namespace flowloom
