// One segment at a time into one connection: state, order, gaps (RFC 9293, section 3.10.7).
//
// Sans I/O: the tracker looks up nothing, reads no clock and knows no consumer. Its Handler is a
// concept, so that the path from segment to delivery is one inlined function:
//   void data(Direction, StreamOffset, ByteView);   delivered bytes, in order
//   void gap(Direction, StreamOffset, std::int64_t length, HoleCause);
//   void end(Direction);                            the FIN was reached
//   void urgent(Direction, StreamOffset, std::uint8_t); a byte that is not in the stream
//   void conflict(Direction, const OverlapConflict&);  held bytes that a segment contradicts
//   void arm(Connection&, Timestamp);               wants on_grace() at that clock
//   void on_behalf_of(Connection&, action);         events of another connection
// Both directions are treated by the same code, which takes (talker, listener).
// The rules, with their reasons, are in docs/tcp.md.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/keep.hpp"
#include "base/slab_pool.hpp"
#include "base/time.hpp"
#include "net/anomaly.hpp"
#include "net/fate.hpp"
#include "net/tcp_options.hpp"
#include "tcp/connection.hpp"
#include "tcp/delivered_log.hpp"
#include "tcp/delivery_policy.hpp"
#include "tcp/overlap_policy.hpp"
#include "tcp/segment.hpp"

namespace flowloom {

/// A stream picked up mid-stream waits this long for earlier bytes that arrive late.
inline constexpr std::uint32_t kPickupGraceSegments = 8;
inline constexpr Duration kPickupGraceTime = std::chrono::milliseconds{200};
/// Bytes that were acknowledged but not seen may still come: a tap that merges two fibres can
/// show the ACK before its data. They are given up when the connection has gone on for this many
/// segments and for this long,
inline constexpr std::uint32_t kGapGraceSegments = 8;
inline constexpr Duration kGapGraceTime = std::chrono::milliseconds{200};
/// or for this many segments however fast (a fast stream must not pile up behind a hole),
inline constexpr std::uint32_t kGapGraceSegmentsMax = 32;
/// or for this long however few.
inline constexpr Duration kGapGraceTimeMax = std::chrono::seconds{30};
/// A hole that was never acknowledged and is larger than this ends the stream at the end of the
/// connection: the bytes beyond it were never accepted by a receiver that was heard.
inline constexpr std::int64_t kMaxUnackedHole = std::int64_t{1} << 20;
/// What an acknowledgement may be ahead of, or behind, what was seen, if the window is smaller: the
/// largest window that is not scaled.
inline constexpr std::int64_t kSmallestSlack = 65535;
/// Ticks that a timestamp may be behind TS.Recent.
inline constexpr std::uint32_t kTimestampSlack = 1;
/// TS.Recent is void when a connection was idle for longer (RFC 7323, 5.5).
inline constexpr Duration kTimestampLife = std::chrono::hours{24 * 24};

/// Why bytes are missing, as the tracker knows it; same order as the record's GapCause.
enum class HoleCause : std::uint8_t { CaptureLoss, NetworkLoss, Cut, Unknown };

/// Why a receiver would not take a segment (RFC 9293, 3.10.7.4; RFC 7323, 5; RFC 5961, 5).
enum class Doubt : std::uint8_t { None, NoAck, OldTimestamp, Acknowledgement };

/// How a connection came to its closing; see connection_flags::kClosing.
enum class Closing : std::uint8_t { Fin, Rst };

struct TcpSettings {
  OverlapPolicy overlap = OverlapPolicy::Bsd;
  DeliverWhen deliver = DeliverWhen::Arrival;
  UrgentMode urgent = UrgentMode::Inline;
  /// Bytes delivered per direction; what follows has the fate cut_depth.
  StreamOffset depth = std::numeric_limits<StreamOffset>::max();
  /// Reorder pages that one direction may hold: 4 MiB.
  std::uint32_t pages_per_direction = 2048;
};

/// Sums over all connections of a shard; one writer.
struct TcpCounters {
  std::uint64_t payload_seen = 0;
  std::array<std::uint64_t, kFateCount> fates{};
  std::array<std::uint64_t, kAnomalyCount> anomalies{};
  std::uint64_t rooms_made = 0;  ///< holes given up because pages ran short
  void fate(Fate f, std::uint64_t bytes) { fates[static_cast<std::size_t>(f)] += bytes; }
};

/// What the tracker may use of its shard's memory.
struct TcpMemory {
  SlabPool<ConnectionExtra> extras;
  SlabPool<HalfRare> rares;
  ReorderPool pages;
  DeliveredLog delivered;
};

template <class Handler>
class TcpTracker {
 public:
  TcpTracker(const TcpSettings& settings, TcpMemory& memory, TcpCounters& counters,
             ConnectionHistory* histories, Connection* connections)
      : settings_(settings), memory_(memory), counters_(counters), histories_(histories),
        connections_(connections) {}

  /// Without those of tcp_usual.hpp the result is the same; for tests.
  enum class Ways : std::uint8_t { All, NoUsual };
  /// Takes in one segment that `d`'s sender sent.
  template <Ways kWays = Ways::All>
  [[gnu::always_inline]]
  inline void on_segment(Connection& c, const Segment& s, Direction d, Handler& out) {
    HalfConnection& talker = *kept(&c.half[index_of(d)]);
    HalfConnection& listener = *kept(&c.half[index_of(reverse(d))]);
    talker.count_packet(s.ip_bytes, s.length);
    counters_.payload_seen += s.length;
    if (is_plain(talker, listener, s)) [[likely]] {
      talker.snd_nxt = talker.rcv_nxt = talker.rcv_nxt + s.length;
      listener.snd_una = s.ack;
      note_window(c, talker, listener, s);
      note_plain_timestamp(talker, listener, s);
      note_plain_letter(c, talker, s, d);
      if (s.length > 0) {
        const StreamOffset at = talker.offset;
        talker.offset += s.length;
        counters_.fate(Fate::Delivered, s.length);
        out.data(d, at, s.payload);
        memory_.delivered.add(c.delivered[index_of(d)], owner_of(c, d), s.number, at, s.payload);
      }
      return;
    }
    if (kWays == Ways::All && take_usual(c, s, d, out)) return;
    on_odd_segment(c, s, d, out);
  }

  /// on_segment() for a first segment whose payload was counted when it came. Apart, so that the
  /// hot path has one caller only and is inlined.
  void on_lone_segment(Connection& c, const Segment& s, Direction d, Handler& out) {
    c.half[index_of(d)].count_packet(s.ip_bytes, s.length);
    on_odd_segment(c, s, d, out);
  }

  /// The earliest clock at which a grace ends, or kTimeMax.
  [[nodiscard]] Timestamp grace_deadline(const Connection& c) const;
  /// Ends the graces that are over at `now`.
  void on_grace(Connection& c, Timestamp now, Handler& out);
  /// The connection ends: everything held is delivered, every hole declared.
  void finish(Connection& c, Handler& out);
  /// Gives the connection's memory back.
  void release(Connection& c);

  void count(Connection& c, Anomaly a);
  /// Any letter but A and D.
  void add_letter(Connection& c, Direction d, Letter letter) {
    const std::uint32_t bit = letter_bit(d, letter);
    if ((c.letters_seen & bit) != 0) return;
    write_waiting_letters(c);
    write_letter(c, d, letter);
  }
  /// Preconditions: before the history is read or its case is changed.
  void write_waiting_letters(Connection& c);
  /// The rare state of a connection, taken now if need be; nullptr when the pool is exhausted.
  ConnectionExtra* extra_of(Connection& c);
  /// Whether `iss` is that of a SYN of `d`'s sender which was not believed.
  [[nodiscard]] bool is_candidate(const Connection& c, Direction d, SeqNum iss) const;
  [[nodiscard]] const ConnectionExtra* find_extra(const Connection& c) const {
    return c.extra == 0 ? nullptr : &memory_.extras[c.extra - 1];
  }
  [[nodiscard]] HalfRare* find_rare(const HalfExtra& extra) const {
    return extra.rare == 0 ? nullptr : &memory_.rares[extra.rare - 1];
  }

 private:
  /// An established direction pair, the next expected segment, nothing but ACK and PSH.
  [[nodiscard]] bool is_plain(const HalfConnection& talker, const HalfConnection& listener,
                              const Segment& s) const {
    constexpr TcpFlags kOdd = kSyn | kFin | kRst | kUrg;
    return !s.flags.has_any(kOdd) && s.flags.has_any(kAck) &&
           talker.has_all(half_flags::kFast) && listener.has_all(half_flags::kFast) &&
           s.seq == talker.rcv_nxt && s.payload.size() == s.length && s.window != 0 &&
           s.ack.value() - listener.snd_una.value() <=
               listener.rcv_nxt.value() - listener.snd_una.value() &&
           (s.seq + s.length).at_or_before(talker.snd_edge) &&
           talker.offset + s.length <= settings_.depth &&
           has_plain_timestamp(talker, listener, s);
  }

  /// Timestamps are not in use, or this one stands in the usual place and is not older than
  /// TS.Recent (RFC 7323, 5.3).
  [[nodiscard]] static bool has_plain_timestamp(const HalfConnection& talker,
                                                const HalfConnection& listener,
                                                const Segment& s) {
    if (!uses_timestamps(talker, listener)) return true;
    if (s.options.size() < kAlignedTimestampsBytes ||
        load_be32(s.options.data()) != kAlignedTimestamps) {
      return false;
    }
    const std::uint32_t value = load_be32(s.options.data() + 4);
    return value != 0 && !is_older(value, talker.ts_recent);
  }
  static void note_plain_timestamp(HalfConnection& talker, const HalfConnection& listener,
                                   const Segment& s) {
    if (!uses_timestamps(talker, listener)) return;
    const std::uint32_t value = load_be32(s.options.data() + 4);
    if (talker.ts_recent != value + kTimestampSlack) talker.ts_recent = value;
  }
  [[nodiscard]] static bool uses_timestamps(const HalfConnection& a, const HalfConnection& b) {
    return a.has_any(half_flags::kTimestamps) && b.has_any(half_flags::kTimestamps);
  }
  /// Timestamps wrap like sequence numbers; 0 stands for none; one tick is what processors that
  /// send at the same time differ by.
  [[nodiscard]] static bool is_older(std::uint32_t value, std::uint32_t recent) {
    return recent != 0 && static_cast<std::int32_t>(value + kTimestampSlack - recent) < 0;
  }

  /// The timestamp that a segment carries, wherever it stands; 0 where there is none.
  [[nodiscard]] static std::uint32_t timestamp_of(const Segment& s) {
    return parse_tcp_options(s.options).timestamp_value;
  }
  /// TS.Recent is too old to judge this segment by.
  [[nodiscard]] static bool timestamps_expired(const Connection& c, const Segment& s) {
    return s.clock > saturating_add(c.last_clock, kTimestampLife);
  }

  /// SND.UNA + SND.WND as the listener may use it: the furthest edge ever offered stays.
  void note_window(Connection& c, const HalfConnection& talker, HalfConnection& listener,
                   const Segment& s) {
    const bool scaled = talker.wscale() != 0 && listener.wscale() != 0;
    const bool plain_edge = scaled && !s.flags.has_any(kSyn);
    const unsigned shift =
        plain_edge ? talker.wscale() - 1U : odd_window_shift(talker, listener, s);
    const SeqNum edge = s.ack + (std::uint32_t{s.window} << shift);
    if (listener.snd_edge.before(edge)) {
      listener.snd_edge = edge;
    } else if ((edge + (1U << shift)).before(listener.snd_edge)) [[unlikely]] {
      note_smaller_window(c, listener, s);
    }
  }
  [[nodiscard]] static unsigned odd_window_shift(const HalfConnection& talker,
                                                 HalfConnection& listener, const Segment& s);
  void note_smaller_window(Connection& c, const HalfConnection& listener, const Segment& s);

  // --- handshake (tcp_handshake.hpp)
  bool on_syn(Connection& c, const Segment& s, Direction d, Handler& out);
  bool accept_syn_ack(Connection& c, const Segment& s, Direction d, Handler& out);
  [[nodiscard]] static std::optional<SeqNum> find_candidate(const HalfConnection& h,
                                                            const HalfRare* rare,
                                                            SeqNum acked);
  bool choose_candidate(Connection& c, Direction d, SeqNum acked);
  void remember_candidate(Connection& c, Direction d, SynCandidate candidate);
  [[nodiscard]] bool is_inside(const Connection& c, Direction d, SeqNum first_data) const;
  bool begins_at(Connection& c, const Segment& s, Direction d);
  [[nodiscard]] bool corrects_origin(const Connection& c, Direction d, SeqNum first_data) const;
  [[nodiscard]] static bool is_third_step(const Connection& c, const Segment& s, Direction d);
  void name_held_origin(Connection& c, const Segment& s, Direction d);
  void forget_acks_beside(Connection& c, Direction d, SeqNum first_data);
  void bind_origin(Connection& c, const Segment& s, Direction d);
  /// It acknowledges the SYN, with or without what was sent after it. Preconditions: kOriginKnown.
  [[nodiscard]] static bool names_origin(const HalfConnection& h, SeqNum acked) {
    return is_between(acked, h.rcv_nxt, h.snd_nxt);
  }
  [[nodiscard]] static bool is_between(SeqNum seq, SeqNum first, SeqNum last) {
    return first.at_or_before(seq) && seq.at_or_before(last);
  }
  [[nodiscard]] static bool is_confirmed(const HalfConnection& h) {
    return h.has_all(half_flags::kOriginKnown | half_flags::kAcked) &&
           names_origin(h, h.snd_una);
  }
  void set_origin(Connection& c, Direction d, SeqNum first_data);
  void note_syn_options(Connection& c, HalfConnection& talker, const Segment& s);
  void settle_syn_data(Connection& c, Direction d, SeqNum acked, Handler& out);

  // --- what a receiver may not have taken (tcp_doubt.hpp)
  [[nodiscard]] Doubt doubt_about(const Connection& c, const Segment& s, Direction d) const;
  [[nodiscard]] Doubt doubt_about_ack(const Connection& c, const Segment& s, Direction d) const;
  void note_doubt(Connection& c, const Segment& s, Direction d, Doubt doubt);
  void note_timestamp(Connection& c, const Segment& s, Direction d);
  /// From where on a segment's bytes are doubtful, and why.
  struct DoubtStart {
    StreamOffset at;
    Fate cause;
  };
  [[nodiscard]] DoubtStart doubt_start(const Connection& c, Direction d, StreamOffset begin,
                                       Doubt doubt) const;
  void hold_doubtful(Connection& c, Direction d, StreamOffset begin, ByteView bytes, Fate cause);
  void replace_doubtful(Connection& c, Direction d, StreamOffset begin, StreamOffset end);
  void forget_doubtful(Connection& c, Direction d, StreamOffset begin, StreamOffset end);
  void confirm_fin(Connection& c, Direction d);
  void confirm_acked(Connection& c, Direction d, Handler& out);
  void believe_doubtful(Connection& c, Direction d, StreamOffset until, Handler& out);
  void believe_permitted(Connection& c, Direction d, Handler& out);
  void believe_only_copies(Connection& c, Direction d, StreamOffset until, Handler& out);
  [[nodiscard]] static bool fills_acked_hole(const HalfConnection& h, const HalfExtra& extra,
                                             StreamOffset position);
  void void_fin(Connection& c, Direction d);
  void doubt_fin(Connection& c, Direction d, SeqNum fin);
  void drop_doubtful(Connection& c, Direction d);
  [[nodiscard]] StreamOffset acked_offset(const HalfConnection& h) const;
  [[nodiscard]] StreamOffset window_edge(const Connection& c, Direction d) const;
  [[nodiscard]] bool waits_for_ack(const Connection& c, Direction d) const {
    return settings_.deliver == DeliverWhen::Acked &&
           c.half[index_of(reverse(d))].has_any(half_flags::kHeard);
  }
  [[nodiscard]] StreamOffset final_until(const Connection& c, Direction d) const;
  /// Offset as consumers count it: without the urgent bytes that left the stream.
  [[nodiscard]] StreamOffset stream_position(const Connection& c, Direction d,
                                             StreamOffset offset) const {
    if (!c.half[index_of(d)].has_any(half_flags::kUrgent)) return offset;
    return offset - static_cast<StreamOffset>(find_half_extra(c, d)->urgent_taken);
  }

  [[nodiscard]] static bool was_reset(const Connection& c) {
    return c.has_all(connection_flags::kClosing | connection_flags::kClosedByReset);
  }

  // --- segments that are not plain (tcp_segment.hpp)
  void write_letter(Connection& c, Direction d, Letter letter);
  /// A or D: see waiting_letters.
  static void note_plain_letter(Connection& c, HalfConnection& talker, const Segment& s,
                                Direction d) {
    const unsigned flag = s.length > 0 ? half_flags::kLetterD : half_flags::kLetterA;
    if (talker.has_all(flag)) [[likely]] return;
    talker.set(flag);
    const unsigned before = c.waiting_letters == 0 ? 1U : c.waiting_letters;
    const unsigned letter = (s.length > 0 ? waiting_letters::kIsData : 0U) |
                            (index_of(d) != 0 ? waiting_letters::kFromResponder : 0U);
    c.waiting_letters = static_cast<std::uint16_t>(before << waiting_letters::kBits | letter);
  }
  void on_odd_segment(Connection& c, const Segment& s, Direction d, Handler& out);
  void on_believed_segment(Connection& c, const Segment& s, Direction d, Handler& out);
  void on_doubtful_segment(Connection& c, const Segment& s, Direction d, Doubt doubt,
                           Handler& out);
  /// Everything up to its FIN was delivered.
  [[nodiscard]] static bool reached_fin(const HalfConnection& h) {
    using enum half_flags::Bits;
    return h.has_all(kFinSeen | kOriginKnown) && !h.has_any(kHeld) && h.rcv_nxt == h.fin_seq;
  }
  /// It acknowledges less than has been acknowledged already.
  [[nodiscard]] static bool is_old_ack(const HalfConnection& listener, const Segment& s) {
    return listener.has_any(half_flags::kAcked) && s.ack.before(listener.snd_una);
  }
  void note_letters(Connection& c, const Segment& s, Direction d);
  void note_urgent(Connection& c, const Segment& s, Direction d, Handler& out);
  static void expect_urgent(HalfConnection& h, HalfRare& rare, StreamOffset position);
  [[nodiscard]] bool reset_is_valid(const Connection& c, const Segment& s, Direction d) const;
  void on_ack(Connection& c, const Segment& s, Direction d, Handler& out);
  void on_reset(Connection& c, const Segment& s, Direction d);
  void on_fin(Connection& c, const Segment& s, Direction d, Handler& out);
  void choose_fin(Connection& c, Direction d, SeqNum acked);
  [[nodiscard]] bool outlives_own_reset(const Connection& c, const Segment& s, Direction d) const;
  void begin_closing(Connection& c, Closing how, Timestamp clock);
  /// Nothing of this direction waits for anything: settle() would change nothing.
  [[nodiscard]] bool is_settled(const Connection& c, Direction d) const;
  void settle(Connection& c, Direction d, Timestamp clock, Handler& out);
  void update_fast(Connection& c);

  // --- what opens and closes nearly every connection (tcp_usual.hpp); false: by the rules
  /// A segment between the two halves of a connection.
  struct Exchange {
    Connection& c;
    HalfConnection& talker;
    HalfConnection& listener;
    const Segment& s;
    Direction d;
  };
  bool take_usual(Connection& c, const Segment& s, Direction d, Handler& out);
  bool take_first_syn(const Exchange& e);
  void begin_with_syn(const Exchange& e, Letter letter);
  bool take_syn_ack(const Exchange& e);
  bool take_third_step(const Exchange& e);
  bool take_ack_of_fin(const Exchange& e, Handler& out);
  bool take_fin(const Exchange& e, Handler& out);
  void take_ack(const Exchange& e);
  [[nodiscard]] static bool may_end_by_ack(const Exchange& e);
  static void end_by_ack(const Exchange& e, Handler& out);
  [[nodiscard]] static bool is_usual_talk(const Exchange& e);

  // --- bytes that were announced before (tcp_repeat.hpp)
  void note_old_text(Connection& c, Direction d, StreamOffset begin, ByteView bytes,
                     Handler& out);
  void note_probe(Connection& c, Direction d, StreamOffset begin, StreamOffset end);
  std::uint64_t compare_repeated(Connection& c, Direction d, StreamOffset begin, ByteView bytes,
                                 Handler& out);
  void count_old(Connection& c, Direction d, StreamOffset begin, StreamOffset end,
                 std::uint64_t differing);

  // --- bytes into order (tcp_reassembly.hpp)
  void on_text(Connection& c, const Segment& s, Direction d, Doubt doubt, Handler& out);
  void place_doubtful(Connection& c, Direction d, StreamOffset begin, ByteView bytes, Fate cause);
  void arrange(Connection& c, Direction d, StreamOffset begin, ByteView bytes, Handler& out);
  void reopen(Connection& c, Direction d);
  void place(Connection& c, Direction d, StreamOffset begin, ByteView bytes, Handler& out);
  void hold(Connection& c, Direction d, StreamOffset begin, ByteView bytes, Handler& out);
  void keep_room(Connection& c, Direction d, Handler& out);
  void deliver(Connection& c, Direction d, ByteView bytes, Handler& out);
  void deliver_piece(Connection& c, Direction d, ByteView bytes, Handler& out);
  void take_urgent(Connection& c, Direction d, std::uint8_t byte, Handler& out);
  void drain(Connection& c, Direction d, Handler& out) { drain(c, d, final_until(c, d), out); }
  void drain(Connection& c, Direction d, StreamOffset until, Handler& out);
  void declare_gap(Connection& c, Direction d, StreamOffset until, HoleCause cause, Handler& out);
  void give_up_first_hole(Connection& c, Direction d, HoleCause cause, Handler& out);
  bool make_room(Connection& c, Direction d, Handler& out);
  static void begin_stream(HalfConnection& h, SeqNum first_seen);
  void begin_pickup(Connection& c, Direction d, const Segment& s, Handler& out);
  void release_held(Connection& c, Direction d, Handler& out);
  void move_held_origin(Connection& c, Direction d, StreamOffset to);
  [[nodiscard]] bool pickup_complete(const Connection& c, Direction d) const;
  [[nodiscard]] static bool hole_grace_over(HalfExtra& extra, Timestamp clock);
  void watch_hole(Connection& c, Direction d, Timestamp clock, Handler& out);
  void begin_hole_grace(Connection& c, Direction d, Timestamp clock, Handler& out);
  void end_hole_grace(Connection& c, Direction d, Handler& out);
  void flush(Connection& c, Direction d, Handler& out);
  void finish_direction(Connection& c, Direction d, Handler& out);
  void finish_stream(Connection& c, Direction d, Handler& out);
  /// Until the other side has acknowledged it, the FIN may turn out to be nobody's.
  [[nodiscard]] static bool fin_may_be_void(const Connection& c, Direction d) {
    return c.half[index_of(reverse(d))].has_any(half_flags::kHeard) &
           !c.half[index_of(d)].has_any(half_flags::kFinAcked) &
           !c.has_any(connection_flags::kFinishing);
  }
  void announce_end(Connection& c, Direction d, Handler& out);
  [[nodiscard]] bool holds_behind_fin(const Connection& c, Direction d) const;
  bool drop_behind_fin(Connection& c, Direction d);
  [[nodiscard]] HoleCause cause_at(const HalfConnection& h, StreamOffset begin) const;
  [[nodiscard]] SeqNum acked_data(const HalfConnection& h) const;
  [[nodiscard]] static bool may_be_unseen_fin(const Connection& c, Direction d);

  /// The direction's sender as a side of the canonical key, which no change of roles affects;
  /// its own inverse.
  static unsigned side_of(const Connection& c, Direction d) {
    return index_of(d) ^ (c.has_any(connection_flags::kOriginatorIsUpper) ? 1U : 0U);
  }
  /// Names a direction in pages and in the log of what was delivered.
  [[nodiscard]] std::uint32_t owner_of(const Connection& c, Direction d) const {
    return place_of(c) * 2 + side_of(c, d);
  }
  /// Its index in its pool.
  [[nodiscard]] std::uint32_t place_of(const Connection& c) const {
    return static_cast<std::uint32_t>(&c - connections_);
  }
  /// Passes conflicts on to the handler.
  struct ConflictTeller final : ConflictObserver {
    ConflictTeller(TcpTracker& its_tracker, Connection& its_connection, Direction its, Handler& to)
        : tracker(its_tracker), connection(its_connection), direction(its), out(to) {}
    void on_conflict(const OverlapConflict& conflict) override {
      if (HalfRare* rare = tracker.half_rare(connection, direction)) ++rare->conflict_ranges;
      out.conflict(direction, conflict);
    }
    TcpTracker& tracker;
    Connection& connection;
    Direction direction;
    Handler& out;
  };
  static Direction direction_of(unsigned index) { return static_cast<Direction>(index); }
  HalfExtra* half_extra(Connection& c, Direction d) {
    ConnectionExtra* extra = extra_of(c);
    return extra == nullptr ? nullptr : &extra->half[index_of(d)];
  }
  HalfExtra* find_half_extra(Connection& c, Direction d) {
    return c.extra == 0 ? nullptr : &memory_.extras[c.extra - 1].half[index_of(d)];
  }
  [[nodiscard]] const HalfExtra* find_half_extra(const Connection& c, Direction d) const {
    return c.extra == 0 ? nullptr : &memory_.extras[c.extra - 1].half[index_of(d)];
  }
  HalfRare* half_rare(Connection& c, Direction d);
  [[nodiscard]] HalfRare* find_half_rare(const Connection& c, Direction d) const {
    const HalfExtra* extra = find_half_extra(c, d);
    return extra == nullptr ? nullptr : find_rare(*extra);
  }

  const TcpSettings settings_;
  TcpMemory& memory_;
  TcpCounters& counters_;
  ConnectionHistory* histories_;  // parallel to connections_
  Connection* connections_;
  std::uint64_t random_ = 0x2545f4914f6cdd1d;
};

}  // namespace flowloom

#include "tcp/tcp_close.hpp"
#include "tcp/tcp_doubt.hpp"
#include "tcp/tcp_handshake.hpp"
#include "tcp/tcp_reassembly.hpp"
#include "tcp/tcp_repeat.hpp"
#include "tcp/tcp_segment.hpp"
#include "tcp/tcp_usual.hpp"
