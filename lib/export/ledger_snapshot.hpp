// The ledger of a run as one plain value: what stats.json prints. Whoever counts fills it in;
// nothing here counts.
#pragma once

#include "export/shed_counts.hpp"
#include "net/fate.hpp"
#include "net/verdict.hpp"
#include "stream/connection_record.hpp"
#include "stream/eviction.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace flowloom {

/// How far one writer got. What is dropped was handed to it and is not, or not whole, in its
/// output.
struct WriterStatus {
  std::string name;
  std::uint64_t records = 0;        ///< written whole: lines, JSON objects, stream files
  std::uint64_t bytes = 0;          ///< written
  std::uint64_t dropped = 0;        ///< records lost
  std::uint64_t dropped_bytes = 0;  ///< bytes lost with them
  std::string first_error;          ///< empty: none
  std::uint64_t rotations = 0;      ///< times that its file was begun anew
  std::string rotation_error;       ///< why one failed: records went on into the old file
};

struct NamedCount {
  std::string name;
  std::uint64_t count = 0;
};

/// What came in on one interface.
struct InterfaceStatus {
  std::string name;
  std::uint64_t received = 0;
  std::uint64_t missed = 0;
};

struct LedgerSnapshot {
  std::uint64_t packets_received = 0;
  std::uint64_t packets_missed = 0;  ///< by NIC or kernel; not among the received
  std::uint64_t packets_handed_over = 0;  ///< times that one went on from one worker to another
  std::vector<InterfaceStatus> interfaces;  ///< the same of each, where they are counted
  std::array<std::uint64_t, kVerdictCount> verdicts{};
  ShedCounts shed;                   ///< by workers for which the writers were too slow
  std::uint64_t payload_seen = 0;
  std::array<std::uint64_t, kFateCount> fates{};
  std::vector<NamedCount> datagrams;
  std::vector<std::string> limits;  ///< names of the limits that the run reached
  std::uint64_t connections_created = 0;
  std::array<std::uint64_t, kCloseReasonNames.size()> connections_closed{};
  std::array<std::uint64_t, kEvictionClassNames.size()> evicted{};
  std::uint64_t hurried = 0;  ///< see Ledger
  std::uint64_t bad_timestamps = 0;
  std::vector<WriterStatus> writers;
};

}  // namespace flowloom
