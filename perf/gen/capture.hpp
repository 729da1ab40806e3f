// What a capture keeps of the packets that passed its tap, and what an exact observer can know from
// it: which bytes it saw, which were acknowledged, what is missing and why. By the words of
// docs/tcp.md and by nothing that flowloom computes.
//
// The observer here is a set of intervals and holds because whatever would hang on the moment is
// kept out of the capture: a copy that comes when its hole may have been given up is one more
// packet that the capture lost.
#pragma once

#include "perf/gen/network.hpp"
#include "perf/gen/truth.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace flowloom::gen {

struct CapturePlan {
  double lose = 0;                   ///< of any packet that does not carry SYN or FIN
  bool lose_syn = false;
  bool lose_syn_ack = false;
  /// Where between handshake and first FIN or RST the capture starts; 0: before the SYN.
  double starts_at = 0;
  std::optional<Side> only;          ///< the tap has one fibre
  std::array<std::int64_t, 2> skew_ns{};  ///< one fibre's packets are stamped later, by Side
  double repeat = 0;                 ///< the tap shows it twice
  double fragment = 0;               ///< of packets with enough payload
  double fragments_shuffled = 0;
  double fragments_repeated = 0;
};

/// One frame of the capture: a packet or a piece of one.
struct Frame {
  std::int64_t at;
  std::uint32_t packet;
  std::uint16_t piece = 0;
  std::uint16_t pieces = 1;
  std::uint16_t id = 0;              ///< of the datagram, where there are several pieces
};

/// What is known of one direction.
struct DirectionTruth {
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

  bool heard = false;
  std::optional<std::uint64_t> origin;       ///< position of the stream's first known byte
  std::optional<std::uint64_t> first_acked;  ///< by the other end
  std::uint64_t acked = 0;                   ///< furthest; valid with first_acked
  std::optional<std::uint64_t> fin;
  Coverage seen;
  std::uint64_t payload_bytes = 0;           ///< seen, repetitions included
};

struct Captured {
  std::vector<TapPacket> packets;
  std::vector<Frame> frames;  ///< in order of time
  std::array<DirectionTruth, 2> directions;
  std::uint64_t lost = 0;        ///< packets that are not whole in the capture
  std::uint64_t fragmented = 0;
  std::uint64_t with_data = 0;
};

/// Chooses what of the packets the capture shows. `next_id` numbers datagrams that are cut.
Captured capture_talk(const std::vector<TapPacket>& tapped, const CapturePlan& plan,
                      std::uint16_t& next_id, Random& random);

}  // namespace flowloom::gen
