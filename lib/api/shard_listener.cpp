#include "api/shard_listener.hpp"

#include <utility>

#include "base/prefetch.hpp"

namespace flowloom {

namespace {

constexpr Side side_of(Direction d) { return static_cast<Side>(index_of(d)); }

}  // namespace

ExtractorEvent ShardListener::event_of(const EventKey& key, EventKind kind, ConsumerSlot slot) {
  ExtractorEvent event;
  event.kind = kind;
  event.stream = &streams_.at(slot);
  event.time = key.clock.time_since_epoch();
  event.packet = key.number;
  return event;
}

TrackedStream* ShardListener::guess(const Packet& packet) {
  if (packet.verdict != Verdict::Tcp) return nullptr;
  const std::uint32_t slot = guesses_[packet.flow_hash % kGuesses];
  return streams_.has(slot) ? &streams_.at(slot) : nullptr;
}

void ShardListener::prefetch(const Burst& burst) {
  burst_ = &burst;
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    const TrackedStream* stream = guess(burst.packets[i]);
    if (stream != nullptr) prefetch_line<PrefetchFor::Write>(stream);
  }
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    const TrackedStream* stream = guess(burst.packets[i]);
    if (stream != nullptr) prefetch_line<PrefetchFor::Write>(stream->user);
  }
}

void ShardListener::remember_flow(const EventKey& key, std::uint32_t slot) {
  if (burst_ == nullptr || burst_->size == 0) return;
  const std::uint64_t place = key.number - burst_->packets[0].number;
  if (place < burst_->size) guesses_[burst_->packets[place].flow_hash % kGuesses] = slot;
}

Interest ShardListener::on_open(const EventKey& key, const ConnectionView& view,
                                ConsumerSlot& slot) {
  TrackedStream& stream = streams_.take();
  stream.view = &view;
  stream.handle = view.handle();
  slot = stream.slot;
  remember_flow(key, slot);
  if (packets_ == PacketEvents::Yes) {
    stream.key = std::make_unique<FlowKey>(flow_key_of(*packet_));
    by_key_[*stream.key] = &stream;
  }
  ExtractorEvent event = event_of(key, EventKind::Opened, slot);
  outlet_.tell(event);
  return Interest::Bytes;
}

void ShardListener::on_data(const EventKey& key, const ConnectionView&, ConsumerSlot& slot,
                            Direction d, StreamOffset offset, ByteView bytes) {
  ExtractorEvent event = event_of(key, EventKind::Data, slot);
  event.from = side_of(d);
  event.offset = static_cast<std::uint64_t>(offset);
  event.data = bytes;
  outlet_.tell(event);
}

void ShardListener::on_gap(const EventKey& key, const ConnectionView&, ConsumerSlot& slot,
                           Direction d, const Gap& gap) {
  ExtractorEvent event = event_of(key, EventKind::Gap, slot);
  event.from = side_of(d);
  event.offset = static_cast<std::uint64_t>(gap.offset);
  event.length = static_cast<std::uint64_t>(gap.length);
  event.gap_reason = static_cast<GapReason>(gap.cause);
  outlet_.tell(event);
}

void ShardListener::on_urgent(const EventKey& key, const ConnectionView&, ConsumerSlot& slot,
                              Direction d, StreamOffset offset, std::uint8_t byte) {
  ExtractorEvent event = event_of(key, EventKind::Urgent, slot);
  event.from = side_of(d);
  event.offset = static_cast<std::uint64_t>(offset);
  event.data = {&byte, 1};
  outlet_.tell(event);
}

void ShardListener::on_end(const EventKey& key, const ConnectionView&, ConsumerSlot& slot,
                           Direction d) {
  ExtractorEvent event = event_of(key, EventKind::Ended, slot);
  event.from = side_of(d);
  outlet_.tell(event);
}

void ShardListener::on_close(const EventKey& key, const ConnectionView& view,
                             ConsumerSlot& slot) {
  TrackedStream& stream = streams_.at(slot);
  ConnectionRecord* record = &closing_;
  if (outlet_.queues()) {
    stream.owned_record = std::make_unique<ConnectionRecord>();
    record = stream.owned_record.get();
  }
  view.describe(*record);
  stream.final_record = record;
  ExtractorEvent event = event_of(key, EventKind::Closed, slot);
  event.end_reason = static_cast<EndReason>(record->close);
  if (stream.key) by_key_.erase(*stream.key);
  outlet_.tell(event);
}

void ShardListener::on_probe(const EventKey& key, const ConnectionView& view, const Probe& probe) {
  if (scans_ == nullptr) return;
  ConnectionRecord record;
  view.describe(record);
  std::optional<ScanAlert> alert = scans_->add(key, record, probe);
  if (!alert) return;
  ExtractorEvent event;
  event.time = key.clock.time_since_epoch();
  event.packet = key.number;
  outlet_.tell_scan(event, std::move(*alert));
}

TrackedStream* ShardListener::stream_of_packet() {
  if (packet_->verdict != Verdict::Tcp) return nullptr;
  const auto found = by_key_.find(flow_key_of(*packet_));
  return found == by_key_.end() ? nullptr : found->second;
}

void ShardListener::tracked(const Packet& recorded) {
  ExtractorEvent event;
  event.kind = EventKind::Packet;
  event.time = recorded.clock.time_since_epoch();
  event.packet = recorded.number;
  event.data = {recorded.frame, recorded.captured};
  event.stamp = recorded.stamp.time_since_epoch();
  event.wire_length = recorded.wire_length;
  event.link_type = link_type_number(recorded.link);
  if (TrackedStream* stream = stream_of_packet()) {
    event.stream = stream;
    event.length = packet_->payload_length;
    ConnectionRecord record;
    stream->describe(record);
    const bool from_lower = packet_->has(packet_flags::kFromLower);
    const bool by_originator = from_lower == (record.originator == KeySide::Lower);
    event.from = by_originator ? Side::Originator : Side::Responder;
  }
  outlet_.tell(event);
}

}  // namespace flowloom
