// The variables of one connection. Hot: two and a half cache lines that every packet touches.
// Origin: what is written once and read at the end. Extra: what only odd connections need, taken
// from a pool on first use.
#pragma once

#include <array>
#include <cstdint>

#include "base/slab_pool.hpp"
#include "base/time.hpp"
#include "net/anomaly.hpp"
#include "net/direction.hpp"
#include "net/five_tuple.hpp"
#include "net/seq_num.hpp"
#include "net/stream_offset.hpp"
#include "tcp/reorder_queue.hpp"
#include "tcp/state.hpp"

namespace flowloom {

/// Bits of HalfConnection::flags.
namespace half_flags {
inline constexpr unsigned kHeard = 1 << 0;       ///< a segment of this sender was seen
inline constexpr unsigned kSynSeen = 1 << 1;
inline constexpr unsigned kOriginKnown = 1 << 2; ///< rcv_nxt and offset are valid
inline constexpr unsigned kHeld = 1 << 3;        ///< delivery waits: pick-up grace, or data on SYN
inline constexpr unsigned kQueued = 1 << 4;      ///< bytes wait in the reorder queue
inline constexpr unsigned kAcked = 1 << 5;       ///< snd_una and snd_edge are valid
inline constexpr unsigned kFinSeen = 1 << 6;     ///< fin_seq is valid
inline constexpr unsigned kEnded = 1 << 7;       ///< the FIN was reached and on_end was told
inline constexpr unsigned kHolePending = 1 << 8; ///< acknowledged beyond rcv_nxt; grace runs
inline constexpr unsigned kSnapped = 1 << 9;     ///< payload was not captured whole
inline constexpr unsigned kLetterD = 1 << 10;    ///< history has this sender's D
inline constexpr unsigned kLetterA = 1 << 11;    ///< history has this sender's A
inline constexpr unsigned kCut = 1 << 12;        ///< bytes were dropped by the depth limit
inline constexpr unsigned kFinAcked = 1 << 13;
inline constexpr unsigned kFast = 1 << 14;       ///< nothing is odd: the fast path may be taken
inline constexpr unsigned kAckedBySyn = 1 << 15; ///< its SYN was acknowledged
}  // namespace half_flags

/// One direction of a connection, named from its sender (RFC 9293, section 3.3.1; docs/tcp.md).
/// Invariants once kOriginKnown: rcv_nxt is the sequence number at `offset`;
/// rcv_nxt at or before snd_nxt.
struct HalfConnection {
  StreamOffset offset;               ///< delivery point: bytes delivered and gaps before it
  std::uint64_t packets : 48;
  std::uint64_t flags : 16;          ///< half_flags
  std::uint64_t ip_bytes : 56;
  std::uint64_t state_ : 8;
  std::uint64_t payload_bytes : 56;
  std::uint64_t wscale : 8;          ///< shift plus one; 0 = no window scale option seen
  SeqNum rcv_nxt;                    ///< the receiver's RCV.NXT as reconstructed
  SeqNum snd_nxt;                    ///< highest SEG.SEQ + SEG.LEN seen
  SeqNum snd_una;                    ///< highest acceptable acknowledgement of the peer
  SeqNum snd_edge;                   ///< furthest right edge that the peer ever permitted
  SeqNum fin_seq;                    ///< of the FIN, when kFinSeen
  std::uint32_t ts_recent;

  [[nodiscard]] bool has_all(unsigned bits) const { return (flags & bits) == bits; }
  [[nodiscard]] bool has_any(unsigned bits) const { return (flags & bits) != 0; }
  void set(unsigned bits) { flags = static_cast<std::uint16_t>(flags | bits); }
  void clear(unsigned bits) { flags = static_cast<std::uint16_t>(flags & ~bits); }
  [[nodiscard]] State state() const { return static_cast<State>(state_); }
  void apply(Event event) { state_ = static_cast<std::uint8_t>(next_state(state(), event)); }
};
static_assert(sizeof(HalfConnection) == 56);

/// Bits of Connection::flags.
namespace connection_flags {
inline constexpr std::uint16_t kOriginatorIsUpper = 1 << 0; ///< of the canonical key
inline constexpr std::uint16_t kClosing = 1 << 1;      ///< ended by FINs or RST; lingers
inline constexpr std::uint16_t kEstablished = 1 << 2;  ///< the whole handshake was seen
inline constexpr std::uint16_t kNoBytes = 1 << 3;      ///< the consumer wants no bytes
inline constexpr std::uint16_t kNoEvents = 1 << 4;     ///< the consumer wants only on_close
inline constexpr std::uint16_t kDelivered = 1 << 5;    ///< bytes or gaps were announced
inline constexpr std::uint16_t kReplied = 1 << 6;      ///< both sides were heard
inline constexpr std::uint16_t kResetByOriginator = 1 << 7;
inline constexpr std::uint16_t kResetByResponder = 1 << 8;
inline constexpr std::uint16_t kSynAckSeen = 1 << 9;
inline constexpr std::uint16_t kTimed = 1 << 10;       ///< a grace timer may be running
}  // namespace connection_flags

/// Per connection and touched by each of its packets. half[0] is what the originator sends.
struct alignas(64) Connection {
  FlowKey key;
  Timestamp last_clock;
  Timestamp last_stamp;
  std::uint32_t consumer_slot;
  std::uint32_t extra;          ///< index of its ConnectionExtra plus one; 0 = none
  HalfConnection half[2];
  Timestamp closing_clock;      ///< when it began to linger, with kClosing
  std::uint16_t flags;          ///< connection_flags
  std::uint8_t close_reason;    ///< CloseReason of the closing, for the record
  std::uint8_t spare_;
  std::uint32_t index;          ///< its own: names it in timers and pages

  [[nodiscard]] bool has_any(std::uint16_t bits) const { return (flags & bits) != 0; }
  void set(unsigned bits) { flags = static_cast<std::uint16_t>(flags | bits); }
  void clear(unsigned bits) { flags = static_cast<std::uint16_t>(flags & ~bits); }
};
static_assert(sizeof(Connection) == 192, "three cache lines");

/// Written at the first packet, read when a record is made.
struct ConnectionOrigin {
  static constexpr std::size_t kLetters = 19;
  Timestamp start;
  std::uint64_t first_packet;
  SeqNum first_sequence;
  std::uint8_t history_length;
  char history[kLetters];
};
static_assert(sizeof(ConnectionOrigin) == 40);

/// A range of positions that was announced as a gap.
struct OffsetRange {
  StreamOffset begin;
  StreamOffset end;
};

/// Rare state of one direction.
struct HalfExtra {
  ReorderQueue queue;
  std::uint64_t duplicate_bytes;
  std::uint64_t gap_bytes;
  std::uint64_t gap_count;
  std::uint64_t urgent_bytes;
  std::uint32_t overlap_conflicts;
  std::uint32_t out_of_order;
  std::uint32_t retransmissions;
  std::uint32_t zero_windows;
  // Grace of a hole below the peer's acknowledgement (kHolePending).
  Timestamp hole_since;
  SeqNum hole_ack;
  std::uint32_t hole_segments;
  // Grace of a stream picked up mid-stream (kHeld).
  Timestamp held_since;
  std::uint32_t held_segments;
  // Sequence numbers of SYNs seen before the handshake chose one.
  std::uint32_t candidate_count;
  std::array<SeqNum, 4> candidates;
  // The latest announced gaps, to tell late bytes from repeated ones.
  std::uint32_t recent_gap_count;
  std::array<OffsetRange, 4> recent_gaps;
  StreamOffset cut_from;  ///< where the depth limit began to cut (kCut)
};

struct ConnectionExtra {
  HalfExtra half[2];
  std::array<std::uint32_t, kAnomalyCount> anomalies;
  std::uint32_t reuse;          ///< how often the tuple had been used before
  std::uint32_t encapsulation;  ///< index of its EncapsulationList plus one; 0 = none
  std::uint8_t history_length;  ///< letters beyond ConnectionOrigin::kLetters
  std::array<char, 27> history;
};

}  // namespace flowloom
