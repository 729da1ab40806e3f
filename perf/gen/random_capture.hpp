// A capture of many random conversations, interleaved in time, with its ground truth. Written as it
// is made: memory holds only the conversations that are under way.
#pragma once

#include "perf/gen/talk_maker.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace flowloom::gen {

struct RandomCaptureConfig {
  std::string path;
  TalkSettings talks;
  std::uint64_t conversations = 10'000;
  std::optional<std::uint64_t> only;  ///< this conversation and no other, at its own time
};

void write_random_capture(const RandomCaptureConfig& config);

}  // namespace flowloom::gen
