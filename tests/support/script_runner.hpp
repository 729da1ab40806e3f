// Plays a connection script through a Shard and holds the outcome to its expectations: at several
// initial sequence numbers, over IPv4 and IPv6, in bursts of 1, 7 and 32.
#pragma once

#include <string>
#include <vector>

#include "pipeline/shard_config.hpp"
#include "support/segment_script.hpp"

namespace flowloom::test {

/// Where and how a script is played.
struct ScriptVariant {
  std::uint32_t left_isn = 0;
  std::uint32_t right_isn = 0;
  enum class Version : std::uint8_t { V4, V6 } version = Version::V4;
  std::uint32_t burst = 1;
  HoldFirst hold_first = HoldFirst::Never;
  [[nodiscard]] std::string describe() const;
};

struct ScriptOutcome {
  std::string failures;  ///< a line each; empty: as the script says
  std::string log;       ///< what happened, without addresses and sequence numbers
};

/// Plays one variant. Expectations are checked at burst 1 only, where every packet is tracked
/// before the next line is read; the log is the same at any burst size.
ScriptOutcome play(const SegmentScript& script, const ScriptVariant& variant);

/// What a variant puts on the wire.
std::vector<Frame> frames_of(const SegmentScript& script, const ScriptVariant& variant);

/// Plays every variant: each must meet the expectations, and all logs must be equal. Returns what
/// went wrong; empty: nothing.
std::string play_all(const SegmentScript& script);

}  // namespace flowloom::test
