#include "io/limited_source.hpp"

namespace flowloom {

namespace {
/// Looks at the clock: once in so many calls, and whenever nothing comes.
constexpr std::uint32_t kCallsPerLook = 64;
}  // namespace

SourceState LimitedSource::receive(Burst& burst) {
  burst.size = 0;
  if (limits_.are_reached()) return SourceState::End;
  if (calls_++ % kCallsPerLook == 0 && limits_.is_late()) return SourceState::End;
  const std::uint32_t limit = burst.limit;
  const std::uint32_t claimed = limits_.claim(std::min(limit, kBurstMax));
  // Others hold what is left, and may give it back.
  if (claimed == 0) return SourceState::Idle;
  burst.limit = claimed;
  const SourceState state = inner_.receive(burst);
  burst.limit = limit;
  limits_.settle(claimed, burst.size);
  if (state == SourceState::Idle) calls_ = 0;
  return state;
}

}  // namespace flowloom
