#include "pipeline/tag_joiner.hpp"

#include <algorithm>

namespace flowloom {

namespace {

// Bit 0 of an encapsulation is the IP version, which is no matter of tags; see decode().
constexpr std::uint32_t kVersionBit = 1;

bool is_from_lower(const Packet& packet) { return packet.has(packet_flags::kFromLower); }

// The bits of the hash that choose no set.
std::uint32_t part_of(std::uint64_t ends) { return static_cast<std::uint32_t>(ends >> 32); }

// The one that was put in first makes room.
template <class Set, class Entry>
void put_first(Set& set, const Entry& entry) {
  std::move_backward(set.begin(), set.end() - 1, set.end());
  set[0] = entry;
}

}  // namespace

// What hash_flow() gives an untagged packet.
std::uint64_t TagJoiner::hash_of_ends(const Packet& packet) const {
  if ((packet.encapsulation & ~kVersionBit) == 0) return packet.flow_hash;
  FlowKey key = flow_key_of(packet);
  key.rest = FlowKey::rest_of(key.lower_port(), key.upper_port(), key.encapsulation() & kVersionBit);
  return hash_of(key, seed_);
}

void TagJoiner::remember(const Packet& syn, std::uint64_t ends) {
  constexpr std::uint32_t kPayloadMax = 0xffff;
  const Pending pending = {
      part_of(ends),       tcp_header_of(syn).seq() + 1,
      syn.encapsulation,   static_cast<std::uint16_t>(std::min(syn.payload_length, kPayloadMax)),
      is_from_lower(syn),  true};
  PendingSet& set = pending_[ends % kPendingSets];
  for (Pending& known : set) {
    const bool same = known.used && known.ends == pending.ends &&
                      known.encapsulation == pending.encapsulation &&
                      known.from_lower == pending.from_lower;
    if (!same) continue;
    known = pending;
    return;
  }
  put_first(set, pending);
}

// The one SYN of the other side under other tags that this SYN/ACK acknowledges; none where its
// own tags have one, or where two could be meant.
const TagJoiner::Pending* TagJoiner::pending_elsewhere(const Packet& answer,
                                                       std::uint64_t ends) const {
  const SeqNum ack = tcp_header_of(answer).ack();
  const Pending* found = nullptr;
  for (const Pending& syn : pending_[ends % kPendingSets]) {
    if (!syn.used || syn.ends != part_of(ends) || syn.from_lower == is_from_lower(answer)) continue;
    const std::int64_t beyond = syn.first_ack.distance_to(ack);
    if (beyond < 0 || beyond > std::int64_t{syn.payload_bytes}) continue;
    if (syn.encapsulation == answer.encapsulation || found != nullptr) return nullptr;
    found = &syn;
  }
  return found;
}

TagJoiner::Joined* TagJoiner::find(const Packet& packet, std::uint64_t ends) {
  const FlowKey key = flow_key_of(packet);
  for (Joined& joined : joined_[ends % kJoinedSets]) {
    if (joined.used && joined.from_lower == is_from_lower(packet) && joined.key == key) {
      return &joined;
    }
  }
  return nullptr;
}

void TagJoiner::add(const Packet& packet, std::uint64_t ends, std::uint32_t identity) {
  any_joined_ = true;
  if (Joined* known = find(packet, ends)) {
    known->identity = identity;
    return;
  }
  put_first(joined_[ends % kJoinedSets],
            Joined{flow_key_of(packet), identity, is_from_lower(packet), true});
}

void TagJoiner::join(Packet& packet) {
  const std::uint64_t ends = hash_of_ends(packet);
  const TcpFlags flags = tcp_header_of(packet).flags();
  const bool handshake = flags.has_any(kSyn) && !flags.has_any(kRst);
  if (handshake && !flags.has_any(kAck)) {
    remember(packet, ends);
    if (!any_joined_) return;
    // Who opens a connection under these tags belongs there, whatever was before.
    if (Joined* before = find(packet, ends)) before->used = false;
    return;
  }
  if (handshake) {
    const Pending* syn = pending_elsewhere(packet, ends);
    if (syn != nullptr) add(packet, ends, syn->encapsulation);
  }
  if (!any_joined_) return;
  const Joined* joined = find(packet, ends);
  if (joined == nullptr) return;
  packet.encapsulation = joined->identity;
  hash_flow(packet, seed_);
}

}  // namespace flowloom
