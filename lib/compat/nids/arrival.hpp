// One frame as it came, with what was found out about it when it was read ahead.
#pragma once

#include <cstdint>

#include <pcap.h>

#include "base/time.hpp"
#include "compat/nids/tracker.hpp"

namespace flowloom::nids {

/// Whether there is something to be read as an IP header.
enum class Located : std::uint8_t { No, Yes };

struct Arrival {
  pcap_pkthdr header;
  u_char* data;  ///< caplen bytes
  std::uint64_t hash;
  std::uint32_t ip_offset;
  Located located;
  Hashed hashed;

  [[nodiscard]] Timestamp stamp() const {
    constexpr std::int64_t kSecondsMax = 9'000'000'000;  // nanoseconds of it fit 64 bits
    const std::int64_t seconds = header.ts.tv_sec;
    if (seconds > kSecondsMax) return kTimeMax;
    return from_nanoseconds(seconds * 1'000'000'000 + header.ts.tv_usec * 1'000);
  }
};

}  // namespace flowloom::nids
