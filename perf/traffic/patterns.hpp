// The kinds of traffic as sequences of SegmentPlans. Each pattern holds a cursor, never anything
// per connection: what a connection does in a lap follows from its number and the lap's.
#pragma once

#include "perf/traffic/segment_plan.hpp"
#include "perf/traffic/traffic_config.hpp"

#include <array>
#include <cstdint>

namespace flowloom::traffic {

/// The connections that a source makes, and the seed of their sequence numbers.
struct Population {
  std::uint64_t first = 0;  ///< number of the first connection
  std::uint32_t count = 1;
  std::uint64_t seed = 1;

  [[nodiscard]] Conversation conversation(std::uint64_t index) const {
    return conversation_of(first + index, seed);
  }
};

/// Set-up: SYN, SYN/ACK, ACK of one connection after the other.
class HandshakePattern {
 public:
  static constexpr std::uint32_t kPackets = 3;

  explicit HandshakePattern(const Population& population) : population_(population) {}
  SegmentPlan next(TrafficTruth& truth);
  [[nodiscard]] std::uint64_t total() const { return std::uint64_t{population_.count} * kPackets; }

 private:
  Population population_;
  std::uint64_t connection_ = 0;
  std::uint32_t step_ = 0;
};

/// One 6-byte segment per connection and lap; the sides take turns and acknowledge each other, as
/// in an interactive session, so that no window ever fills.
class SmallPattern {
 public:
  explicit SmallPattern(const Population& population)
      : population_(population), order_(population.count, population.seed) {}

  SegmentPlan next(TrafficTruth&) {
    const std::uint32_t index = order_.next();
    const auto lap = static_cast<std::uint32_t>(order_.lap());
    const Conversation c = population_.conversation(index);
    const Progress at{.client = 1 + (lap + 1) / 2 * kSmallestSegment,
                      .server = 1 + lap / 2 * kSmallestSegment};
    constexpr std::uint8_t kFlags = tcp_bits::kPush | tcp_bits::kAck;
    return (lap & 1) == 0 ? from_client(c, at, kSmallestSegment, kFlags)
                          : from_server(c, at, kSmallestSegment, kFlags);
  }

 private:
  Population population_;
  VisitingOrder order_;
};

/// Server to client, two segments and an acknowledgement per connection and lap; with a few
/// groups disturbed for reorder, loss and fragments. Connections begin one after the other: in step
/// they would all have gathered 64 KiB at the same moment, and whoever copies them had nothing to
/// hand on for a long time, and then everything at once.
class BulkPattern {
 public:
  /// In one of so many laps each connection begins; in that many 64 KiB of 1460-byte segments come
  /// together.
  static constexpr std::uint32_t kFirstLaps = 23;

  BulkPattern(const Population& population, const TrafficConfig& config);

  SegmentPlan next(TrafficTruth& truth) {
    if (next_ == size_) build_group(truth);
    return group_[next_++];
  }
  /// Packets that complete the group in hand; the truth is exact when there are none.
  [[nodiscard]] std::uint32_t unfinished() const { return size_ - next_; }

 private:
  /// What befalls the second segment of a group.
  enum class Mishap : std::uint8_t {
    None,
    Swapped,        ///< overtakes the first
    Delayed,        ///< arrives between the segments of the connection's next lap
    Retransmitted,  ///< lost in the network, sent again in the next lap
    Repeated,       ///< seen here, lost behind us, so seen again in the next lap
    NotCaptured,    ///< acknowledged but never seen here
    Fragmented,
    FragmentedBackwards
  };

  static std::uint64_t first_lap_of(std::uint32_t index) { return scatter(index) % kFirstLaps; }
  void build_group(TrafficTruth& truth);
  void emit(const SegmentPlan& plan) { group_[size_++] = plan; }
  void emit_data(const Conversation& c, std::uint32_t position);
  void emit_ack(const Conversation& c, std::uint32_t position);
  void emit_fragments(const Conversation& c, std::uint32_t position, Mishap mishap);
  void emit_fresh(const Conversation& c, std::uint32_t position, Mishap mishap,
                  TrafficTruth& truth);
  void emit_late(const Conversation& c, std::uint32_t position, Mishap carried,
                 TrafficTruth& truth);
  [[nodiscard]] Mishap drawn(std::uint64_t connection, std::uint64_t lap) const;
  [[nodiscard]] Mishap mishap_of(std::uint64_t connection, std::uint64_t lap) const;

  static constexpr std::uint32_t kMaxGroup = 8;

  Population population_;
  VisitingOrder order_;
  std::uint32_t segment_;
  TrafficKind kind_;
  std::uint32_t size_ = 0;
  std::uint32_t next_ = 0;
  std::array<SegmentPlan, kMaxGroup> group_{};
};

/// Connections of ten packets, SYN to FIN, each with a new tuple. `count` of them are open at any
/// time, spread over all ten steps.
class HttpPattern {
 public:
  static constexpr std::uint32_t kSteps = 10;
  static constexpr std::uint32_t kRequest = 320;
  static constexpr std::uint32_t kResponse = 1460;
  static constexpr std::uint32_t kResponseRest = 620;

  explicit HttpPattern(const Population& population)
      : population_(population), order_(population.count, population.seed) {}

  SegmentPlan next(TrafficTruth& truth) {
    const std::uint64_t slot = order_.next();
    const std::uint64_t age = order_.lap() + slot % kSteps;
    return step(slot + age / kSteps * population_.count, static_cast<std::uint32_t>(age % kSteps),
                truth);
  }
  /// Packet `step` of connection `index`.
  [[nodiscard]] SegmentPlan step(std::uint64_t index, std::uint32_t step,
                                 TrafficTruth& truth) const;

 private:
  Population population_;
  VisitingOrder order_;
};

/// Set-up of http: brings every slot to the step at which it enters the first lap.
class HttpSetupPattern {
 public:
  explicit HttpSetupPattern(const Population& population)
      : count_(population.count), http_(population) {}
  SegmentPlan next(TrafficTruth& truth);
  [[nodiscard]] std::uint64_t total() const;

 private:
  std::uint32_t count_;
  HttpPattern http_;
  std::uint64_t slot_ = 1;  // slot 0 has nothing to do
  std::uint32_t step_ = 0;
};

/// SYNs from sources that never repeat, and every kPeriod-th packet a live transfer's.
class SynFloodPattern {
 public:
  static constexpr std::uint32_t kPeriod = 16;

  explicit SynFloodPattern(const Population& population)
      : live_(population), first_(population.first), seed_(population.seed) {}

  SegmentPlan next(TrafficTruth& truth) {
    if (++count_ % kPeriod == 0) return live_.next(truth);
    ++truth.connections;
    return syn(first_ + count_);
  }

 private:
  [[nodiscard]] SegmentPlan syn(std::uint64_t n) const;

  SmallPattern live_;
  std::uint64_t first_;
  std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

}  // namespace flowloom::traffic
