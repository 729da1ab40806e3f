// Settings of one shard, frozen before the first packet.
#pragma once

#include <cstdint>

#include "base/hash.hpp"
#include "base/time.hpp"
#include "tcp/tcp_tracker.hpp"

namespace flowloom {

/// Which wrong TCP checksums drop a segment (`--checksum`).
enum class ChecksumMode : std::uint8_t {
  Auto,  ///< what an offloading sender leaves is tolerated
  All,
  None
};

/// Whether connections that look like probes of port scans are told of (`--write alerts`).
enum class ReportProbes : std::uint8_t { No, Yes };

/// Whether consumers are told of packets (StreamConsumer::on_packet).
enum class NotePackets : std::uint8_t { No, Yes };

/// ShardConfig::syn_cache_from: every connection is opened with its first packet.
inline constexpr std::uint32_t kNoSynCache = 0xffffffff;

/// One that ordinary traffic does not reach: its connections are answered within a round trip.
constexpr std::uint32_t syn_cache_from(std::uint32_t max_flows) { return max_flows / 8; }

struct ShardConfig {
  std::uint32_t max_flows = 1'000'000;
  std::uint64_t reorder_bytes = std::uint64_t{256} << 20;
  Duration idle_timeout = std::chrono::seconds{3600};
  Duration syn_timeout = std::chrono::seconds{10};
  Duration closed_timeout = std::chrono::seconds{60};
  ChecksumMode checksum = ChecksumMode::Auto;
  ReportProbes probes = ReportProbes::No;
  /// With so many unconfirmed connections, an eighth of them in full, further SYNs wait as LoneSyn
  /// until something else of their connection is seen, or until it ends: StreamConsumer::on_open
  /// comes only then. Not where probes or packets are reported.
  std::uint32_t syn_cache_from = kNoSynCache;
  NotePackets packets = NotePackets::No;
  TcpSettings tcp;
  HashSeed seed;
};

}  // namespace flowloom
