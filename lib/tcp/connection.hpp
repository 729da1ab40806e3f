// The variables of one connection: three cache lines. History: its letters, written by few packets.
// Extra: what only odd connections need, and rare: what few directions of those do; both are taken
// from pools on first use.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "base/slab_pool.hpp"
#include "base/time.hpp"
#include "net/anomaly.hpp"
#include "net/direction.hpp"
#include "net/fate.hpp"
#include "net/five_tuple.hpp"
#include "net/seq_num.hpp"
#include "net/stream_offset.hpp"
#include "tcp/delivered_log.hpp"
#include "tcp/reorder_queue.hpp"
#include "tcp/state.hpp"

namespace flowloom {

/// Bits of HalfConnection::flags.
namespace half_flags {
enum Bits : unsigned {
  kHeard = 1U << 0,       ///< a segment of this sender was seen
  kSynSeen = 1U << 1,
  kOriginKnown = 1U << 2, ///< rcv_nxt and offset are valid
  kHeld = 1U << 3,        ///< delivery waits: pick-up grace, or data on SYN
  kQueued = 1U << 4,      ///< bytes wait in the reorder queue
  kAcked = 1U << 5,       ///< snd_una and snd_edge are valid
  kFinSeen = 1U << 6,     ///< fin_seq is valid
  kEnded = 1U << 7,       ///< the FIN was reached and on_end was told
  kHolePending = 1U << 8, ///< acknowledged beyond rcv_nxt; grace runs
  kSnapped = 1U << 9,     ///< payload was not captured whole
  kLetterD = 1U << 10,    ///< history has this sender's D
  kLetterA = 1U << 11,    ///< history has this sender's A
  kCut = 1U << 12,        ///< bytes were dropped by the depth limit
  kFinAcked = 1U << 13,
  kFast = 1U << 14,       ///< nothing is odd: the fast path may be taken
  kAckedBySyn = 1U << 15, ///< its SYN was acknowledged
  kDoubt = 1U << 16,      ///< some bytes may not have been accepted (HalfRare::doubtful)
  kDoubtFin = 1U << 17,   ///< so may its FIN (HalfRare::doubt_fin)
  kTimestamps = 1U << 18, ///< its SYN carried the timestamp option; ts_recent is valid
  kSigned = 1U << 19,     ///< its SYN carried a TCP MD5 or TCP-AO signature
  kEdgeGuessed = 1U << 20, ///< snd_edge was computed without knowing the window scale
  kUrgent = 1U << 21,     ///< bytes leave, or will leave, the stream as urgent
  kOriginNamed = 1U << 22, ///< rcv_nxt is, or was, what the third step of the handshake named
  kFollowed = 1U << 23,    ///< of an unconfirmed connection: its last segment followed another
};
}  // namespace half_flags

/// One direction of a connection, named from its sender (RFC 9293, section 3.3.1; docs/tcp.md).
/// Invariants once kOriginKnown: rcv_nxt is the sequence number at `offset`;
/// rcv_nxt at or before snd_nxt.
class HalfConnection {
 public:
  StreamOffset offset;               ///< delivery point: bytes delivered and gaps before it
  SeqNum rcv_nxt;                    ///< the receiver's RCV.NXT as reconstructed
  SeqNum snd_nxt;                    ///< highest SEG.SEQ + SEG.LEN seen
  SeqNum snd_una;                    ///< highest acceptable acknowledgement of the peer
  SeqNum snd_edge;                   ///< furthest right edge that the peer ever permitted
  SeqNum fin_seq;                    ///< of the FIN, when kFinSeen
  std::uint32_t ts_recent;           ///< TS.Recent of the receiver (RFC 7323, 5), as reconstructed

  /// The sequence number at a position of the stream, less than 2^31 bytes away.
  [[nodiscard]] SeqNum seq_at(StreamOffset position) const {
    return rcv_nxt + static_cast<std::uint32_t>(position - offset);
  }

  [[nodiscard]] bool has_all(unsigned bits) const { return (flags() & bits) == bits; }
  [[nodiscard]] bool has_any(unsigned bits) const { return (flags() & bits) != 0; }
  [[nodiscard]] unsigned flags() const {
    return static_cast<unsigned>(packets_flags_ >> kPacketsBits);
  }
  void set(unsigned bits) { packets_flags_ |= std::uint64_t{bits} << kPacketsBits; }
  void clear(unsigned bits) { packets_flags_ &= ~(std::uint64_t{bits} << kPacketsBits); }
  /// Sets them or clears them.
  void assign(unsigned bits, bool value) {
    const std::uint64_t mask = std::uint64_t{bits} << kPacketsBits;
    packets_flags_ = (packets_flags_ & ~mask) | (mask & (0 - std::uint64_t{value}));
  }

  [[nodiscard]] State state() const { return static_cast<State>(ip_bytes_state_ >> kBytesBits); }
  void apply(Event event) {
    const auto next = static_cast<std::uint64_t>(next_state(state(), event));
    ip_bytes_state_ = ip_bytes() | next << kBytesBits;
  }
  /// The window scale: shift plus one; 0 = no option seen (RFC 7323, 2.2).
  [[nodiscard]] unsigned wscale() const {
    return static_cast<unsigned>(payload_bytes_wscale_ >> kBytesBits);
  }
  void set_wscale(std::uint8_t shift_plus_one) {
    payload_bytes_wscale_ = payload_bytes() | std::uint64_t{shift_plus_one} << kBytesBits;
  }

  void count_packet(std::uint32_t ip_bytes, std::uint32_t payload_bytes) {
    ++packets_flags_;
    ip_bytes_state_ += ip_bytes;
    payload_bytes_wscale_ += payload_bytes;
  }
  [[nodiscard]] std::uint64_t packets() const { return packets_flags_ & low_bits(kPacketsBits); }
  [[nodiscard]] std::uint64_t ip_bytes() const { return ip_bytes_state_ & low_bits(kBytesBits); }
  [[nodiscard]] std::uint64_t payload_bytes() const {
    return payload_bytes_wscale_ & low_bits(kBytesBits);
  }

 private:
  static constexpr unsigned kPacketsBits = 40;
  static constexpr unsigned kBytesBits = 56;
  static constexpr std::uint64_t low_bits(unsigned n) { return (std::uint64_t{1} << n) - 1; }

  // A counter in the low bits and something small above it: counting is one plain addition (as
  // bit fields they took 33 instructions a packet).
  std::uint64_t packets_flags_;         // half_flags
  std::uint64_t ip_bytes_state_;        // State
  std::uint64_t payload_bytes_wscale_;
};
static_assert(sizeof(HalfConnection) == 56);

/// Bits of Connection::flags.
namespace connection_flags {
enum Bits : unsigned {
  kOriginatorIsUpper = 1U << 0, ///< of the canonical key
  kClosing = 1U << 1,      ///< ended by FINs or RST; lingers
  kEstablished = 1U << 2,  ///< the whole handshake was seen
  kNoBytes = 1U << 3,      ///< the consumer wants no bytes
  kNoEvents = 1U << 4,     ///< the consumer wants only on_close
  kDelivered = 1U << 5,    ///< bytes, gaps or an end were announced
  kFinishing = 1U << 6,    ///< it ends now: what is held is told, nothing waits any more
  kResetByOriginator = 1U << 7,
  kResetByResponder = 1U << 8,
  kSynAckSeen = 1U << 9,
  kTimed = 1U << 10,       ///< a grace timer may be running
  kClosedByReset = 1U << 11, ///< with kClosing: it ended by RST, else by FINs
  // With ReportProbes::Yes only, of its first packet:
  kWatched = 1U << 12,     ///< it may turn out to be a probe of a port scan
  kFirstFromUpper = 1U << 13, ///< the upper end point of the key sent it
  kBareSyn = 1U << 14,     ///< it has no options but a segment size
  kConfirmed = 1U << 15,   ///< both sides were heard, or three segments of one in order
};
}  // namespace connection_flags

/// The bit that says that the sender of `d` has reset the connection.
constexpr unsigned reset_flag(Direction d) {
  return d == Direction::OriginatorToResponder ? connection_flags::kResetByOriginator
                                               : connection_flags::kResetByResponder;
}

/// Per connection and touched by each of its packets. half[0] is what the originator sends. Its
/// index in its pool names it in timers, pages and everything that is parallel to the pool.
struct alignas(64) Connection {
  ShortKey key;                 ///< its first bytes are the pool's where it is free
  Timestamp last_clock;         ///< of its last packet; with kClosing, of when it began to linger
  Timestamp last_stamp;
  Timestamp start;              ///< of its first packet, and so the next two
  std::uint64_t first_packet;
  SeqNum first_sequence;
  std::uint32_t letters_seen;   ///< letter_bit(); the originator's in the low half
  std::uint32_t consumer_slot;
  std::uint32_t extra;          ///< index of its ConnectionExtra plus one; 0 = none
  HalfConnection half[2];
  DeliveredLog::Head delivered[2];  ///< what was delivered last; parallel to half
  std::uint16_t flags;          ///< connection_flags
  std::uint16_t waiting_letters; ///< D and A that are not in the history yet
  SeqNum last_end;              ///< of an unconfirmed one: where its last segment ended

  /// A packet of it came at `clock`.
  void heard_at(Timestamp clock) {
    if (!has_any(connection_flags::kClosing)) last_clock = clock;
  }
  [[nodiscard]] bool has_any(unsigned bits) const { return (flags & bits) != 0; }
  [[nodiscard]] bool has_all(unsigned bits) const { return (flags & bits) == bits; }
  void set(unsigned bits) { flags = static_cast<std::uint16_t>(flags | bits); }
  void clear(unsigned bits) { flags = static_cast<std::uint16_t>(flags & ~bits); }
};
static_assert(sizeof(Connection) == 192, "three cache lines");

/// Zeek's history letters that are kept, as places in kHistoryLetters.
enum class Letter : std::uint8_t {
  Syn, SynAck, Ack, Data, Fin, Reset, BadChecksum, Gap, Retransmission, ZeroWindow, Flipped,
  MultiFlag, Inconsistent
};
inline constexpr std::string_view kHistoryLetters = "SHADFRCGTW^QI";
inline constexpr unsigned kResponderLetters = 16;
static_assert(kHistoryLetters.size() <= kResponderLetters);

/// The letter's bit in Connection::letters_seen. That roles were flipped is nobody's.
constexpr std::uint32_t letter_bit(Direction d, Letter letter) {
  const bool responder = d == Direction::ResponderToOriginator && letter != Letter::Flipped;
  return 1U << (static_cast<unsigned>(letter) + (responder ? kResponderLetters : 0U));
}

/// The letters A and D of both sides are due with plain segments, for which the history's line is
/// not at hand: they wait in the connection, in their order, until another letter is written.
/// Two bits a letter below a marker bit; 0: none waits.
namespace waiting_letters {
inline constexpr unsigned kBits = 2;
inline constexpr unsigned kIsData = 1;
inline constexpr unsigned kFromResponder = 2;
}  // namespace waiting_letters

/// Letters of a history in one word, with the flags of the first packet (with kWatched). Written by
/// packets that open and close a connection, read when a record is made. An array of them is
/// parallel to the connections.
class ConnectionHistory {
 public:
  static constexpr unsigned kLetters = 10;
  /// A letter of one side, in five bits.
  struct Entry {
    Letter letter;
    bool from_responder;
    /// In lower case where the responder sent the segment. That roles were flipped is nobody's.
    [[nodiscard]] char text() const {
      constexpr char kLowerCase = 0x20;
      const char upper = kHistoryLetters[static_cast<std::size_t>(letter)];
      return from_responder && letter != Letter::Flipped ? static_cast<char>(upper | kLowerCase)
                                                         : upper;
    }
  };

  [[nodiscard]] unsigned length() const { return field(kLengthAt, kLengthBits); }
  /// Preconditions: length() < kLetters; i < length().
  void add(Entry entry) {
    const auto code = static_cast<std::uint64_t>(entry.letter) |
                      std::uint64_t{entry.from_responder} << (kEntryBits - 1);
    word_ |= code << (kEntryBits * length());
    word_ += std::uint64_t{1} << kLengthAt;
  }
  [[nodiscard]] Entry operator[](unsigned i) const {
    return {static_cast<Letter>(field(kEntryBits * i, kEntryBits - 1)),
            field(kEntryBits * i + kEntryBits - 1, 1) != 0};
  }
  /// What the responder sent the originator sent, and the other way round.
  void flip() {
    constexpr std::uint64_t kResponders = 0x2'1084'2108'4210;  // of each entry the highest bit
    static_assert(std::popcount(kResponders) == kLetters);
    word_ ^= kResponders & ((std::uint64_t{1} << (kEntryBits * length())) - 1);
  }
  [[nodiscard]] std::uint8_t first_flags() const {
    return static_cast<std::uint8_t>(field(kFlagsAt, 8));
  }
  /// Preconditions: not called before.
  void set_first_flags(std::uint8_t flags) { word_ |= std::uint64_t{flags} << kFlagsAt; }

 private:
  static constexpr unsigned kEntryBits = 5;
  static constexpr unsigned kLengthAt = kEntryBits * kLetters;
  static constexpr unsigned kLengthBits = 4;
  static constexpr unsigned kFlagsAt = 56;
  static_assert(kHistoryLetters.size() <= 1U << (kEntryBits - 1));
  static_assert(kLengthAt + kLengthBits <= kFlagsAt);
  // What its own has no room for goes into the two of ConnectionExtra.
  static_assert(2 * kHistoryLetters.size() <= 3 * kLetters);

  [[nodiscard]] unsigned field(unsigned at, unsigned bits) const {
    return static_cast<unsigned>(word_ >> at) & ((1U << bits) - 1);
  }
  std::uint64_t word_;
};
static_assert(sizeof(ConnectionHistory) == 8);

/// A range of positions that was announced as a gap.
struct OffsetRange {
  StreamOffset begin;
  StreamOffset end;
};

/// How many urgent positions a direction remembers: to be taken out, and for the record.
inline constexpr std::size_t kUrgentPositions = 8;

/// A SYN that was seen before the handshake chose one, and how many bytes it carried.
struct SynCandidate {
  SeqNum iss;
  std::uint32_t bytes;
};

/// What loss, repetition and disorder leave behind in one direction.
struct HalfExtra {
  ReorderQueue queue;
  std::uint64_t duplicate_bytes;
  std::uint64_t gap_bytes;
  std::uint64_t gap_count;
  std::uint32_t out_of_order;
  std::uint32_t retransmissions;
  // Grace of a hole below the peer's acknowledgement (kHolePending), or of a stream picked up
  // mid-stream (kHeld): never of both.
  Timestamp grace_since;
  std::uint32_t grace_segments;
  SeqNum hole_ack;
  std::uint32_t overlap_conflicts;  ///< segments
  std::uint32_t rare;      ///< index of its HalfRare plus one; 0 = none
  StreamOffset cut_from;   ///< where the depth limit began to cut (kCut)
  std::uint64_t urgent_taken;  ///< bytes that left the stream
  /// The latest announced gaps, in turn, to tell late bytes from repeated ones.
  std::array<OffsetRange, 4> recent_gaps;

  /// Of the positions up to `end` those that are bytes of the stream.
  [[nodiscard]] std::uint64_t stream_bytes(StreamOffset end) const {
    return static_cast<std::uint64_t>(end) - gap_bytes - urgent_taken;
  }
};
static_assert(sizeof(HalfExtra) == 168);

/// What few of them need: bytes in doubt, urgent ones, several SYNs, contradictions.
struct HalfRare {
  // With kDoubt: bytes that the receiver may not have taken (docs/tcp.md), where the last of them
  // ends, and what becomes of them unless it acknowledges them.
  ReorderQueue doubtful;
  StreamOffset doubt_end;
  Fate doubt_cause;
  bool doubt_is_probe;         ///< it is one byte sent into a closed window
  SeqNum doubt_fin;            ///< with kDoubtFin
  std::uint32_t urgent_pending_count;
  SeqNum urgent_seq;           ///< the latest of those named, when urgent_bytes > 0
  std::uint64_t urgent_bytes;  ///< distinct positions that urgent pointers named
  std::array<StreamOffset, kUrgentPositions> urgent_offsets;  ///< the first of them
  std::array<StreamOffset, kUrgentPositions> urgent_pending;  ///< ascending; to be taken out
  std::uint32_t conflict_ranges;  ///< told to the handler
  std::uint32_t candidate_count;  ///< ever remembered; the latest of them are kept
  std::array<SynCandidate, 4> candidates;

  /// The origin of the stream is at `to` now.
  void move_urgent(StreamOffset to) {
    for (StreamOffset& position : urgent_pending) position -= to;
    for (StreamOffset& position : urgent_offsets) position -= to;
  }
};

/// Up to where an open connection's direction was announced: what the depth limit cuts becomes a
/// gap at the connection's end only.
inline StreamOffset announced_end(const HalfConnection& h, const HalfExtra& extra) {
  return h.has_any(half_flags::kCut) ? extra.cut_from : h.offset;
}

struct alignas(64) ConnectionExtra {
  HalfExtra half[2];
  std::array<std::uint32_t, kAnomalyCount> anomalies;
  std::uint64_t last_packet;    ///< with kTimed: its latest
  std::uint32_t reuse;          ///< how often the tuple had been used before
  std::uint32_t encapsulation;  ///< index of its EncapsulationList plus one; 0 = none
  std::array<ConnectionHistory, 2> history;  ///< what its own has no room for
};
static_assert(sizeof(ConnectionExtra) == 512, "eight cache lines");

}  // namespace flowloom
