// Frames through the two halves of the data path and one Shard, burst by burst: what a worker
// does, without threads and sources. Frames live until their burst was tracked and are then
// overwritten, so that a view that is kept too long is found out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "net/packet_clock_rule.hpp"
#include "pipeline/front.hpp"
#include "pipeline/shard.hpp"
#include "support/packet_builder.hpp"

namespace flowloom::test {

/// Small limits, so that building a Shard costs next to nothing.
inline ShardConfig small_config() {
  ShardConfig config;
  config.max_flows = 64;
  config.reorder_bytes = std::uint64_t{4} << 20;
  return config;
}

class ShardRunner {
 public:
  ShardRunner(const ShardConfig& config, StreamConsumer& consumer, std::uint32_t burst = kBurstMax,
              FragmentOverlap overlap = FragmentOverlap::Bsd)
      : front_(front_settings(config, overlap)), shard_(config, consumer) {
    burst_.limit = burst;
    frames_.reserve(burst);
  }

  void feed(Frame frame) {
    clock_ = rule_.advance(frame.stamp);
    frames_.push_back(std::move(frame));
    const Frame& kept = frames_.back();
    Packet& packet = burst_.packets[burst_.size++];
    packet = Packet{};
    packet.frame = kept.bytes.data();
    packet.stamp = kept.stamp;
    packet.clock = clock_;
    packet.number = ++number_;
    packet.captured = static_cast<std::uint32_t>(kept.bytes.size());
    packet.wire_length = kept.wire_length == 0 ? packet.captured : kept.wire_length;
    packet.flags = packet.captured < packet.wire_length ? packet_flags::kSnapped : std::uint8_t{0};
    packet.link = LinkType::Ethernet;
    packet.verdict = Verdict::Tcp;
    if (burst_.size == burst_.limit) flush();
  }

  void flush() {
    if (burst_.size == 0) return;
    front_.run(burst_);
    shard_.track(burst_);
    front_.release(number_);
    for (Frame& frame : frames_) std::fill(frame.bytes.begin(), frame.bytes.end(), kPoison);
    frames_.clear();
    burst_.size = 0;
  }

  /// Lets time pass without a packet.
  void advance_clock(Timestamp clock) {
    flush();
    shard_.advance_clock(clock);
  }

  void finish() {
    flush();
    front_.finish();
    shard_.finish();
  }

  [[nodiscard]] Shard& shard() { return shard_; }
  [[nodiscard]] const Ledger& ledger() const { return shard_.ledger(); }
  [[nodiscard]] std::uint64_t bad_timestamps() const { return rule_.bad_timestamps(); }
  [[nodiscard]] const DefragmentCounters& datagrams() const { return front_.datagrams(); }

 private:
  static constexpr std::uint8_t kPoison = 0xdb;

  static FrontSettings front_settings(const ShardConfig& config, FragmentOverlap overlap) {
    FrontSettings settings;
    settings.defragment.ipv4_overlap = overlap;
    settings.decode.seed = settings.defragment.seed = config.seed;
    settings.defragment.max_datagrams = 64;
    settings.defragment.memory_bytes = Defragmenter::kMinMemoryBytes;
    return settings;
  }

  Front front_;
  Shard shard_;
  PacketClockRule rule_;
  Timestamp clock_;
  Burst burst_;
  std::vector<Frame> frames_;
  std::uint64_t number_ = 0;
};

}  // namespace flowloom::test
