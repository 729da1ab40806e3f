#include "pipeline/delivery.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "pipeline/shard.hpp"

namespace flowloom {

static_assert(static_cast<int>(HoleCause::CaptureLoss) == static_cast<int>(GapCause::CaptureLoss) &&
              static_cast<int>(HoleCause::Unknown) == static_cast<int>(GapCause::Unknown));

static_assert(kUrgentPositions == kUrgentOffsetsMax);

void Delivery::expect_bytes(const Burst& burst) {
  std::array<ExpectedBytes, kBurstMax> expected;
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    const Packet& packet = burst.packets[i];
    if (packet.verdict != Verdict::Tcp || packet.payload_length == 0) continue;
    const Connection& c = shard_.connections_[burst.guesses[i]];
    expected[count++] = {c.consumer_slot, Shard::direction_in(c, packet), packet.payload_length};
  }
  consumer_.on_expected_bytes({expected.data(), count});
}

void Delivery::gap(Direction d, StreamOffset offset, std::int64_t length, HoleCause cause) {
  if (connection_->has_any(connection_flags::kNoEvents)) return;
  consumer_.on_gap(next_key(), *this, connection_->consumer_slot, d,
                   Gap{offset, length, static_cast<GapCause>(cause)});
}

void Delivery::urgent(Direction d, StreamOffset offset, std::uint8_t byte) {
  if (connection_->has_any(connection_flags::kNoBytes)) return;
  consumer_.on_urgent(next_key(), *this, connection_->consumer_slot, d, offset, byte);
}

void Delivery::packet(const PacketNote& note) {
  if (connection_->has_any(connection_flags::kNoEvents)) return;
  consumer_.on_packet(next_key(), *this, connection_->consumer_slot, note);
}

void Delivery::end(Direction d) {
  if (connection_->has_any(connection_flags::kNoEvents)) return;
  consumer_.on_end(next_key(), *this, connection_->consumer_slot, d);
}

static_assert(static_cast<int>(OverlapConflict::Winner::Held) ==
                  static_cast<int>(Conflict::Winner::Held) &&
              static_cast<int>(OverlapConflict::Winner::Arrived) ==
                  static_cast<int>(Conflict::Winner::Arrived));

void Delivery::conflict(Direction d, const OverlapConflict& x) {
  if (connection_->has_any(connection_flags::kNoEvents)) return;
  const bool is_upper = connection_->has_any(connection_flags::kOriginatorIsUpper) ==
                        (d == Direction::OriginatorToResponder);
  consumer_.on_conflict(next_key(), *this, connection_->consumer_slot,
                        Conflict{.position = x.position,
                                 .length = static_cast<std::int64_t>(x.held.size()),
                                 .winner = static_cast<Conflict::Winner>(x.winner),
                                 .sender = is_upper ? KeySide::Upper : KeySide::Lower},
                        ConflictCopies{x.held, x.arrived});
}

void Delivery::arm(Connection& c, Timestamp deadline) {
  shard_.wheel_.arm(shard_.place_of(c), deadline);
}

void Delivery::open() {
  const Interest interest = consumer_.on_open(next_key(), *this, connection_->consumer_slot);
  if (interest != Interest::Bytes) connection_->set(connection_flags::kNoBytes);
  if (interest == Interest::None) connection_->set(connection_flags::kNoEvents);
}

void Delivery::close(CloseReason reason) {
  reason_ = reason;
  consumer_.on_close(next_key(), *this, connection_->consumer_slot);
  reason_ = CloseReason::Open;
}

bool Delivery::give_up() {
  return consumer_.on_eviction(*this, connection_->consumer_slot) == Farewell::Summary;
}

void Delivery::describe_side(const Connection& c, CloseReason reason, Direction d,
                             SideRecord& side) const {
  const HalfConnection& h = c.half[index_of(d)];
  side.packets = h.packets();
  side.ip_bytes = h.ip_bytes();
  side.payload_bytes = h.payload_bytes();
  side.stream_bytes = static_cast<std::uint64_t>(h.offset);
  if (const ConnectionExtra* extra = shard_.tracker_.find_extra(c)) {
    const HalfExtra& x = extra->half[index_of(d)];
    side.gap_bytes = x.gap_bytes;
    side.gap_count = x.gap_count;
    side.duplicate_bytes = x.duplicate_bytes;
    side.overlap_conflicts = x.overlap_conflicts;
    side.origin = x.queue.base();
    side.out_of_order = x.out_of_order;
    side.retransmissions = x.retransmissions;
    side.stream_bytes =
        x.stream_bytes(reason == CloseReason::Open ? announced_end(h, x) : h.offset);
    if (const HalfRare* rare = shard_.tracker_.find_rare(x)) {
      side.conflict_count = rare->conflict_ranges;
      side.urgent_bytes = rare->urgent_bytes;
      side.urgent_offsets = rare->urgent_offsets;
    }
  }
}

namespace {

// Zeek's rules (scripts/base/protocols/conn): who was heard, who ended it and how.
ConnState conn_state_of(const Connection& c) {
  const HalfConnection& orig = c.half[0];
  const HalfConnection& resp = c.half[1];
  using enum half_flags::Bits;
  using enum connection_flags::Bits;
  const bool orig_syn = orig.has_any(kSynSeen);
  const bool resp_syn = resp.has_any(kSynSeen);
  if (c.has_any(kResetByResponder)) {
    if (orig_syn && !resp_syn && resp.payload_bytes() == 0) return ConnState::Rej;
    return orig.has_any(kHeard) ? ConnState::Rstr : ConnState::Rstrh;
  }
  if (c.has_any(kResetByOriginator)) {
    if (orig_syn && !resp_syn && resp.payload_bytes() == 0) return ConnState::Rstos0;
    return resp.has_any(kHeard) ? ConnState::Rsto : ConnState::Oth;
  }
  const bool orig_fin = orig.has_any(kFinSeen);
  const bool resp_fin = resp.has_any(kFinSeen);
  if (orig_fin && resp_fin) return ConnState::SF;
  if (orig_fin) return resp.has_any(kHeard) ? ConnState::S2 : ConnState::Sh;
  if (resp_fin) return orig.has_any(kHeard) ? ConnState::S3 : ConnState::Shr;
  if (c.has_any(kEstablished)) return ConnState::S1;
  if (orig_syn && !resp.has_any(kHeard)) return ConnState::S0;
  if (orig_syn && resp_syn) return ConnState::S1;
  return ConnState::Oth;
}

}  // namespace

std::uint32_t Delivery::handle() const { return shard_.place_of(*connection_); }

void Delivery::describe_other(std::uint32_t handle, ConnectionRecord& record) const {
  describe(shard_.connections_[handle], CloseReason::Open, record);
}

void Delivery::describe(const Connection& c, CloseReason reason, ConnectionRecord& record) const {
  const ConnectionHistory& history = shard_.histories_[shard_.place_of(c)];
  record = ConnectionRecord{};
  record.first_packet = c.first_packet;
  record.first_sequence = c.first_sequence;
  record.start = c.start;
  record.end = c.last_stamp;
  const FlowKey key = shard_.key_of(c);
  const bool upper = c.has_any(connection_flags::kOriginatorIsUpper);
  record.sides[0].endpoint = upper ? key.upper() : key.lower();
  record.sides[1].endpoint = upper ? key.lower() : key.upper();
  describe_side(c, reason, Direction::OriginatorToResponder, record.sides[0]);
  describe_side(c, reason, Direction::ResponderToOriginator, record.sides[1]);
  record.close = reason;
  record.state = conn_state_of(c);
  record.originator = upper ? KeySide::Upper : KeySide::Lower;
  record.ipv6 = c.key.is_ipv6();
  record.midstream = !c.half[0].has_any(half_flags::kSynSeen) &&
                     !c.half[1].has_any(half_flags::kSynSeen);
  record.established = c.has_any(connection_flags::kEstablished);
  const auto write = [&](const ConnectionHistory& part) {
    for (unsigned i = 0; i < part.length(); ++i) {
      record.history[record.history_length++] = part[i].text();
    }
  };
  write(history);
  const ConnectionExtra* extra = shard_.tracker_.find_extra(c);
  if (extra == nullptr) return;
  record.reuse = extra->reuse;
  record.anomalies = extra->anomalies;
  for (const ConnectionHistory& more : extra->history) write(more);
  if (extra->encapsulation != 0) {
    record.encapsulation = shard_.encapsulations_[extra->encapsulation - 1];
  }
}

}  // namespace flowloom
