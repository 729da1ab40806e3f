// What an exact observer of a random conversation reports, from what the capture shows of it.
#pragma once

#include "perf/gen/talk_maker.hpp"
#include "perf/gen/truth.hpp"

#include <cstdint>

namespace flowloom::gen {

/// Writes a line per direction of the connection. `talk` is the number of its conversation.
void write_truth(std::uint64_t talk, const TalkPart& part, TruthWriter& truth);

}  // namespace flowloom::gen
