// The consumer of the extractor's shard: turns its calls into events.
#pragma once

#include <unordered_map>
#include <vector>

#include "api/event_outlet.hpp"
#include "api/scan_watch.hpp"
#include "api/tracked_stream.hpp"
#include "net/packet.hpp"
#include "stream/consumer.hpp"

namespace flowloom {

class ShardListener final : public StreamConsumer {
 public:
  /// `scans` may be nullptr.
  ShardListener(StreamTable& streams, EventOutlet& outlet, PacketEvents packets, ScanWatch* scans)
      : streams_(streams), outlet_(outlet), packets_(packets), scans_(scans) {}

  Interest on_open(const EventKey&, const ConnectionView&, ConsumerSlot&) override;
  void on_data(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction, StreamOffset,
               ByteView) override;
  void on_gap(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction,
              const Gap&) override;
  void on_urgent(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction, StreamOffset,
                 std::uint8_t) override;
  void on_end(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction) override;
  void on_close(const EventKey&, const ConnectionView&, ConsumerSlot&) override;
  void on_probe(const EventKey&, const ConnectionView&, const Probe&) override;

  /// Fetches the streams that the packets of a burst are likely to belong to, and what their users
  /// hang on them: otherwise each event waits for both (a tenth of the time for 200,000 streams).
  /// The burst stays where it is while it is tracked.
  void prefetch(const Burst& burst);

  /// With packet events: what is tracked next is this packet alone.
  void about_to_track(const Packet& packet) { packet_ = &packet; }
  /// It was tracked; `recorded` is the packet as it came from the source.
  void tracked(const Packet& recorded);

 private:
  struct KeyHash {
    std::size_t operator()(const FlowKey& key) const { return hash_of(key, HashSeed{}); }
  };

  [[nodiscard]] TrackedStream* guess(const Packet& packet);
  void remember_flow(const EventKey& key, std::uint32_t slot);
  ExtractorEvent event_of(const EventKey& key, EventKind kind, ConsumerSlot slot);
  TrackedStream* stream_of_packet();

  StreamTable& streams_;
  EventOutlet& outlet_;
  const PacketEvents packets_;
  ScanWatch* const scans_;
  const Packet* packet_ = nullptr;
  /// By bits of the flow's hash, the slot of the stream that began last; only a guess.
  static constexpr std::size_t kGuesses = std::size_t{1} << 18;
  std::vector<std::uint32_t> guesses_ = std::vector<std::uint32_t>(kGuesses);
  const Burst* burst_ = nullptr;
  ConnectionRecord closing_;  // of the connection that a handler is told the end of
  std::unordered_map<FlowKey, TrackedStream*, KeyHash> by_key_;
};

}  // namespace flowloom
