// What traffic to make, and what a correct engine must report of it. Plain values: nothing here
// knows how a frame is written.
#pragma once

#include "base/time.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace flowloom::traffic {

enum class TrafficKind : std::uint8_t { Small, Bulk, Http, Reorder, Loss, SynFlood, Fragments };

/// In the order of the enumerators: the words of `bench --traffic`.
inline constexpr std::array<std::string_view, 7> kTrafficNames = {
    "small", "bulk", "http", "reorder", "loss", "synflood", "fragments"};

std::optional<TrafficKind> traffic_kind_from_name(std::string_view name);
std::string_view traffic_name(TrafficKind kind);

inline constexpr std::uint32_t kSmallestSegment = 6;    ///< makes the 60-byte frame
inline constexpr std::uint32_t kLargestSegment = 1460;  ///< makes the 1514-byte frame

/// Who is said to have looked at the TCP checksum: nobody (the engine must), or the NIC.
enum class ChecksumMark : std::uint8_t { Unverified, VerifiedByNic };

struct TrafficConfig {
  TrafficKind kind = TrafficKind::Small;
  /// Live connections; for http those open at any time, for synflood the transfers beside the
  /// flood. At least 1.
  std::uint32_t flows = 100'000;
  /// Packets after the set-up phase; then the source ends (bulk and its kin: with the group of up
  /// to 8 packets in hand, so that the truth is exact).
  std::uint64_t packets = ~std::uint64_t{0};
  /// Payload of a data segment of bulk, reorder, loss and fragments; clamped to
  /// [kSmallestSegment, kLargestSegment].
  std::uint32_t segment_bytes = kLargestSegment;
  /// Packet time between two packets; 67 ns is the line rate of 64-byte frames at 10 Gb/s.
  Duration packet_interval = std::chrono::nanoseconds{67};
  Timestamp start = from_nanoseconds(1'700'000'000'000'000'000);
  std::uint64_t seed = 1;
  /// Several sources beside each other (one per queue) make disjoint connections.
  std::uint8_t queue = 0;
  ChecksumMark checksums = ChecksumMark::Unverified;
  /// Frames in the recycled set: how many may be received and not yet released.
  std::uint32_t frame_slots = 64;
  /// Where released frames are kept, prepare() makes at most so many packets at once.
  std::uint32_t ahead_max = 2048;
};

/// What has been made so far, set-up included, and what must come of it. When the source has ended:
/// delivered bytes = payload_bytes - duplicate_bytes; gaps = gap_bytes, where the engine
/// counts also those that only an acknowledgement shows; pending_bytes nothing shows.
struct TrafficTruth {
  std::uint64_t packets = 0;
  std::uint64_t frame_bytes = 0;      ///< of the frames in memory
  std::uint64_t payload_bytes = 0;    ///< TCP payload, duplicates included
  std::uint64_t duplicate_bytes = 0;  ///< payload that repeats what was handed over before
  std::uint64_t connections = 0;      ///< SYNs without ACK
  std::uint64_t gap_bytes = 0;        ///< acknowledged but never handed over
  std::uint64_t pending_bytes = 0;    ///< due in the connection's next lap; nothing shows it yet
  std::uint64_t fragments = 0;        ///< packets that are half a datagram
};

}  // namespace flowloom::traffic
