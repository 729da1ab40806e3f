// Where a measured chunk of packets comes from: made in this process, or received from a virtual
// device. Filling is never timed, so only receiving counts.
#pragma once

#include <cstddef>

#include "io/packet_source.hpp"
#include "perf/traffic/traffic_source.hpp"

namespace flowloom {

class BenchFeed {
 public:
  virtual ~BenchFeed() = default;
  [[nodiscard]] virtual PacketSource& source() = 0;
  /// Makes at most `packets` ready; how many receive() will now hand over. 0: the end.
  virtual std::size_t fill(std::size_t packets) = 0;
  /// Makes the same packets ready once more.
  virtual void refill() = 0;
  /// Whether the next packets belong to the set-up.
  [[nodiscard]] virtual bool in_setup() const = 0;
  /// The end: fill() gives only what is needed for truth() to be exact.
  virtual void end() = 0;
  /// What a correct engine delivers of what was filled; nullptr where nobody knows.
  [[nodiscard]] virtual const traffic::TrafficTruth* truth() const = 0;
};

/// Frames in memory.
class MemoryFeed final : public BenchFeed {
 public:
  explicit MemoryFeed(const traffic::TrafficConfig& config) : traffic_(config) {}

  [[nodiscard]] PacketSource& source() override { return traffic_; }
  std::size_t fill(std::size_t packets) override { return traffic_.prepare(packets); }
  void refill() override { traffic_.rewind(); }
  [[nodiscard]] bool in_setup() const override { return traffic_.in_setup(); }
  void end() override { traffic_.end(); }
  [[nodiscard]] const traffic::TrafficTruth* truth() const override { return &traffic_.truth(); }

 private:
  traffic::TrafficSource traffic_;
};

}  // namespace flowloom
