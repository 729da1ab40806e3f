// Settings of one shard, frozen before the first packet.
#pragma once

#include <cstdint>

#include "base/hash.hpp"
#include "base/time.hpp"
#include "flow/flow_table.hpp"
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

/// Whether first segments that nothing has followed wait in compact form (LoneSegment), until
/// something else of their connection is seen, or until it ends: StreamConsumer::on_open and what
/// belongs to them come only then. Never where probes or packets are reported.
enum class HoldFirst : std::uint8_t {
  Never,
  InFlood,  ///< with more unconfirmed connections than ordinary traffic has (Shard)
  Always
};

struct ShardConfig {
  std::uint32_t max_flows = 1'000'000;
  std::uint64_t reorder_bytes = std::uint64_t{256} << 20;
  Duration idle_timeout = std::chrono::seconds{3600};
  Duration syn_timeout = std::chrono::seconds{10};
  Duration closed_timeout = std::chrono::seconds{60};
  ChecksumMode checksum = ChecksumMode::Auto;
  ReportProbes probes = ReportProbes::No;
  HoldFirst hold_first = HoldFirst::Never;
  NotePackets packets = NotePackets::No;
  TableGrowth table_growth = TableGrowth::Never;
  TcpSettings tcp;
  HashSeed seed;
};

}  // namespace flowloom
