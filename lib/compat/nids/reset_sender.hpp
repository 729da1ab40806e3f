// nids_killtcp(): resets to both ends of a connection, as raw IP packets.
#pragma once

#include <array>
#include <cstdint>

#include "compat/nids/abi.hpp"

namespace flowloom::nids {

/// An IPv4 header and a TCP header without options.
using ResetPacket = std::array<std::uint8_t, 40>;

/// From the first end point to the second; checksums included.
ResetPacket make_reset(const tuple4& ends, std::uint32_t seq);

/// The four that end `stream`: either way, at what its receiver expects and half a window further,
/// since one of them has to meet its window.
std::array<ResetPacket, 4> resets_of(const tcp_stream& stream);

class ResetSender {
 public:
  ResetSender() = default;
  ResetSender(const ResetSender&) = delete;
  ResetSender& operator=(const ResetSender&) = delete;
  ~ResetSender();

  /// Whether packets can be sent now; needs CAP_NET_RAW. Sets nids_errbuf where not.
  bool open();

  /// Nothing where open() was not called: a capture that is read has nobody to be told.
  void reset_both(const tcp_stream& stream) const;
  /// Two, so far from what either side expects.
  void reset_at(const tcp_stream& stream, std::uint32_t distance) const;

 private:
  void send(const ResetPacket& packet) const;

  int descriptor_ = -1;
};

}  // namespace flowloom::nids
