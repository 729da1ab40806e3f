// One TCP segment of a made connection, in stream terms: positions count from the first data byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace flowloom::gen {

enum class Family : std::uint8_t { V4, V6 };

/// Sender of a segment; also the index of per-side arrays.
enum class Side : std::uint8_t { Client = 0, Server = 1 };
constexpr std::size_t index_of(Side side) {
  return static_cast<std::size_t>(side);
}
constexpr Side other(Side side) {
  return side == Side::Client ? Side::Server : Side::Client;
}

/// An address by number (the family gives it its shape) and a port.
struct Endpoint {
  std::uint32_t host;
  std::uint16_t port;
};

/// What stays the same for all packets of a connection.
struct Identity {
  static constexpr std::uint8_t kNoScale = 0xff;

  Family family = Family::V4;
  std::array<Endpoint, 2> ends{};  ///< by Side
  std::array<std::uint32_t, 2> iss{};
  std::array<std::uint64_t, 2> content{};  ///< keys for write_content()
  std::array<std::uint16_t, 2> mss{1460, 1460};
  std::array<std::uint8_t, 2> window_scale{7, 7};  ///< kNoScale: the SYN has no such option
};

namespace tcp_bits {
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kReset = 0x04;
inline constexpr std::uint8_t kPush = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
}  // namespace tcp_bits

struct Segment {
  Side side = Side::Client;
  std::uint8_t flags = 0;
  std::uint32_t bytes = 0;
  std::uint64_t offset = 0;  ///< of the first payload byte
  std::uint64_t acked = 0;   ///< bytes of the other side, plus 1 once its FIN is acknowledged

  std::uint16_t window = 0xffff;  ///< as in the header, not scaled
  bool stamped = false;           ///< carries the timestamps option
  std::uint32_t stamp_value = 0;
  std::uint32_t stamp_echo = 0;

  [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

/// 16 bytes on the wire; an IPv4 address is the last four.
using Address = std::array<std::uint8_t, 16>;
Address address_of(Family family, std::uint32_t host);
/// "10.0.0.1:80" or "[2001:db8::1]:80".
std::string to_string(Family family, const Endpoint& end);

}  // namespace flowloom::gen
