#include "perf/gen/playback.hpp"

#include <algorithm>

namespace flowloom::gen {

namespace {

constexpr std::int64_t kStartNs = 1'700'000'000'000'000'000;
constexpr std::uint32_t kSmallestFragmented = 100;  // payload that is worth cutting
constexpr std::size_t kMaxHeld = 4;                 // per connection

}  // namespace

Playback::Playback(const PlaybackConfig& config)
    : config_(config),
      random_(config.seed),
      builder_(config.padding),
      pcap_(config.path),
      truth_(config.path),
      flood_(config.flood.kind, config.flood.family, config.seed),
      stamp_ns_(kStartNs) {}

void Playback::write(FrameBuilder::Frame frame, Random& random) {
  pcap_.write(stamp_ns_, frame);
  const auto spread = static_cast<std::uint64_t>(2 * config_.packet_interval_ns);
  stamp_ns_ += static_cast<std::int64_t>(random.below(spread + 1));
}

void Playback::put_flood(std::uint64_t packets, const Endpoint& server) {
  Totals& totals = truth_.totals();
  for (; packets > 0 && flooded_ < config_.flood.packets; --packets, ++flooded_) {
    const Flood::Packet packet = flood_.next(server);
    write(builder_.whole(packet.identity, packet.segment), flood_.random());
    ++totals.connections;
    ++totals.flood_packets;
    totals.flood_bytes += packet.segment.bytes;
    totals.payload_bytes += packet.segment.bytes;
    if (packet.segment.bytes > 0) ++totals.data_packets;
  }
}

/// Puts all pieces that are not lost; true where none is.
bool Playback::put_fragments(const Identity& identity, const Segment& segment) {
  constexpr std::size_t kHalf = 2;
  const std::size_t pieces =
      builder_.split(identity, segment, (segment.bytes / kHalf / 8 + 1 + random_.below(2)) * 8);
  const bool backwards = random_.chance(config_.mishaps.fragments_backwards);
  Totals& totals = truth_.totals();
  ++totals.fragmented_packets;
  bool complete = true;
  for (std::size_t i = 0; i < pieces; ++i) {
    if (random_.chance(config_.mishaps.lose)) {
      ++totals.lost_packets;
      complete = false;
      continue;
    }
    ++totals.fragments;
    write(builder_.fragment(backwards ? pieces - 1 - i : i));
  }
  return complete;
}

void Playback::put(Slot& slot, const Segment& segment) {
  const Identity& identity = slot.conversation.identity();
  Totals& totals = truth_.totals();
  if (segment.bytes >= kSmallestFragmented && random_.chance(config_.mishaps.fragment)) {
    if (!put_fragments(identity, segment)) return;
  } else if (random_.chance(config_.mishaps.lose)) {
    ++totals.lost_packets;
    return;
  } else {
    write(builder_.whole(identity, segment));
  }
  if (segment.bytes == 0) return;
  ++totals.data_packets;
  totals.payload_bytes += segment.bytes;
  totals.duplicate_bytes +=
      slot.coverage[index_of(segment.side)].add(segment.offset, segment.offset + segment.bytes);
}

/// A retransmission or an overlap of the segment, for a little later.
void Playback::hold_copies(Slot& slot, const Segment& segment) {
  const bool again = random_.chance(config_.mishaps.retransmit);
  const bool overlap = random_.chance(config_.mishaps.overlap);
  if (segment.bytes == 0 || slot.held.size() + 2 > kMaxHeld) return;
  const auto wait = static_cast<std::uint32_t>(random_.between(1, 5));
  if (again) slot.held.push_back({segment, wait, Reason::Retransmitted});
  if (overlap && segment.bytes >= 2) {
    Segment tail = segment;  // its second half, and on into what follows by then
    tail.offset += segment.bytes / 2;
    tail.bytes = static_cast<std::uint32_t>(FrameBuilder::kLargestPayload);
    slot.held.push_back({tail, wait, Reason::Overlapping});
  }
}

void Playback::put_fresh(Slot& slot) {
  const Segment segment = slot.conversation.next(random_);
  const bool may_wait = segment.bytes > 0 || segment.has(tcp_bits::kFin);
  if (may_wait && slot.held.size() < kMaxHeld && !slot.conversation.done() &&
      random_.chance(config_.mishaps.reorder)) {
    slot.held.push_back(
        {segment, static_cast<std::uint32_t>(random_.between(1, 3)), Reason::Reordered});
    return;  // the slot's next turn sends what overtakes it
  }
  put(slot, segment);
  hold_copies(slot, segment);
}

bool Playback::put_held(Slot& slot) {
  const bool ended = slot.conversation.done();
  const auto due = std::find_if(slot.held.begin(), slot.held.end(),
                                [&](const Held& h) { return ended || h.wait == 0; });
  if (due == slot.held.end()) return false;
  Held held = *due;
  slot.held.erase(due);
  Totals& totals = truth_.totals();
  switch (held.reason) {
    case Reason::Reordered:
      ++totals.reordered_packets;
      break;
    case Reason::Retransmitted:
      ++totals.retransmitted_packets;
      break;
    case Reason::Overlapping: {
      const std::uint64_t sent = slot.conversation.sent()[index_of(held.segment.side)];
      const std::uint64_t most = sent - held.segment.offset;
      held.segment.bytes =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(held.segment.bytes, most));
      ++totals.overlapping_packets;
      break;
    }
  }
  put(slot, held.segment);
  return true;
}

bool Playback::step(Slot& slot) {
  if (put_held(slot)) return true;
  if (slot.conversation.done()) return false;
  for (Held& held : slot.held) --held.wait;
  put_fresh(slot);
  return true;
}

void Playback::play(const Casting& casting) {
  std::uint64_t cast = 0;
  const auto next_conversation = [&](Slot& slot) {
    slot.conversation = casting(cast++, random_);
    slot.coverage = {};
    ++truth_.totals().connections;
  };
  std::vector<Slot> slots(std::min(config_.concurrent, config_.connections));
  for (Slot& slot : slots) next_conversation(slot);
  Endpoint last_server{};
  while (!slots.empty()) {
    const std::size_t index = random_.below(slots.size());
    Slot& slot = slots[index];
    const std::uint64_t run =
        config_.longest_run == 1 ? 1 : random_.between(1, config_.longest_run);
    bool alive = true;
    for (std::uint64_t i = 0; i < run && alive; ++i) alive = step(slot);
    flood_due_ += config_.flood.per_packet;
    const auto due = static_cast<std::uint64_t>(flood_due_);
    flood_due_ -= static_cast<double>(due);
    put_flood(due, slot.conversation.identity().ends[1]);
    last_server = slot.conversation.identity().ends[1];
    if (alive) continue;
    truth_.connection(slot.conversation.identity(), slot.conversation.sent(), slot.coverage);
    if (cast < config_.connections) {
      next_conversation(slot);
    } else {
      if (index + 1 != slots.size()) slot = std::move(slots.back());
      slots.pop_back();
    }
  }
  put_flood(config_.flood.packets, last_server);
}

void Playback::put_lone_syn(const Identity& identity) {
  ++truth_.totals().connections;
  write(builder_.whole(identity, {.side = Side::Client, .flags = tcp_bits::kSyn}));
}

void Playback::close(const std::string& kind) {
  pcap_.close();
  truth_.close(kind, pcap_);
}

}  // namespace flowloom::gen
