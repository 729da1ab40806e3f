// What a worker did not pass on to the writers, because they were too slow and it must not wait.
#pragma once

#include <cstdint>

namespace flowloom {

/// What was shed: handed to the exporter, and not passed on.
struct ShedCounts {
  std::uint64_t bytes = 0;    ///< of streams; in records they are gaps with the cause `cut`
  std::uint64_t records = 0;  ///< connections without any message
  std::uint64_t packets = 0;  ///< entries of packets
  std::uint64_t probes = 0;

  [[nodiscard]] bool any() const { return bytes + records + packets + probes > 0; }
  ShedCounts& operator+=(const ShedCounts& other) {
    bytes += other.bytes;
    records += other.records;
    packets += other.packets;
    probes += other.probes;
    return *this;
  }
};

}  // namespace flowloom
