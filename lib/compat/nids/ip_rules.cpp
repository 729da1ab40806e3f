#include "compat/nids/ip_rules.hpp"

namespace flowloom::nids {

namespace {

// Option types (RFC 791, 3.1).
constexpr std::uint8_t kEnd = 0;
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kRecordRoute = 7;
constexpr std::uint8_t kTimestamp = 68;
constexpr std::uint8_t kLooseRoute = 131;
constexpr std::uint8_t kStrictRoute = 137;

constexpr std::uint32_t kAddressBytes = 4;
constexpr std::uint32_t kRouteMinBytes = 3;
constexpr std::uint32_t kRouteFirstPointer = 4;
constexpr std::uint32_t kStampMinBytes = 4;
constexpr std::uint32_t kStampFirstPointer = 5;

enum class Seen : std::uint8_t { No, Yes };

/// What may stand in a header once.
struct Once {
  Seen route = Seen::No;
  Seen stamp = Seen::No;
};

/// Room for `bytes` at the pointer, which counts from 1 at the option's type.
bool has_room(std::uint32_t pointer, std::uint32_t length, std::uint32_t bytes) {
  return pointer + bytes - 1 <= length;
}

bool route_record_is_fine(const std::uint8_t* option, std::uint32_t length, Once& once) {
  if (once.route == Seen::Yes || length < kRouteMinBytes) return false;
  once.route = Seen::Yes;
  const std::uint32_t pointer = option[2];
  if (pointer < kRouteFirstPointer) return false;
  return pointer > length || has_room(pointer, length, kAddressBytes);
}

bool stamps_are_fine(const std::uint8_t* option, std::uint32_t length, Once& once) {
  constexpr unsigned kFlagsMask = 0xf;
  constexpr unsigned kOverflowShift = 4;
  constexpr unsigned kOverflowMax = 15;
  constexpr unsigned kWithAddress = 1;
  constexpr unsigned kPrespecified = 3;
  if (once.stamp == Seen::Yes || length < kStampMinBytes) return false;
  const std::uint32_t pointer = option[2];
  if (pointer < kStampFirstPointer) return false;
  if (pointer > length) {
    once.stamp = Seen::Yes;
    return option[3] >> kOverflowShift != kOverflowMax;
  }
  if (!has_room(pointer, length, kAddressBytes)) return false;
  once.stamp = Seen::Yes;
  switch (option[3] & kFlagsMask) {
    case 0:
      return true;
    case kWithAddress:
    case kPrespecified:
      return has_room(pointer, length, 2 * kAddressBytes);
    default:
      return false;
  }
}

bool option_is_fine(const std::uint8_t* option, std::uint32_t length, Once& once) {
  switch (option[0]) {
    case kLooseRoute:
    case kStrictRoute:
      return false;
    case kRecordRoute:
      return route_record_is_fine(option, length, once);
    case kTimestamp:
      return stamps_are_fine(option, length, once);
    default:
      return true;
  }
}

}  // namespace

bool options_are_fine(const std::uint8_t* ip) {
  const std::uint8_t* option = ip + kIpv4MinHeaderBytes;
  std::uint32_t left = header_bytes_of(ip) - kIpv4MinHeaderBytes;
  Once once;
  while (left > 0) {
    if (option[0] == kEnd) return true;
    if (option[0] == kNoOperation) {
      ++option;
      --left;
      continue;
    }
    if (left < 2 || option[1] < 2 || option[1] > left) return false;
    const std::uint32_t length = option[1];
    if (!option_is_fine(option, length, once)) return false;
    option += length;
    left -= length;
  }
  return true;
}

}  // namespace flowloom::nids
