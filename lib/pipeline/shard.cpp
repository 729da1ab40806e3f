#include "pipeline/shard.hpp"

#include <algorithm>
#include <bit>

#include "base/check.hpp"
#include "base/prefetch.hpp"
#include "net/five_tuple.hpp"
#include "net/ip.hpp"
#include "net/tcp_checksum.hpp"
#include "net/tcp_header.hpp"
#include "pipeline/shard_timers.hpp"

namespace flowloom {

namespace {

std::uint32_t page_count(std::uint64_t bytes) {
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(bytes / sizeof(ReorderPage), 16, 0x7fffffff));
}

inline Segment segment_of(const Packet& packet) {
  const TcpHeader tcp = tcp_header_of(packet);
  const std::uint8_t* const first = packet.frame + packet.tcp_offset;
  const std::uint32_t header_bytes = tcp.header_bytes();
  Segment s{.seq = tcp.seq(),
            .ack = tcp.ack(),
            .length = packet.payload_length,
            .window = tcp.window(),
            .urgent = tcp.urgent_pointer(),
            .flags = tcp.flags(),
            .payload = {first + header_bytes, packet.payload_length},
            .options = {first + kTcpMinHeaderBytes, header_bytes - kTcpMinHeaderBytes},
            .ip_bytes = ip_length_of(packet),
            .clock = packet.clock,
            .stamp = packet.stamp,
            .number = packet.number};
  if (packet.has(packet_flags::kSnapped)) [[unlikely]] {
    s.payload = captured_payload(packet);
    s.options = captured_options(packet);
  }
  return s;
}

/// How many LoneSegments of each kind there may be: none where somebody wants to know of each
/// packet at once.
std::uint32_t lone_capacity(const ShardConfig& config) {
  const bool wanted = config.hold_first != HoldFirst::Never &&
                      config.probes == ReportProbes::No && config.packets == NotePackets::No;
  return wanted ? config.max_flows : 0;
}

/// From how many unconfirmed connections on they are used, where that is from one of `part` on.
std::uint32_t hold_from(const ShardConfig& config, std::uint32_t part) {
  if (lone_capacity(config) == 0) return kNoIndex;
  return config.hold_first == HoldFirst::Always ? 0 : config.max_flows / part;
}

/// Ports below this are taken for servers where no SYN tells who is who.
constexpr std::uint16_t kFirstClientPort = 1024;

/// No payload, or none but what its SYN carried and nobody has taken yet: a flood of SYNs with data
/// must not live longer than one without. What was acknowledged was said, if it was not captured.
bool has_said_nothing(const HalfConnection& h) {
  using enum half_flags::Bits;
  if (h.has_any(kOriginNamed)) return false; // a SYN/ACK that was missed, by the third step
  if (h.has_all(kHeld | kSynSeen)) return true;
  return h.payload_bytes() == 0 &&
         !(h.has_all(kOriginKnown | kAcked) && h.rcv_nxt.before(h.snd_una));
}

/// What a client may send before it has heard more than the SYN/ACK: its window is not scaled.
constexpr std::int64_t kFirstWindow = 65535;

/// Whether what was seen of a sender, or acknowledged to it, before any SYN cannot belong to a
/// stream that starts at `first_data`: the last segments of an older use of the tuple.
bool is_of_older_use(const Connection& c, const HalfConnection& talker, SeqNum first_data) {
  using enum half_flags::Bits;
  if (talker.has_any(kSynSeen) || c.has_any(connection_flags::kSynAckSeen)) return false;
  if (!talker.has_any(kOriginKnown | kAcked)) return false;
  const std::int64_t ahead = first_data.distance_to(talker.rcv_nxt); // the first of them
  return ahead < 0 || ahead > kFirstWindow;
}

}  // namespace

Shard::Shard(const ShardConfig& config, StreamConsumer& consumer)
    : config_(config),
      connections_(config.max_flows),
      histories_(config.max_flows),
      ipv6_(config.max_flows),
      encapsulations_(config.max_flows),
      syns_(lone_capacity(config)),
      texts_(lone_capacity(config)),
      table_(config.max_flows,
             KeyOf{connections_.data(), ipv6_.data(), syns_.data(), texts_.data(),
                   config.max_flows},
             config.table_growth),
      wheel_(config.max_flows + kLoneTimers, config.max_flows + config.max_flows / kQueueSlack),
      order_(config.max_flows),
      watch_(config.probes == ReportProbes::Yes ? config.max_flows : 0),
      memory_{SlabPool<ConnectionExtra>(config.max_flows), SlabPool<HalfRare>(2 * config.max_flows),
              ReorderPool(page_count(config.reorder_bytes)), DeliveredLog{}},
      delivery_(*this, consumer),
      tracker_(config.tcp, memory_, ledger_.tcp, histories_.data(), connections_.data()),
      hold_texts_from_(hold_from(config, kHoldTextsFrom)),
      hold_syns_from_(hold_from(config, kHoldSynsFrom)),
      pressure_begins_(config.max_flows - config.max_flows / kPressureBegins),
      pressure_ends_(config.max_flows - config.max_flows / kPressureEnds),
      pages_for_all_(memory_.pages.capacity() - memory_.pages.capacity() / kPagesForConfirmed) {}

std::size_t Shard::reserved_bytes() const {
  return connections_.bytes() + histories_.bytes() + ipv6_.bytes() + encapsulations_.bytes() +
         syns_.bytes() + texts_.bytes() + table_.bytes() + wheel_.bytes() + order_.bytes() +
         watch_.bytes() + memory_.extras.bytes() + memory_.rares.bytes() + memory_.pages.bytes() +
         memory_.delivered.bytes();
}

void Shard::track(Burst& burst) {
  delivery_.expect(burst);
  verify_checksums(burst);
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    Packet& packet = burst.packets[i];
    if (packet.clock >= wheel_.next_due()) advance_clock(packet.clock);
    if (packet.verdict == Verdict::Tcp) track_packet(packet, burst.guesses[i]);
    ledger_.count(packet);
  }
}

// A round of its own, which needs no connection: those that turn out good are done with.
void Shard::verify_checksums(Burst& burst) const {
  constexpr std::uint8_t kNeedsALook = packet_flags::kChecksumGood | packet_flags::kChecksumBad |
                                       packet_flags::kSnapped;
  if (config_.checksum == ChecksumMode::None) return;
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    Packet& packet = burst.packets[i];
    if (packet.verdict != Verdict::Tcp || packet.has(kNeedsALook)) continue;
    if (tcp_checksum_is_good(packet)) packet.flags |= packet_flags::kChecksumGood;
  }
}

void Shard::prefetch_table(const Burst& burst) const {
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    table_.prefetch(burst.packets[i].flow_hash);
  }
}

// Nothing is looked up for good here: an earlier packet may create or end the connection of a
// later one.
void Shard::prefetch_connections(Burst& burst) const {
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    if (burst.packets[i].verdict != Verdict::Tcp) continue;
    const std::uint32_t index = table_.candidate(burst.packets[i].flow_hash);
    if (index == kNoIndex) {
      burst.guesses[i] = 0;
      continue;
    }
    if (is_lone(index)) [[unlikely]] {
      burst.guesses[i] = 0;
      prefetch_object(lone_at(index));
      continue;
    }
    burst.guesses[i] = index;
    prefetch_object<PrefetchFor::Write>(connections_[index]);
    if (burst.packets[i].has(packet_flags::kIpv6)) [[unlikely]] prefetch_line(&ipv6_[index]);
    // Segments that change the state need more. Which ones do follows no pattern: the others ask
    // for what is at hand.
    constexpr TcpFlags kChangesState = kSyn | kFin | kRst;
    const bool changes = tcp_header_of(burst.packets[i]).flags().has_any(kChangesState);
    const std::uint32_t also = index & (0U - static_cast<std::uint32_t>(changes));
    prefetch_line<PrefetchFor::Write>(&histories_[also]);
    wheel_.prefetch(also);
  }
}

std::uint32_t Shard::count_known(Burst& burst) const {
  prefetch(burst);
  std::uint32_t known = 0;
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    const Packet& packet = burst.packets[i];
    if (packet.verdict != Verdict::Tcp) continue;
    if (table_.find(flow_key_of(packet), packet.flow_hash) != kNoIndex) ++known;
  }
  return known;
}

inline bool Shard::has_key(std::uint32_t index, const Packet& packet) const {
  if (!(short_key_of(packet) == connections_[index].key)) return false;
  return !packet.has(packet_flags::kIpv6) || ipv6_addresses_of(packet) == ipv6_[index];
}

// What is free has no addresses (ShortKey), so what has the packet's key is in the table.
inline Connection* Shard::find(const Packet& packet, std::uint32_t guess) {
  if (has_key(guess, packet)) [[likely]] return &connections_[guess];
  if (table_.lacks(packet.flow_hash)) return nullptr;
  return find_in_table(packet);
}

// What was a LoneSegment is a connection from now on.
// Preconditions: delivery_ was told the decision.
Connection* Shard::find_in_table(const Packet& packet) {
  const std::uint32_t index = table_.find(flow_key_of(packet), packet.flow_hash);
  if (index == kNoIndex) return nullptr;
  if (!is_lone(index)) return &connections_[index];
  Connection& opened = open_lone(index);
  // Much of its grace may be over: it ends in time, whoever's packet passes it.
  wheel_.arm_again(place_of(opened), deadline_of(opened), ShardTimers{*this});
  return &opened;
}

void Shard::track_packet(Packet& packet, std::uint32_t guess) {
  delivery_.decide(packet.clock, packet.number);
  Connection* c = find(packet, guess);
  if (!packet.has(packet_flags::kChecksumGood) && !judge_checksum(packet, c)) [[unlikely]] {
    if (c != nullptr) {
      note_fragments(*c, packet);
      if (config_.packets == NotePackets::Yes) note_bad_checksum(*c, packet);
    }
    packet.verdict = Verdict::BadTcpChecksum;
    return;
  }
  const Segment s = segment_of(packet);
  std::uint32_t reuse = 0;
  if (c != nullptr && s.flags.has_any(kSyn) && begins_anew(*c, s, direction_in(*c, packet))) {
    const ConnectionExtra* extra = tracker_.find_extra(*c);
    reuse = 1 + (extra == nullptr ? 0 : extra->reuse);
    end(*c, c->has_any(connection_flags::kClosing) ? reason_of(*c) : CloseReason::Reused);
    c = nullptr;
  }
  if (c == nullptr) {
    const FlowKey key = flow_key_of(packet);
    const bool few = unconfirmed_ < hold_texts_from_;
    if (!few && reuse == 0 && hold_first(packet, key, s)) return;
    c = admit(packet, key, s, reuse);
    if (c == nullptr) {
      packet.verdict = Verdict::TableFull;
      return;
    }
  }
  delivery_.about(*c);
  note_fragments(*c, packet);
  if (s.flags.has_any(kSyn) && roles_are_wrong(*c, s, direction_in(*c, packet))) flip_roles(*c);
  const Direction d = direction_in(*c, packet);
  c->last_stamp = s.stamp;
  const bool was_closing = c->has_any(connection_flags::kClosing);
  TalkerCounts before;
  const bool noted = config_.packets == NotePackets::Yes;
  if (noted) [[unlikely]] before = counts_of(*c, d);
  tracker_.on_segment(*c, s, d, delivery_);
  if (noted) [[unlikely]] note_packet(*c, packet, before);
  c->heard_at(s.clock); // until here last_clock is that of the packet before
  // What may bring the deadline nearer; all else only postpones it, which the wheel finds out.
  const bool turned = was_closing != c->has_any(connection_flags::kClosing);
  if (turned || s.flags.has_any(kSyn)) rearm(*c);
  if (!c->has_any(connection_flags::kConfirmed)) {
    note_unconfirmed(*c, s, d);
  } else if (turned) {
    note_turn(*c);
  }
}

void Shard::rearm(Connection& c) {
  const Timestamp deadline = deadline_of(c);
  const bool lingers = c.has_any(connection_flags::kClosing) &&
                       deadline == saturating_add(c.last_clock, config_.closed_timeout);
  if (lingers) {
    wheel_.enqueue(kLingerQueue, place_of(c), deadline);
  } else {
    wheel_.arm(place_of(c), deadline);
  }
}

Shard::TalkerCounts Shard::counts_of(const Connection& c, Direction d) const {
  TalkerCounts counts;
  counts.expected = c.half[index_of(d)].rcv_nxt;
  if (const ConnectionExtra* extra = tracker_.find_extra(c)) {
    const HalfExtra& half = extra->half[index_of(d)];
    counts.retransmissions = half.retransmissions;
    counts.out_of_order = half.out_of_order;
    counts.conflicts = half.overlap_conflicts;
  }
  return counts;
}

void Shard::note_packet(Connection& c, const Packet& packet, const TalkerCounts& before) {
  const TalkerCounts now = counts_of(c, direction_in(c, packet));
  std::uint8_t marks = 0;
  if (now.retransmissions > before.retransmissions) marks |= packet_marks::kRetransmission;
  std::int64_t ahead = 0;
  if (now.out_of_order > before.out_of_order) {
    marks |= packet_marks::kOutOfOrder;
    ahead = before.expected.distance_to(tcp_header_of(packet).seq());
  }
  if (now.conflicts > before.conflicts) marks |= packet_marks::kConflict;
  tell_packet(packet, marks, static_cast<std::uint32_t>(std::max<std::int64_t>(ahead, 0)));
}

// Preconditions: delivery_ was told the decision.
void Shard::note_bad_checksum(Connection& c, const Packet& packet) {
  delivery_.about(c);
  tell_packet(packet, packet_marks::kBadChecksum, 0);
}

void Shard::tell_packet(const Packet& packet, std::uint8_t marks, std::uint32_t ahead) {
  PacketNote note{.stamp = packet.stamp,
                  .number = packet.number,
                  .frame = {packet.frame, packet.captured},
                  .wire_length = packet.wire_length,
                  .payload_length = packet.payload_length,
                  .ahead = ahead,
                  .link = packet.link,
                  .sender = packet.has(packet_flags::kFromLower) ? KeySide::Lower
                                                                 : KeySide::Upper,
                  .marks = marks};
  if (packet.has(packet_flags::kReassembled)) {
    // What stands before the IP header is of our own making.
    note.marks |= packet_marks::kReassembled;
    note.link = LinkType::Raw;
    note.frame = note.frame.subspan(packet.ip_offset);
    note.wire_length -= packet.ip_offset;
  }
  delivery_.packet(note);
}

bool Shard::judge_checksum(const Packet& packet, Connection* connection) {
  if (config_.checksum == ChecksumMode::None) return true;
  ChecksumResult result = ChecksumResult::Bad;
  if (!packet.has(packet_flags::kChecksumBad) || config_.checksum == ChecksumMode::Auto) {
    result = check_tcp_checksum(packet);
  }
  switch (result) {
    case ChecksumResult::Good:
    case ChecksumResult::NotCaptured:
      return true;
    case ChecksumResult::Offloaded:
      if (config_.checksum == ChecksumMode::Auto) {
        ++ledger_.checksums_offloaded;
        return true;
      }
      break;
    case ChecksumResult::Bad:
      break;
  }
  if (connection != nullptr) {
    tracker_.add_letter(*connection, direction_in(*connection, packet), Letter::BadChecksum);
  }
  return false;
}

// Whether a SYN on a known tuple is the first segment of another connection (RFC 9293, 3.10.7.4;
// port reuse). A repeated SYN, and one inside the window, are not.
bool Shard::begins_anew(const Connection& c, const Segment& s, Direction d) const {
  const HalfConnection& talker = c.half[index_of(d)];
  const SeqNum first_data = s.seq + 1;
  const SeqNum origin = talker.rcv_nxt - static_cast<std::uint32_t>(talker.offset);
  const bool repeated = talker.has_any(half_flags::kOriginKnown) && origin == first_data;
  if (repeated) return false;
  if (c.has_any(connection_flags::kClosing)) {
    // The answer to a SYN that a RST seemed to refuse: the client had not believed the RST.
    // Or it came late: the client's acknowledgement had named it before.
    const HalfConnection& listener = c.half[index_of(reverse(d))];
    const SeqNum client_origin = listener.rcv_nxt - static_cast<std::uint32_t>(listener.offset);
    const bool names_syn = listener.has_any(half_flags::kSynSeen) && s.ack == client_origin;
    const bool was_named = talker.has_any(half_flags::kAcked) && talker.rcv_nxt == first_data;
    return !s.flags.has_any(kAck) || talker.has_any(half_flags::kOriginKnown) ||
           !(names_syn || was_named);
  }
  const bool synchronised = c.has_any(connection_flags::kEstablished) ||
                            c.half[0].offset + c.half[1].offset > 0;
  if (s.flags.has_any(kAck)) {
    // It answers a SYN inside the connection: both hosts had forgotten the old one.
    return synchronised && tracker_.is_candidate(c, reverse(d), s.ack - 1);
  }
  if (!synchronised || !talker.has_any(half_flags::kOriginKnown)) {
    return is_of_older_use(c, talker, first_data);
  }
  const std::int64_t ahead = talker.rcv_nxt.distance_to(s.seq);
  const std::int64_t window = talker.has_any(half_flags::kAcked)
                                  ? talker.rcv_nxt.distance_to(talker.snd_edge)
                                  : 0;
  return ahead < 0 || ahead > std::max<std::int64_t>(window, 65535);
}

// The first segments of a connection may come out of order: a SYN tells who is the originator.
// Once something was delivered the roles stay.
bool Shard::roles_are_wrong(const Connection& c, const Segment& s, Direction d) {
  if (s.flags.has_any(kRst)) return false; // a scan's, not a handshake's
  if (c.has_any(connection_flags::kDelivered | connection_flags::kSynAckSeen)) return false;
  if (c.half[0].has_any(half_flags::kSynSeen) || c.half[1].has_any(half_flags::kSynSeen)) {
    return false;
  }
  const bool from_originator = d == Direction::OriginatorToResponder;
  return s.flags.has_any(kAck) == from_originator;
}

void Shard::flip_roles(Connection& c) {
  tracker_.write_waiting_letters(c);
  std::swap(c.half[0], c.half[1]);
  std::swap(c.delivered[0], c.delivered[1]);
  c.flags ^= connection_flags::kOriginatorIsUpper;
  if (c.extra != 0) {
    ConnectionExtra& extra = memory_.extras[c.extra - 1];
    std::swap(extra.half[0], extra.half[1]);
    for (ConnectionHistory& more : extra.history) more.flip();
  }
  histories_[place_of(c)].flip();
  c.letters_seen = std::rotl(c.letters_seen, static_cast<int>(kResponderLetters));
  tracker_.add_letter(c, Direction::OriginatorToResponder, Letter::Flipped);
}

// Which way the packet that creates a connection goes.
Direction Shard::first_direction(const Packet& packet, const Segment& s) {
  using enum Direction;
  if (s.flags.has_any(kSyn) && !s.flags.has_any(kRst)) {
    return s.flags.has_any(kAck) ? ResponderToOriginator : OriginatorToResponder;
  }
  if (s.flags.has_any(kRst) && s.seq == SeqNum{0} && s.flags.has_any(kAck)) {
    return ResponderToOriginator;
  }
  const TcpHeader tcp = tcp_header_of(packet);
  const bool from_server = tcp.source_port() < kFirstClientPort;
  const bool to_server = tcp.destination_port() < kFirstClientPort;
  return to_server || !from_server ? OriginatorToResponder : ResponderToOriginator;
}

Connection* Shard::admit(const Packet& packet, const FlowKey& key, const Segment& s,
                         std::uint32_t reuse) {
  if (!make_room()) return nullptr;
  const std::uint32_t index = connections_.take();
  prefetch_next_connection();
  if (!table_.insert(packet.flow_hash, index)) {
    connections_.give_back(index);
    ledger_.reached(Limit::MaxFlows);
    return nullptr;
  }
  const KeySide sender =
      packet.has(packet_flags::kFromLower) ? KeySide::Lower : KeySide::Upper;
  Connection& c = begin(index, key, s, sender, first_direction(packet, s));
  ++ledger_.connections_created;
  if (reuse > 0 || packet.has(packet_flags::kEncapsulated)) {
    if (ConnectionExtra* extra = tracker_.extra_of(c)) {
      extra->reuse = reuse;
      if (packet.has(packet_flags::kEncapsulated)) {
        extra->encapsulation = encapsulations_.take() + 1;
        if (extra->encapsulation != 0) {
          encapsulations_[extra->encapsulation - 1] = list_encapsulation(packet);
        }
      }
    }
  }
  // Until the handshake is complete a connection is embryonic, whatever comes of this segment.
  wheel_.enqueue(kHandshakeQueue, index, embryonic_deadline(s.clock));
  if (config_.probes == ReportProbes::Yes) watch(c, packet, s);
  delivery_.about(c);
  delivery_.open();
  return &c;
}

// A connection with nothing but where it comes from: `sender` sent its first segment in direction
// `d`. Preconditions: the index was taken.
Connection& Shard::begin(std::uint32_t index, const FlowKey& key, const Segment& s, KeySide sender,
                         Direction d) {
  const bool by_originator = d == Direction::OriginatorToResponder;
  Connection& c = connections_[index];
  c.key = short_key_of(key);
  if (c.key.is_ipv6()) ipv6_[index] = {key.lower_address, key.upper_address};
  if (by_originator == (sender == KeySide::Upper)) c.set(connection_flags::kOriginatorIsUpper);
  histories_[index] = ConnectionHistory{};
  c.start = s.stamp;
  c.first_packet = s.number;
  c.first_sequence = s.seq;
  c.last_clock = s.clock;
  c.last_stamp = s.stamp;
  order_.add(EvictionOrder::List::Unconfirmed, index);
  ++unconfirmed_;
  if (!by_originator) tracker_.add_letter(c, Direction::OriginatorToResponder, Letter::Flipped);
  return c;
}

// What the next connection will be written to was given back long ago and is in no cache.
void Shard::prefetch_next_connection() const {
  const std::uint32_t next = connections_.next();
  prefetch_object<PrefetchFor::Write>(connections_.data()[next]);
  prefetch_line<PrefetchFor::Write>(histories_.data() + next);
  wheel_.prefetch(next);
  order_.prefetch(next);
}

bool Shard::embryonic(const Connection& c) const {
  return !c.has_any(connection_flags::kEstablished | connection_flags::kClosing) &&
         (c.half[0].has_any(half_flags::kSynSeen) || c.half[1].has_any(half_flags::kSynSeen)) &&
         has_said_nothing(c.half[0]) && has_said_nothing(c.half[1]);
}

Timestamp Shard::deadline_of(const Connection& c) const {
  Timestamp deadline;
  if (c.has_any(connection_flags::kClosing)) {
    deadline = saturating_add(c.last_clock, config_.closed_timeout);
  } else {
    deadline = embryonic(c) ? embryonic_deadline(c.last_clock) : idle_deadline(c.last_clock);
  }
  return std::min(deadline, tracker_.grace_deadline(c));
}

CloseReason Shard::reason_of(const Connection& c) const {
  if (c.has_any(connection_flags::kClosing)) {
    return c.has_any(connection_flags::kClosedByReset) ? CloseReason::Rst : CloseReason::Fin;
  }
  if (finishing_) return CloseReason::Eof;
  return embryonic(c) ? CloseReason::SynTimeout : CloseReason::Idle;
}

void Shard::expire(std::uint32_t index, Timestamp deadline) {
  if (is_lone_timer(index)) [[unlikely]] return expire_lone(index, deadline);
  Connection& c = connections_[index];
  delivery_.decide(deadline, c.first_packet);
  delivery_.about(c);
  if (tracker_.grace_deadline(c) <= deadline) {
    tracker_.on_grace(c, deadline, delivery_);
    if (c.has_any(connection_flags::kConfirmed)) note_turn(c);
    const Timestamp next = deadline_of(c);
    if (next > deadline) {
      wheel_.arm_again(index, next, ShardTimers{*this});
      return;
    } // else both at once are one decision
  }
  end(c, reason_of(c));
}

// Preconditions: delivery_ was told the decision.
void Shard::end(Connection& c, CloseReason reason) {
  delivery_.about(c);
  tracker_.finish(c, delivery_);
  if (c.has_any(connection_flags::kWatched)) report_probe(c);
  delivery_.close(reason);
  remove(c, reason);
}

// Preconditions: the consumer knows that nothing follows.
void Shard::remove(Connection& c, CloseReason reason) {
  const std::uint32_t index = place_of(c);
  if (order_.contains(index)) order_.remove(index);
  if (!c.has_any(connection_flags::kConfirmed)) --unconfirmed_;
  ++ledger_.connections_closed[static_cast<std::size_t>(reason)];
  wheel_.cancel(index);
  table_.erase(hash_in_table(c), index);
  if (const ConnectionExtra* extra = tracker_.find_extra(c)) {
    if (extra->encapsulation != 0) encapsulations_.give_back(extra->encapsulation - 1);
  }
  tracker_.release(c);
  c.key = ShortKey{};
  connections_.give_back(index);
}

// What is decided beside the packets has a place at the borders of ticks: just before them.
void Shard::advance_clock(Timestamp clock) {
  if (evictions_.is_due(clock) && evictions_.due() < clock) tell_evictions();
  if (watch_.is_due(clock)) judge_contacts(clock);
  const bool full = table_.size() >= pressure_begins_ || pressed_;
  if (full && clock >= wheel_.next_due()) [[unlikely]] hurry(clock);
  if (evictions_.is_due(clock)) tell_evictions();
  wheel_.advance(clock, ShardTimers{*this});
}

void Shard::finish() {
  finishing_ = true;
  if (!evictions_.is_empty()) tell_evictions();
  judge_contacts(kTimeMax);
  wheel_.drain(ShardTimers{*this});
  if (ledger_.evicted[static_cast<std::size_t>(EvictionClass::Unconfirmed)] > 0) {
    delivery_.summary({}); // of what the consumer may have put off
  }
  note_limits();
}

void Shard::note_limits() {
  const std::uint64_t cut = ledger_.tcp.fates[static_cast<std::size_t>(Fate::CutMemory)];
  if (cut + ledger_.tcp.rooms_made > 0) ledger_.reached(Limit::ReorderMemory);
}

}  // namespace flowloom
