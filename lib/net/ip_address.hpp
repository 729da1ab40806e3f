// One 16-byte address type for both IP versions; IPv4 is held IPv4-mapped (RFC 4291, 2.5.5.2).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/bytes.hpp"

namespace flowloom {

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  static IpAddress v4(const std::uint8_t* four) {
    IpAddress a;
    a.bytes[10] = a.bytes[11] = 0xff;
    std::memcpy(a.bytes.data() + 12, four, 4);
    return a;
  }
  static IpAddress v6(const std::uint8_t* sixteen) {
    IpAddress a;
    std::memcpy(a.bytes.data(), sixteen, 16);
    return a;
  }
  [[nodiscard]] bool is_v4() const {
    return load_native<std::uint64_t>(bytes.data()) == 0 &&
           load_be32(bytes.data() + 8) == 0x0000ffff;
  }
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

/// "10.1.1.1" or "2001:db8::1" (RFC 5952), without brackets.
std::string to_string(const IpAddress& address);

}  // namespace flowloom
