// What was wrong with an input, as a value: problems never travel as exceptions, so that the other
// inputs go on and all that was read before is kept.
#pragma once

#include <cstdint>
#include <string>

namespace flowloom {

/// How much of the input is missing; decides the exit status.
enum class ProblemSeverity : std::uint8_t {
  Unreadable,  ///< nothing could be read
  Damaged      ///< it ended early or is damaged; everything before was delivered
};

/// One sentence for the user: which input, what happened, what can be done.
struct InputProblem {
  ProblemSeverity severity;
  std::string message;
};

}  // namespace flowloom
