// What libnids asks of an IPv4 header before it believes it, and whose checksums it looks at.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "compat/nids/abi.hpp"
#include "net/checksum.hpp"
#include "net/ip.hpp"

namespace flowloom::nids {

inline constexpr std::uint32_t kIpv4LengthOffset = 2;
inline constexpr std::uint32_t kIpv4IdOffset = 4;
inline constexpr std::uint32_t kIpv4FragmentOffset = 6;
inline constexpr std::uint32_t kIpv4ProtocolOffset = 9;
inline constexpr std::uint16_t kMoreFragments = 0x2000;
inline constexpr std::uint16_t kFragmentOffsetMask = 0x1fff;

enum class IpVerdict : std::uint8_t { Good, BadHeader, SourceRouted };

/// The program's list of whose checksums are to be looked at; it stays the program's memory.
struct ChecksumControl {
  const nids_chksum_ctl* rules = nullptr;
  int count = 0;

  /// `source` in network order.
  [[nodiscard]] bool checks(std::uint32_t source) const {
    for (int i = 0; i < count; ++i) {
      if ((source & rules[i].mask) == rules[i].netaddr) return rules[i].action == NIDS_DO_CHKSUM;
    }
    return true;
  }
};

inline std::uint32_t header_bytes_of(const std::uint8_t* ip) {
  return (ip[0] & 0xfU) * 4;
}

/// Whether the options are well formed and route nothing, by the rules of the kernel that libnids
/// took its own from. Preconditions: the header is captured whole.
bool options_are_fine(const std::uint8_t* ip);

/// Preconditions: `captured` bytes are readable.
inline IpVerdict check_ip_header(const std::uint8_t* ip, std::uint32_t captured,
                                 const ChecksumControl& control) {
  constexpr unsigned kVersion = 4;
  constexpr unsigned kVersionShift = 4;
  if (captured < kIpv4MinHeaderBytes || ip[0] >> kVersionShift != kVersion) {
    return IpVerdict::BadHeader;
  }
  const std::uint32_t header = header_bytes_of(ip);
  const std::uint32_t total = load_be16(ip + kIpv4LengthOffset);
  if (header < kIpv4MinHeaderBytes || total < header || captured < total) {
    return IpVerdict::BadHeader;
  }
  if (control.checks(load_native<std::uint32_t>(ip + kIpv4SourceOffset)) &&
      !checksum_is_good(checksum_sum_short(ip, header))) {
    return IpVerdict::BadHeader;
  }
  if (header > kIpv4MinHeaderBytes && !options_are_fine(ip)) return IpVerdict::SourceRouted;
  return IpVerdict::Good;
}

}  // namespace flowloom::nids
