// Addresses, end points, stamps and file names as text, without allocation: a writer formats
// millions of them. Knows no output format.
#pragma once

#include "base/check.hpp"
#include "base/time.hpp"
#include "net/direction.hpp"
#include "net/five_tuple.hpp"
#include "stream/connection_record.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace flowloom {

/// A short text in place. Appending beyond the capacity is a programmer's error: every format
/// that uses one has a known longest form.
template <std::size_t Capacity>
class FixedText {
 public:
  static constexpr std::size_t kCapacity = Capacity;
  [[nodiscard]] std::string_view view() const { return {characters_.data(), size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  void clear() { size_ = 0; }

  void push(char c) {
    FLOWLOOM_CHECK(size_ < Capacity);
    characters_[size_++] = c;
  }
  void push(std::string_view text) {
    FLOWLOOM_CHECK(text.size() <= Capacity - size_);
    text.copy(characters_.data() + size_, text.size());
    size_ += text.size();
  }
  void push_number(std::uint32_t value, int base = 10) {
    char* const begin = characters_.data();
    const auto [end, error] = std::to_chars(begin + size_, begin + Capacity, value, base);
    FLOWLOOM_CHECK(error == std::errc{});
    size_ = static_cast<std::size_t>(end - begin);
  }
  /// NUL-terminated, for system calls. Preconditions: one character is left.
  [[nodiscard]] const char* c_str() {
    FLOWLOOM_CHECK(size_ < Capacity);
    characters_[size_] = '\0';
    return characters_.data();
  }

 private:
  std::array<char, Capacity> characters_;
  std::size_t size_ = 0;
};

/// An IPv4-mapped address on an IPv6 connection is written as IPv6, so the address does not tell.
enum class IpFamily : std::uint8_t { V4, V6 };
constexpr IpFamily family_of(const ConnectionRecord& record) {
  return record.ipv6 ? IpFamily::V6 : IpFamily::V4;
}

using AddressText = FixedText<48>;   // 45 characters at most: ffff:...:255.255.255.255
using EndpointText = FixedText<56>;  // "[address]:65535"
using StampText = FixedText<32>;     // "2026-01-31T23:59:59.123456789Z"
using FileName = FixedText<160>;     // "address.port-address.port-uid.part" and a terminator

/// "10.1.1.1" or "2001:db8::1" (RFC 5952).
AddressText format_address(const IpAddress& address, IpFamily family);

/// "10.1.1.1:80" or "[2001:db8::1]:443".
EndpointText format_endpoint(const Endpoint& endpoint, IpFamily family);

/// RFC 3339 in UTC with nine decimals. Every Timestamp has one: 64 bits of nanoseconds reach
/// from 1677 to 2262.
StampText format_rfc3339(Timestamp stamp);

/// "ADDR.PORT-ADDR.PORT-UID" of one direction, sender first, ':' of IPv6 as '-': a name that is
/// legal on every file system.
FileName format_stream_name(const ConnectionRecord& record, Direction direction,
                            std::string_view uid);

/// "No space left on device" and its like, for the error of a WriteResult.
std::string describe_errno(int error);

}  // namespace flowloom
