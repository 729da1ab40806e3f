// A pcap-filter(7) expression as a predicate on packets: one compiled program per link type.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>

#include "net/packet.hpp"

struct bpf_program;

namespace flowloom {

/// Thread-safe: programs are compiled once, under a lock, when the first packet of a link type
/// comes (an expression with a host name asks the name server each time it is compiled); after
/// that matches() takes no lock and allocates nothing.
///
/// An expression that the compiler refuses for a link type ("vlan 5" has no meaning on RAW) matches
/// none of that type's packets, and neither does any expression match an unknown link type.
/// unsupported() tells for which types this happened.
class BpfFilter {
 public:
  explicit BpfFilter(std::string expression);
  ~BpfFilter();
  BpfFilter(const BpfFilter&) = delete;
  BpfFilter& operator=(const BpfFilter&) = delete;

  /// The compiler's message for Ethernet as it is, where it refuses the expression for Ethernet,
  /// for IP without a link layer and for 802.11 alike: then it is wrong everywhere.
  [[nodiscard]] const std::optional<std::string>& error() const { return error_; }

  [[nodiscard]] bool matches(const Packet& packet) const;

  /// "RAW: no VLAN support for Raw IP", one a line; empty where all went well.
  [[nodiscard]] std::string unsupported() const;

 private:
  struct Slot {
    std::atomic<const bpf_program*> program{nullptr};
    std::string error;  // under the lock
  };

#define LINK(symbol, linktype, name) +1
  static constexpr std::size_t kLinkTypes = 1
#include "net/links.def"
      ;
#undef LINK

  const bpf_program* compile(LinkType link) const;

  std::string expression_;
  std::optional<std::string> error_;
  mutable std::mutex lock_;
  mutable std::array<Slot, kLinkTypes> slots_;
};

/// "libpcap version 1.10.3 (with TPACKET_V3)", of the library that runs.
std::string libpcap_version();

}  // namespace flowloom
