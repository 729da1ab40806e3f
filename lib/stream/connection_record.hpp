// Everything that is known of a connection, as one plain value: what flows.jsonl prints and what
// crosses the ring to the writer core.
#pragma once

#include <array>
#include <cstdint>

#include "base/time.hpp"
#include "net/anomaly.hpp"
#include "net/decode.hpp"
#include "net/direction.hpp"
#include "net/five_tuple.hpp"
#include "net/stream_offset.hpp"

namespace flowloom {

/// Why a connection ended; names in kCloseReasonNames.
enum class CloseReason : std::uint8_t { Open, Fin, Rst, Idle, SynTimeout, Evicted, Reused, Eof };
inline constexpr std::array<std::string_view, 8> kCloseReasonNames = {
    "open", "fin", "rst", "idle", "syn-timeout", "evicted", "reused", "eof"};

/// Zeek's conn_state.
enum class ConnState : std::uint8_t {
  S0, S1, SF, Rej, S2, S3, Rsto, Rstr, Rstos0, Rstrh, Sh, Shr, Oth
};
inline constexpr std::array<std::string_view, 13> kConnStateNames = {
    "S0",   "S1",   "SF",     "REJ",   "S2", "S3",  "RSTO",
    "RSTR", "RSTOS0", "RSTRH", "SH",   "SHR", "OTH"};

/// Why bytes are missing.
enum class GapCause : std::uint8_t {
  CaptureLoss,  ///< the receiver acknowledged them, so they were sent: the capture lost them
  NetworkLoss,  ///< the receiver never acknowledged them
  Cut,          ///< dropped by one of our own limits
  Unknown       ///< nobody was heard who could tell
};
inline constexpr std::array<std::string_view, 4> kGapCauseNames = {"capture-loss", "network-loss",
                                                                   "cut", "unknown"};

/// Bytes of one direction that were not delivered; offset counts from the stream's first byte.
struct Gap {
  StreamOffset offset;
  std::int64_t length;
  GapCause cause;
};

/// A side by its place in the connection's key. That stays; roles may yet be turned round.
enum class KeySide : std::uint8_t { Lower, Upper };

/// Bytes of one sender that were held, and contradicted before they were delivered.
struct Conflict {
  enum class Winner : std::uint8_t {
    Held,    ///< the copy that was there
    Arrived  ///< the copy that came later
  };

  StreamOffset position;  ///< its offset is the position minus SideRecord::origin
  std::int64_t length;
  Winner winner;
  KeySide sender;  ///< see ConnectionRecord::direction_of
};
inline constexpr std::array<std::string_view, 2> kConflictWinnerNames = {"held", "arrived"};

/// So many offsets of urgent bytes are listed, the first that were named.
inline constexpr std::size_t kUrgentOffsetsMax = 8;

/// One side of a connection and the bytes it sent.
struct SideRecord {
  Endpoint endpoint;
  std::uint64_t packets = 0;
  std::uint64_t ip_bytes = 0;       ///< sum of IP total lengths
  std::uint64_t payload_bytes = 0;  ///< sum of TCP payload lengths seen
  std::uint64_t stream_bytes = 0;   ///< delivered in order
  std::uint64_t gap_bytes = 0;
  std::uint64_t gap_count = 0;      ///< exact, whatever a writer lists
  std::uint64_t duplicate_bytes = 0;
  std::uint64_t overlap_conflicts = 0;  ///< segments that differ from held bytes
  std::uint64_t conflict_count = 0;     ///< ranges of them; exact, whatever a writer lists
  StreamOffset origin = 0;              ///< see Conflict; final when bytes were delivered
  std::uint64_t out_of_order = 0;       ///< segments that arrived before their turn
  std::uint64_t retransmissions = 0;    ///< segments that repeat bytes already seen
  std::uint64_t urgent_bytes = 0;       ///< distinct positions that urgent pointers named
  std::array<StreamOffset, kUrgentOffsetsMax> urgent_offsets{};  ///< where the first of them stand
};

/// Longest history that is kept; later letters are not recorded.
inline constexpr std::size_t kHistoryMax = 48;

/// A connection at one moment; complete when it closed. Trivially copyable.
struct ConnectionRecord {
  std::uint64_t first_packet = 0;     ///< number of its first packet: unique in a run
  SeqNum first_sequence;              ///< of its first packet
  std::uint32_t reuse = 0;            ///< how often the tuple had been used before in this run
  Timestamp start;                    ///< stamp of the first packet
  Timestamp end;                      ///< stamp of the last packet
  std::array<SideRecord, 2> sides;    ///< [0] originator, [1] responder
  EncapsulationList encapsulation;
  CloseReason close = CloseReason::Open;
  ConnState state = ConnState::Oth;
  KeySide originator = KeySide::Lower;
  bool ipv6 = false;
  bool midstream = false;             ///< the handshake was not seen
  bool established = false;           ///< a whole handshake was seen
  std::uint8_t history_length = 0;
  std::array<char, kHistoryMax> history{};
  std::array<std::uint32_t, kAnomalyCount> anomalies{};

  [[nodiscard]] Direction direction_of(const Conflict& conflict) const {
    return conflict.sender == originator ? Direction::OriginatorToResponder
                                         : Direction::ResponderToOriginator;
  }
  [[nodiscard]] const SideRecord& side(Direction d) const { return sides[index_of(d)]; }
  /// Whether it is worth a line: an established handshake or payload.
  [[nodiscard]] bool noteworthy() const {
    return established || sides[0].payload_bytes + sides[1].payload_bytes > 0;
  }
};

}  // namespace flowloom
