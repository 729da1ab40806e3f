// The exact observer of one captured connection, and its right to refuse: what would make the truth
// hang on a moment (a grace that may be over, a connection that may have ended) is named before it
// is noted, so that the capture can lose it.
#pragma once

#include "perf/gen/capture.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace flowloom::gen {

class Observer {
 public:
  enum class Answer : std::uint8_t { Noted, Refused };

  /// Packets in the order in which the capture completes them.
  Answer observe(const Segment& segment, std::int64_t at);
  /// A packet that was noted comes again at once.
  void observe_again(const Segment& segment);
  /// Something that must not be missing was refused: the capture has to be made otherwise.
  [[nodiscard]] bool lost_its_way() const { return lost_its_way_; }
  /// Packets are over: what is known of both directions.
  std::array<DirectionTruth, 2>& conclude();

 private:
  struct Note {
    std::uint64_t position;
    std::int64_t at;
    std::uint64_t segment;
  };

  /// What PAWS says of a timestamp (RFC 7323, 5). Unsure where it hangs on what a receiver had by
  /// then, of which its acknowledgements tell too little.
  enum class Stamp : std::uint8_t { Good, Old, Unsure };
  /// TS.Recent of a direction's receiver, between these, and what it refused by it.
  struct Stamps {
    bool on_syn = false;
    std::uint32_t least = 0;
    std::uint32_t most = 0;
    Coverage refused;
    std::optional<std::uint64_t> refused_fin;
  };

  [[nodiscard]] Stamp judge_stamp(const Segment& segment) const;
  void note_stamp(const Segment& segment);
  void note_refused(const Segment& segment);
  [[nodiscard]] bool brings_bytes(const Segment& segment) const;
  [[nodiscard]] bool precedes_origin(const Segment& segment, std::int64_t at) const;
  [[nodiscard]] bool pickup_may_be_over(std::size_t i, std::int64_t at) const;
  [[nodiscard]] bool tells_origin_too_late(const Segment& segment, std::int64_t at) const;
  [[nodiscard]] bool is_third_step(const Segment& segment) const;
  [[nodiscard]] bool names_origin_too_late(const Segment& segment, std::int64_t at) const;
  [[nodiscard]] bool comes_too_late(const Segment& segment, std::int64_t at) const;
  void note_syn(const Segment& segment);
  void note_third_step(const Segment& segment);
  void note_ack(const Segment& segment, std::int64_t at);
  void note_bytes(const Segment& segment, std::int64_t at);

  std::array<DirectionTruth, 2> directions_;
  std::array<std::vector<Note>, 2> acks_;   ///< of what the direction sent
  std::array<std::optional<Note>, 2> starts_;  ///< first data or FIN, where no SYN told the origin
  std::array<bool, 2> opened_{};               ///< by a SYN without ACK
  /// By the third step of a handshake whose SYN/ACK was missed, where nothing tells better.
  std::array<std::optional<std::uint64_t>, 2> named_;
  std::array<std::uint64_t, 2> syn_bytes_{};   ///< not yet settled
  std::array<Stamps, 2> stamps_;
  /// A byte into a closed window: the stream's only if it is acknowledged, or sent again later.
  std::array<std::optional<std::uint64_t>, 2> probes_;
  std::array<bool, 2> window_closed_{};        ///< by the other side, as it said last
  std::uint64_t segments_ = 0;
  std::int64_t closing_since_ = kNever;
  bool lost_its_way_ = false;
};

}  // namespace flowloom::gen
