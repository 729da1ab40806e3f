// Made traffic as a PacketSource: frames written into a small recycled set of buffers as they are
// received, or built ahead so that their making stands outside the measurement. It first hands
// over the set-up phase (handshakes), then the traffic proper; a burst never mixes the two. To
// measure the floor, run a second source of the same configuration, or rewind the prepared one.
#pragma once

#include "base/bytes.hpp"
#include "io/packet_source.hpp"
#include "perf/traffic/patterns.hpp"
#include "perf/traffic/traffic_config.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <variant>
#include <vector>

namespace flowloom::traffic {

/// Cache-aligned buffers of equal size with the constant part of every frame in place.
class FrameBuffers {
 public:
  FrameBuffers() = default;
  FrameBuffers(std::size_t count, std::size_t stride);

  [[nodiscard]] std::uint8_t* operator[](std::size_t i) const { return data_.get() + i * stride_; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] ByteView memory() const { return {data_.get(), count_ * stride_}; }

 private:
  struct Free {
    void operator()(std::uint8_t* p) const { std::free(p); }
  };
  std::unique_ptr<std::uint8_t, Free> data_;
  std::size_t count_ = 0;
  std::size_t stride_ = 0;
};

/// One thread receives and releases.
class TrafficSource final : public PacketSource {
 public:
  explicit TrafficSource(const TrafficConfig& config);

  /// Idle means that all frame buffers are out: release first.
  SourceState receive(Burst& burst) override;
  void release(Burst& burst) override;
  /// Of prepared frames, as a driver's that keeps its buffers. Preconditions: nothing was prepared.
  ByteView keep_released(std::uint64_t packets, FrameKeeper& keeper) override;
  [[nodiscard]] SourceStats stats() const override { return {}; }

  [[nodiscard]] std::uint64_t setup_packets() const { return setup_packets_; }
  [[nodiscard]] bool in_setup() const { return handed_over_ < setup_packets_; }
  [[nodiscard]] const TrafficTruth& truth() const { return truth_; }

  /// Builds the next packets now; receive() then hands these out before it makes others. Fewer
  /// where the set-up phase or the source ends. Returns how many. All frames must be released.
  std::size_t prepare(std::size_t packets);
  /// Hands out the prepared packets once more from their first. The truth counts them once.
  void rewind();
  /// Ends the source as soon as the truth is exact: at once, or with the group in hand.
  void end();

 private:
  using Setup = std::variant<HandshakePattern, HttpSetupPattern>;
  using Timed = std::variant<SmallPattern, BulkPattern, HttpPattern, SynFloodPattern>;

  static Population population_of(const TrafficConfig& config);
  static Setup setup_of(const TrafficConfig& config);
  static Timed timed_of(const TrafficConfig& config);

  /// How many of `wanted` packets belong to the phase that the next packet is in; 0: the end.
  [[nodiscard]] std::uint64_t left_of_phase(std::uint64_t wanted) const;
  /// Makes packets.size() packets into buffers[first_buffer + i] modulo their count.
  void make(std::span<Packet> packets, const FrameBuffers& buffers, std::size_t first_buffer);
  template <class Pattern>
  void make_with(Pattern& pattern, std::span<Packet> packets, const FrameBuffers& buffers,
                 std::size_t first_buffer);
  std::uint32_t hand_out_prepared(Burst& burst);

  TrafficConfig config_;
  std::size_t stride_;
  Setup setup_;
  Timed timed_;
  std::uint64_t setup_packets_;
  std::uint64_t made_ = 0;         // packets made, prepared ones included
  std::uint64_t handed_over_ = 0;  // packets received for the first time
  std::uint64_t in_use_ = 0;       // frames received and not released
  std::size_t next_buffer_ = 0;
  FrameBuffers recycled_;
  FrameBuffers ahead_;
  std::size_t kept_ = 0;        // buffers of ahead_ that stay as they are when others are prepared
  std::size_t next_ahead_ = 0;
  std::vector<Packet> prepared_;
  std::size_t prepared_next_ = 0;
  std::size_t prepared_seen_ = 0;
  TrafficTruth truth_;
};

}  // namespace flowloom::traffic
