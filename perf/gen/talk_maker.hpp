// Draws random conversations: who talks, what goes wrong, what the tap keeps. Conversation `i` of a
// seed is the same whatever else is made.
#pragma once

#include "perf/gen/capture.hpp"
#include "perf/gen/features.hpp"
#include "perf/gen/layers.hpp"
#include "perf/gen/network.hpp"

#include <cstdint>
#include <vector>

namespace flowloom::gen {

struct TalkSettings {
  std::uint64_t seed = 1;
  Features allowed;
  double size = 1;  ///< of the messages
};

/// One connection of a conversation; a conversation that reuses its end points has two.
struct TalkPart {
  Identity identity;
  Wrapping wrapping;
  Features features;
  Captured captured;
};

/// Conversation number `i`, which begins at `start`; its connections in the order of their starts.
std::vector<TalkPart> make_talk(const TalkSettings& settings, std::uint64_t i, std::int64_t start);

}  // namespace flowloom::gen
