// Two ends, the way between them with its mishaps, and the tap somewhere on it. What the tap sees
// is all that a capture can show; what the capture then misses is not decided here.
#pragma once

#include "perf/gen/peer.hpp"
#include "perf/gen/segment.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace flowloom::gen {

/// The way, in both directions. Probabilities are per packet.
struct NetworkPlan {
  std::int64_t delay_ns = 10 * kMillisecond;  ///< one way
  double tap_at = 0.5;                        ///< 0: at the client, 1: at the server
  std::int64_t spacing_ns = 50 * kMicrosecond;
  double lose_before = 0;  ///< the tap never sees it
  double lose_after = 0;   ///< the tap sees what does not arrive
  double repeat = 0;       ///< the network delivers it twice
  double reorder = 0;      ///< it is overtaken by later ones
  std::int64_t reorder_ns = 4 * kMillisecond;
};

struct TapPacket {
  std::int64_t at;
  Segment segment;
};

struct TalkPlan {
  std::array<PeerPlan, 2> ends;  ///< by Side
  std::vector<Turn> turns;
  NetworkPlan network;
};

/// Plays the talk from `start` on; what passes the tap, in order of time.
std::vector<TapPacket> play_talk(const TalkPlan& plan, std::int64_t start, Random& random);

}  // namespace flowloom::gen
