#include "pipeline/tag_joiner.hpp"

#include <algorithm>

namespace flowloom {

namespace {

// Bit 0 of an encapsulation is the IP version, which is no matter of tags; see decode().
constexpr std::uint32_t kVersionBit = 1;

bool is_from_lower(const Packet& packet) { return packet.has(packet_flags::kFromLower); }

// The one that was put in first makes room.
template <class Set, class Entry>
void put_first(Set& set, const Entry& entry) {
  std::move_backward(set.begin(), set.end() - 1, set.end());
  set[0] = entry;
}

}  // namespace

// Of what hash_flow() gives an untagged packet.
std::uint32_t TagJoiner::part_of_hash(const Packet& packet) const {
  std::uint64_t hash = packet.flow_hash;
  if ((packet.encapsulation & ~kVersionBit) != 0) {
    FlowKey key = flow_key_of(packet);
    key.rest = FlowKey::rest_of(key.lower_port(), key.upper_port(),
                                key.encapsulation() & kVersionBit);
    hash = hash_of(key, seed_);
  }
  return static_cast<std::uint32_t>(hash >> 32);
}

void TagJoiner::remember(const Packet& syn) {
  constexpr std::uint32_t kPayloadMax = 0xffff;
  Pending pending = {part_of_hash(syn),
                     tcp_header_of(syn).seq() + 1,
                     syn.encapsulation,
                     static_cast<std::uint16_t>(std::min(syn.payload_length, kPayloadMax)),
                     is_from_lower(syn),
                     PendingState::Waiting};
  PendingSet& set = pending_[place_of(syn) % kPendingSets];
  bool any_known = false; // without branches: in a flood nothing can be foreseen
  for (const Pending& known : set) any_known |= known.ends == pending.ends;
  if (!any_known) return put_first(set, pending);
  Pending* before = nullptr;
  for (Pending& known : set) {
    if (known.state == PendingState::Free || known.ends != pending.ends ||
        known.from_lower != pending.from_lower) {
      continue;
    }
    if (known.encapsulation == pending.encapsulation) {
      before = &known;
    } else if (known.first_ack == pending.first_ack) {
      known.state = pending.state = PendingState::SeenTwice;
    }
  }
  if (before == nullptr) {
    put_first(set, pending);
    return;
  }
  const bool repeated = before->first_ack == pending.first_ack;
  if (repeated && before->state == PendingState::SeenTwice) pending.state = before->state;
  *before = pending;
}

// The one SYN of the other side under other tags that this SYN/ACK acknowledges; none where its
// own tags have, or had, one, or where two could be meant.
const TagJoiner::Pending* TagJoiner::pending_elsewhere(const Packet& answer) const {
  const SeqNum ack = tcp_header_of(answer).ack();
  const std::uint32_t ends = part_of_hash(answer);
  const Pending* found = nullptr;
  for (const Pending& syn : pending_[place_of(answer) % kPendingSets]) {
    if (syn.state == PendingState::Free || syn.ends != ends ||
        syn.from_lower == is_from_lower(answer)) {
      continue;
    }
    const std::int64_t beyond = syn.first_ack.distance_to(ack);
    if (beyond < 0 || beyond > std::int64_t{syn.payload_bytes}) continue;
    if (syn.encapsulation == answer.encapsulation || syn.state == PendingState::SeenTwice) {
      return nullptr;
    }
    if (found != nullptr) return nullptr;
    found = &syn;
  }
  return found;
}

TagJoiner::Joined* TagJoiner::find(const Packet& packet) {
  const FlowKey key = flow_key_of(packet);
  for (Joined& joined : joined_[place_of(packet) % kJoinedSets]) {
    if (joined.used && joined.from_lower == is_from_lower(packet) && joined.key == key) {
      return &joined;
    }
  }
  return nullptr;
}

void TagJoiner::add(const Packet& packet, std::uint32_t identity) {
  any_joined_ = true;
  if (Joined* known = find(packet)) {
    known->identity = identity;
    return;
  }
  put_first(joined_[place_of(packet) % kJoinedSets],
            Joined{flow_key_of(packet), identity, is_from_lower(packet), true});
}

void TagJoiner::join(Packet& packet) {
  const TcpFlags flags = tcp_header_of(packet).flags();
  const bool handshake = flags.has_any(kSyn) && !flags.has_any(kRst);
  if (handshake && !flags.has_any(kAck)) {
    remember(packet);
    if (!any_joined_) return;
    // Who opens a connection under these tags belongs there, whatever was before.
    if (Joined* before = find(packet)) before->used = false;
    return;
  }
  if (handshake) {
    const Pending* syn = pending_elsewhere(packet);
    if (syn != nullptr) add(packet, syn->encapsulation);
  }
  if (!any_joined_) return;
  const Joined* joined = find(packet);
  if (joined == nullptr) return;
  packet.encapsulation = joined->identity;
  hash_flow(packet, seed_);
}

}  // namespace flowloom
