// The frames of one feed() call as a source of packets.
#pragma once

#include <flowloom/extractor.hpp>

#include <span>

#include "io/packet_source.hpp"
#include "net/packet_clock_rule.hpp"

namespace flowloom {

class FeedSource final : public PacketSource {
 public:
  /// What receive() hands over from now on; the frames stay where they are until it says Idle.
  void offer(std::span<const CapturedFrame> frames) { frames_ = frames; }

  SourceState receive(Burst& burst) override;
  void release(Burst&) override {}
  [[nodiscard]] SourceStats stats() const override {
    return {.missed = 0, .bad_timestamps = rule_.bad_timestamps()};
  }

 private:
  std::span<const CapturedFrame> frames_;
  PacketClockRule rule_;
  std::uint64_t number_ = 0;
};

}  // namespace flowloom
