#include "pipeline/tag_joiner.hpp"

#include <algorithm>

namespace flowloom {

namespace {

// Bit 0 of an encapsulation is the IP version, which is no matter of tags; see decode().
constexpr std::uint32_t kVersionBit = 1;

bool is_from_lower(const Packet& packet) { return packet.has(packet_flags::kFromLower); }

bool is_tagged(const Packet& packet) { return (packet.encapsulation & ~kVersionBit) != 0; }

std::uint16_t payload_bytes_of(const Packet& packet) {
  constexpr std::uint32_t kMost = 0xffff;
  return static_cast<std::uint16_t>(std::min(packet.payload_length, kMost));
}

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
  if (is_tagged(packet)) {
    FlowKey key = flow_key_of(packet);
    key.rest = FlowKey::rest_of(key.lower_port(), key.upper_port(),
                                key.encapsulation() & kVersionBit);
    hash = hash_of(key, seed_);
  }
  return static_cast<std::uint32_t>(hash >> 32);
}

// As long as no handshake has tags, no answer is given another identity.
bool TagJoiner::is_in_use_for(const Packet& packet) {
  if (any_tagged_) [[likely]] return true;
  if (!is_tagged(packet)) return false;
  any_tagged_ = true;
  remember_untagged();
  return true;
}

void TagJoiner::note_untagged(const Packet& syn) {
  untagged_[untagged_count_++ % kUntagged] = {
      static_cast<std::uint32_t>(syn.flow_hash >> 32), tcp_header_of(syn).seq() + 1, place_of(syn),
      payload_bytes_of(syn), is_from_lower(syn), syn.has(packet_flags::kIpv6)};
}

// Once in a run. In their order, as if each had been remembered when it came.
void TagJoiner::remember_untagged() {
  const std::uint64_t first = untagged_count_ - std::min<std::uint64_t>(untagged_count_, kUntagged);
  for (std::uint64_t i = first; i < untagged_count_; ++i) {
    const Untagged& syn = untagged_[i % kUntagged];
    remember({syn.ends, syn.first_ack, syn.ipv6 ? kVersionBit : 0U, syn.payload_bytes,
              syn.from_lower, PendingState::Waiting},
             syn.place);
  }
}

void TagJoiner::remember(const Packet& syn) {
  remember({part_of_hash(syn), tcp_header_of(syn).seq() + 1, syn.encapsulation,
            payload_bytes_of(syn), is_from_lower(syn), PendingState::Waiting},
           place_of(syn));
}

void TagJoiner::remember(Pending pending, std::uint32_t place) {
  PendingSet& set = pending_[place % kPendingSets];
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
  if (handshake && !is_in_use_for(packet)) {
    if (!flags.has_any(kAck)) note_untagged(packet);
    return;
  }
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
