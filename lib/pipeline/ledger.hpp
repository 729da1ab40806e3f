// What happened to every packet, byte and connection of a shard. One writer: its lcore.
#pragma once

#include <array>
#include <cstdint>

#include "ip/defragmenter.hpp"
#include "net/packet.hpp"
#include "net/verdict.hpp"
#include "stream/connection_record.hpp"
#include "stream/eviction.hpp"
#include "tcp/tcp_tracker.hpp"

namespace flowloom {

inline constexpr std::size_t kCloseReasonCount = kCloseReasonNames.size();

/// A limit that a run reached; results may then depend on the number of workers.
enum class Limit : std::uint8_t { MaxFlows, Pressure, ReorderMemory, Datagrams, Probes, Writers };
inline constexpr std::array<std::string_view, 6> kLimitNames = {
    "max-flows", "pressure", "reorder-memory", "datagrams", "probes", "writers"};

struct Ledger {
  std::uint64_t received = 0;
  std::uint64_t handed_over = 0;  ///< times that a packet went on from one worker to another
  std::array<std::uint64_t, kVerdictCount> verdicts{};
  std::uint64_t checksums_offloaded = 0;
  TcpCounters tcp;
  std::uint64_t connections_created = 0;
  std::array<std::uint64_t, kCloseReasonCount> connections_closed{};
  std::array<std::uint64_t, kEvictionClassNames.size()> evicted{};  ///< who those were
  std::uint64_t hurried = 0;  ///< closed ones that lingered less long than they should
  DefragmentCounters datagrams{};
  /// Of reassembled datagrams, whose packets all have the verdict of a fragment.
  std::array<std::uint64_t, kVerdictCount> datagram_verdicts{};
  std::array<bool, kLimitNames.size()> limits{};

  /// Counts a packet that leaves with its verdict; of a frame with several, the first speaks.
  void count(const Packet& packet) {
    const bool reassembled = packet.has(packet_flags::kReassembled);
    if (reassembled) ++datagram_verdicts[static_cast<std::size_t>(packet.verdict)];
    if (packet.has(packet_flags::kSubframe)) return;
    ++received;
    ++verdicts[static_cast<std::size_t>(reassembled ? Verdict::Fragment : packet.verdict)];
  }
  void reached(Limit l) { limits[static_cast<std::size_t>(l)] = true; }
  Ledger& operator+=(const Ledger& other);

  /// Whether every packet has one verdict, every payload byte one fate, and every connection that
  /// was created has ended. Holds after the last packet and the final drain.
  [[nodiscard]] bool balances() const;
};

}  // namespace flowloom
