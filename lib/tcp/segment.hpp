// One TCP segment as the tracker sees it (RFC 9293, section 3.3.1: SEG.SEQ, SEG.ACK, ...).
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "net/seq_num.hpp"
#include "net/tcp_header.hpp"

namespace flowloom {

struct Segment {
  SeqNum seq;
  SeqNum ack;
  std::uint32_t length = 0;   ///< payload bytes on the wire
  std::uint16_t window = 0;   ///< as in the header, unscaled
  std::uint16_t urgent = 0;   ///< urgent pointer
  TcpFlags flags;
  ByteView payload;           ///< what was captured of it: payload.size() <= length
  ByteView options;
  std::uint32_t ip_bytes = 0; ///< IP total length
  Timestamp clock;
  Timestamp stamp;
  std::uint64_t number = 0;

  /// SEG.LEN: payload, SYN and FIN.
  [[nodiscard]] std::uint32_t seq_len() const {
    return length + (flags.has_any(kSyn) ? 1U : 0U) + (flags.has_any(kFin) ? 1U : 0U);
  }
  /// Sequence number of the first payload byte.
  [[nodiscard]] SeqNum data_seq() const {
    return flags.has_any(kSyn) ? seq + 1 : seq;
  }
};

}  // namespace flowloom
