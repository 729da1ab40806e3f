#include "compat/python/flowloom/collector.hpp"

#include <algorithm>
#include <utility>

namespace flowloom::python {

namespace {

ExtractorOptions with_packets(ExtractorOptions options, Keep keep) {
  options.packets = keep == Keep::Bytes ? PacketEvents::No : PacketEvents::Yes;
  return options;
}

}  // namespace

Collector::Collector(const ExtractorOptions& options, Keep keep)
    : keep_(keep), extractor_(with_packets(options, keep)) {}

Collector::Step Collector::step(SteppedPacket& packet) {
  home_.check();
  while (const ExtractorEvent* event = extractor_.poll()) {
    take_in(*event);
    if (event->kind != EventKind::Packet) continue;
    packet.stamp_ns = event->stamp.count();
    packet.wire_length = event->wire_length;
    packet.link_type = event->link_type;
    packet.stream = event->stream == nullptr ? 0 : event->stream->id();
    packet.frame.assign(event->data.begin(), event->data.end());
    return Step::Packet;
  }
  return extractor_.ended() ? Step::End : Step::Nothing;
}

bool Collector::advance(std::size_t events, std::size_t bytes) {
  home_.check();
  for (; events > 0 && held_ <= bytes; --events) {
    const ExtractorEvent* event = extractor_.poll();
    if (event == nullptr) return !extractor_.ended();
    take_in(*event);
  }
  return true;
}

void Collector::feed(const CapturedFrame& frame) {
  home_.check();
  extractor_.feed(frame);
  while (const ExtractorEvent* event = extractor_.poll()) take_in(*event);
}

void Collector::finish() {
  home_.check();
  extractor_.finish();
  while (const ExtractorEvent* event = extractor_.poll()) take_in(*event);
}

void Collector::remove(std::uint64_t id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  held_ -= found->second.held_bytes();
  streams_.erase(found);
}

void Collector::drop_content(std::uint64_t id) {
  CollectedStream& stream = streams_.at(id);
  held_ -= stream.held_bytes();
  for (std::size_t side = 0; side < 2; ++side) {
    stream.dropped[side] += stream.sides[side].bytes.size();
    stream.sides[side].bytes = {};
  }
  stream.packets = {};
  stream.frames = {};
}

CollectedStream* Collector::find(const ExtractorEvent& event) {
  if (event.stream == nullptr) return nullptr;
  const auto found = streams_.find(event.stream->id());
  return found == streams_.end() ? nullptr : &found->second;
}

void Collector::take_in(const ExtractorEvent& event) {
  if (event.kind == EventKind::Opened) {
    streams_[event.stream->id()].info = event.stream->info();
    return;
  }
  CollectedStream* const stream = find(event);
  if (event.kind == EventKind::Packet) {
    ++packets_;
    last_ns_ = std::max(last_ns_, event.stamp.count());
    if (stream != nullptr) hold_packet(*stream, event);
    return;
  }
  if (stream == nullptr) return;
  SideData& side = stream->sides[static_cast<std::size_t>(event.from)];
  if (event.kind == EventKind::Data) {
    // The first bytes settle the roles.
    if (event.offset == 0) stream->info = event.stream->info();
    side.bytes.insert(side.bytes.end(), event.data.begin(), event.data.end());
    held_ += event.data.size();
  } else if (event.kind == EventKind::Gap) {
    side.gaps.push_back({event.offset, event.length, event.gap_reason});
  } else if (event.kind == EventKind::Closed) {
    stream->info = event.stream->info();
    stream->closed = true;
  }
}

void Collector::hold_packet(CollectedStream& stream, const ExtractorEvent& event) {
  stream.last_ns = event.stamp.count();
  ++stream.packet_count;
  if (keep_ != Keep::AllPackets) return;
  stream.packets.push_back({.stamp_ns = event.stamp.count(),
                            .at = stream.frames.size(),
                            .captured = static_cast<std::uint32_t>(event.data.size()),
                            .wire_length = event.wire_length,
                            .link_type = event.link_type,
                            .payload = static_cast<std::uint32_t>(event.length),
                            .from = event.from});
  stream.frames.insert(stream.frames.end(), event.data.begin(), event.data.end());
  held_ += event.data.size() + sizeof(HeldPacket);
}

}  // namespace flowloom::python
