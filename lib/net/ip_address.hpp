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

  // Stored by words, as it is compared: a word that was stored in pieces cannot be loaded until
  // they have left the store buffer, which cost a sixteenth of a run over short connections.
  static IpAddress of_words(std::uint64_t first, std::uint64_t last) {
    IpAddress a;
    std::memcpy(a.bytes.data(), &first, sizeof first);
    std::memcpy(a.bytes.data() + 8, &last, sizeof last);
    return a;
  }
  /// Of its four bytes as this machine loads them.
  static IpAddress v4_of_word(std::uint32_t four) {
    constexpr std::uint64_t kMappedPrefix = 0xffff0000;
    return of_words(0, kMappedPrefix | std::uint64_t{four} << 32);
  }
  static IpAddress v4(const std::uint8_t* four) {
    return v4_of_word(load_native<std::uint32_t>(four));
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
  /// Its first and its last eight bytes, as this machine loads them.
  [[nodiscard]] std::uint64_t first_word() const {
    return load_native<std::uint64_t>(bytes.data());
  }
  [[nodiscard]] std::uint64_t last_word() const {
    return load_native<std::uint64_t>(bytes.data() + 8);
  }
  /// 0 where both are the same: by words, as keys are compared.
  friend std::uint64_t difference(const IpAddress& a, const IpAddress& b) {
    return (a.first_word() ^ b.first_word()) | (a.last_word() ^ b.last_word());
  }
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

/// "10.1.1.1" or "2001:db8::1" (RFC 5952), without brackets.
std::string to_string(const IpAddress& address);

}  // namespace flowloom
