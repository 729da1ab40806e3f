#include "pipeline/front.hpp"

#include <bit>
#include <variant>

#include "net/decode_plain.hpp"
#include "net/five_tuple.hpp"

namespace flowloom {

namespace {

/// How often a datagram may turn out to be a fragment of another one: once for every tunnel that
/// decode() follows, and once outside of them.
constexpr std::uint32_t kMaxReassemblies = kMaxTunnels + 1;

DefragmentSettings with_room(DefragmentSettings settings, std::size_t completed_bytes) {
  settings.completed_bytes = completed_bytes;
  return settings;
}

}  // namespace

Front::Front(const FrontSettings& settings)
    : decode_options_(settings.decode),
      defragmenter_(with_room(settings.defragment, kCompletedBytes)),
      joiner_(settings.decode.seed) {}

// Bit `place` where the joiner has to see the packet.
inline Front::PacketSet Front::hash_one(Packet& packet, std::uint32_t place) const {
  hash_flow(packet, decode_options_.seed);
  return PacketSet{joiner_.concerns(packet)} << place;
}

void Front::run(Burst& burst) {
  PacketSet concern_joiner = 0;
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    Packet& packet = burst.packets[i];
    if (packet.verdict == Verdict::Filtered) continue;
    if (decode_plain(packet)) [[likely]] {
      concern_joiner |= hash_one(packet, i); // all it needs is in registers yet
      continue;
    }
    decode_by_layers(packet, decode_options_);
    if (packet.verdict == Verdict::Fragment) defragment(packet, packet.number);
    if (packet.verdict == Verdict::Tcp) concern_joiner |= hash_one(packet, i);
  }
  join_tags(burst, concern_joiner);
  if (burst.size > 0) defragmenter_.expire(burst.packets[burst.size - 1].clock);
}

void Front::decode_all(Burst& burst) const {
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    Packet& packet = burst.packets[i];
    if (packet.verdict != Verdict::Filtered) decode(packet, decode_options_);
  }
}

bool Front::reassemble(Packet& packet, std::uint64_t ticket) {
  const std::size_t before = lent_.size();
  defragment(packet, ticket);
  if (packet.verdict == Verdict::Tcp) return true;
  if (lent_.size() > before) give_back_last();
  return false;
}

void Front::identify(Burst& burst) {
  PacketSet concern_joiner = 0;
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    Packet& packet = burst.packets[i];
    if (packet.verdict == Verdict::Tcp) concern_joiner |= hash_one(packet, i);
  }
  join_tags(burst, concern_joiner);
}

// Rounds of their own: while the table is fetched, and because no branch could foresee a SYN.
void Front::join_tags(Burst& burst, PacketSet concerned) {
  for (PacketSet left = concerned; left != 0; left &= left - 1) {
    joiner_.prefetch(burst.packets[static_cast<std::uint32_t>(std::countr_zero(left))]);
  }
  for (; concerned != 0; concerned &= concerned - 1) {
    const auto i = static_cast<std::uint32_t>(std::countr_zero(concerned));
    const bool before = joiner_.any_joined();
    joiner_.join(burst.packets[i]);
    if (joiner_.any_joined() == before) [[likely]] continue;
    // The first one of the run: from here on packets without SYN concern it, too.
    for (std::uint32_t later = i + 1; later < burst.size; ++later) {
      if (burst.packets[later].verdict == Verdict::Tcp) concerned |= PacketSet{1} << later;
    }
  }
}

void Front::defragment(Packet& packet, std::uint64_t ticket) {
  for (std::uint32_t i = 0; i < kMaxReassemblies && packet.verdict == Verdict::Fragment; ++i) {
    const Defragmenter::Result result = defragmenter_.add(packet);
    const auto* complete = std::get_if<CompleteDatagram>(&result);
    if (complete == nullptr) return;
    if (i > 0) give_back_last();  // the datagram around this one, whose bytes were copied
    lent_.push_back({ticket, complete->bytes.size(), complete->handle});
    lent_bytes_ += complete->bytes.size();
    packet = packet_of(*complete, packet);
    decode(packet, decode_options_);
    packet.flags = static_cast<std::uint8_t>(packet.flags | packet_flags::kReassembled);
  }
}

void Front::give_back_last() {
  lent_bytes_ -= lent_.back().bytes;
  defragmenter_.release(lent_.back().handle);
  lent_.pop_back();
}

void Front::release(std::uint64_t ticket) {
  while (!lent_.empty() && lent_.front().ticket <= ticket) {
    lent_bytes_ -= lent_.front().bytes;
    defragmenter_.release(lent_.front().handle);
    lent_.pop_front();
  }
}

}  // namespace flowloom
