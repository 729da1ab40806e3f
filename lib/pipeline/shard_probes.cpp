// The part of Shard that tells of probes: which connections it watches, when it judges them, and
// the facts that it hands to lib/inspect. Nothing here runs per packet.
#include <algorithm>
#include <optional>

#include "inspect/probe_judge.hpp"
#include "net/five_tuple.hpp"
#include "net/tcp_header.hpp"
#include "pipeline/shard.hpp"
#include "pipeline/shard_timers.hpp"

namespace flowloom {

namespace {

/// Probes come after everything else of their nanosecond: no packet has such a number.
constexpr std::uint64_t kProbeNumbers = std::uint64_t{1} << 63;

bool saw(const Connection& c, Direction d, Letter letter) {
  return (c.letters_seen & letter_bit(d, letter)) != 0;
}

SideFacts side_facts(const Connection& c, Direction d) {
  const HalfConnection& h = c.half[index_of(d)];
  return {.packets = h.packets(),
          .payload_bytes = h.payload_bytes(),
          .syn_ack = saw(c, d, Letter::SynAck),
          .ack = saw(c, d, Letter::Ack),
          .fin = saw(c, d, Letter::Fin),
          .rst = saw(c, d, Letter::Reset)};
}

/// Whose FIN or RST stands first in the history. What it has no room for came later.
bool ended_first(const ConnectionHistory& history, Direction d) {
  for (unsigned i = 0; i < history.length(); ++i) {
    const auto [letter, from_responder] = history[i];
    if (letter != Letter::Fin && letter != Letter::Reset) continue;
    return from_responder == (d == Direction::ResponderToOriginator);
  }
  return false;
}

}  // namespace

// Preconditions: the roles of `c` are those that its first packet gave it.
void Shard::watch(Connection& c, const Packet& packet, const Segment& s) {
  const TcpHeader tcp = tcp_header_of(packet);
  if (!may_be_probe(s.flags, {tcp.source_port(), tcp.destination_port()}, s.length)) return;
  if (!watch_.add({ProbeWatch::due_time(s.clock), s.number, place_of(c)})) {
    ledger_.reached(Limit::Probes);
    return;
  }
  c.set(connection_flags::kWatched);
  if (!packet.has(packet_flags::kFromLower)) c.set(connection_flags::kFirstFromUpper);
  if (tcp.header_bytes() <= kBareSynHeaderBytes) c.set(connection_flags::kBareSyn);
  histories_[place_of(c)].set_first_flags(s.flags.bits());
}

// Judges what is due by `clock`, each with everything that was decided before its time and nothing
// that comes later, so that no burst, worker or other connection changes the judgement.
void Shard::judge_contacts(Timestamp clock) {
  while (watch_.is_due(clock)) {
    const ProbeWatch::Entry entry = watch_.take();
    Connection& c = connections_[entry.index];
    const auto is_it = [&] {
      return c.has_any(connection_flags::kWatched) && c.first_packet == entry.first_packet;
    };
    if (!is_it()) continue;
    const Timestamp before = entry.due - Duration{1};
    if (before >= wheel_.next_due()) wheel_.advance(before, ShardTimers{*this});
    if (!is_it()) continue;
    delivery_.decide(before, kProbeNumbers | entry.first_packet);
    report_probe(c);
  }
}

// Preconditions: `c` is watched; delivery_ was told the decision.
void Shard::report_probe(Connection& c) {
  c.clear(connection_flags::kWatched);
  tracker_.write_waiting_letters(c);
  const ConnectionHistory& history = histories_[place_of(c)];
  const bool by_originator = c.has_any(connection_flags::kFirstFromUpper) ==
                             c.has_any(connection_flags::kOriginatorIsUpper);
  const Direction sender =
      by_originator ? Direction::OriginatorToResponder : Direction::ResponderToOriginator;
  ContactFacts facts;
  facts.first_flags = TcpFlags{history.first_flags()};
  facts.bare_syn = c.has_any(connection_flags::kBareSyn);
  facts.sender_ended_first = ended_first(history, sender);
  facts.sender = side_facts(c, sender);
  facts.target = side_facts(c, reverse(sender));
  std::optional<Probe> probe = judge_contact(facts);
  if (!probe) return;
  probe->flags = history.first_flags();
  probe->sender = sender;
  delivery_.about(c);
  delivery_.probe(*probe);
}

}  // namespace flowloom
