// The TCP header as fields (RFC 9293, section 3.1). Judges nothing: decode() has found the header
// captured whole and its data offset within the datagram.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "net/packet.hpp"
#include "net/seq_num.hpp"

namespace flowloom {

inline constexpr std::uint32_t kTcpMinHeaderBytes = 20;
inline constexpr std::uint32_t kTcpMaxHeaderBytes = 60;

/// The control bits.
class TcpFlags {
 public:
  constexpr TcpFlags() = default;
  explicit constexpr TcpFlags(std::uint8_t bits) : bits_(bits) {}

  [[nodiscard]] constexpr std::uint8_t bits() const { return bits_; }
  [[nodiscard]] constexpr bool has_all(TcpFlags wanted) const {
    return (bits_ & wanted.bits_) == wanted.bits_;
  }
  [[nodiscard]] constexpr bool has_any(TcpFlags wanted) const {
    return (bits_ & wanted.bits_) != 0;
  }
  friend constexpr TcpFlags operator|(TcpFlags a, TcpFlags b) {
    return TcpFlags{static_cast<std::uint8_t>(a.bits_ | b.bits_)};
  }
  friend constexpr bool operator==(TcpFlags, TcpFlags) = default;

 private:
  std::uint8_t bits_ = 0;
};

inline constexpr TcpFlags kFin{0x01};
inline constexpr TcpFlags kSyn{0x02};
inline constexpr TcpFlags kRst{0x04};
inline constexpr TcpFlags kPsh{0x08};
inline constexpr TcpFlags kAck{0x10};
inline constexpr TcpFlags kUrg{0x20};
inline constexpr TcpFlags kEce{0x40};
inline constexpr TcpFlags kCwr{0x80};

/// A view of a TCP header; dies with the frame.
class TcpHeader {
 public:
  explicit TcpHeader(const std::uint8_t* first) : first_(first) {}

  [[nodiscard]] std::uint16_t source_port() const { return load_be16(first_); }
  [[nodiscard]] std::uint16_t destination_port() const { return load_be16(first_ + 2); }
  [[nodiscard]] SeqNum seq() const { return SeqNum{load_be32(first_ + 4)}; }
  [[nodiscard]] SeqNum ack() const { return SeqNum{load_be32(first_ + 8)}; }
  /// Bytes from the first of the header to the first of the payload.
  [[nodiscard]] std::uint32_t header_bytes() const { return (first_[12] >> 2) & 0x3cU; }
  [[nodiscard]] TcpFlags flags() const { return TcpFlags{first_[13]}; }
  /// As it stands in the header: not scaled.
  [[nodiscard]] std::uint16_t window() const { return load_be16(first_ + 14); }
  [[nodiscard]] std::uint16_t checksum() const { return load_be16(first_ + 16); }
  [[nodiscard]] std::uint16_t urgent_pointer() const { return load_be16(first_ + 18); }

 private:
  const std::uint8_t* first_;
};

/// Preconditions: packet.verdict == Verdict::Tcp.
inline TcpHeader tcp_header_of(const Packet& packet) {
  return TcpHeader{packet.frame + packet.tcp_offset};
}

/// The TCP options, or none where the capture cut them: what is left of a list is not the list.
/// Preconditions: packet.verdict == Verdict::Tcp.
inline ByteView captured_options(const Packet& packet) {
  const std::uint32_t bytes = tcp_header_of(packet).header_bytes() - kTcpMinHeaderBytes;
  const std::uint32_t begin = packet.tcp_offset + kTcpMinHeaderBytes;
  if (begin + bytes > packet.captured) return {};
  return {packet.frame + begin, bytes};
}

/// The part of the TCP payload that was captured: all of it, unless the packet is kSnapped.
/// Preconditions: packet.verdict == Verdict::Tcp.
inline ByteView captured_payload(const Packet& packet) {
  const std::uint32_t begin = packet.tcp_offset + tcp_header_of(packet).header_bytes();
  if (begin > packet.captured) return {};  // not even the header's options are whole
  const std::uint32_t captured = packet.captured - begin;
  return {packet.frame + begin,
          captured < packet.payload_length ? captured : packet.payload_length};
}

}  // namespace flowloom
