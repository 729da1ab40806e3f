// The overlap policies as algorithms over bitmaps: what a segment takes from the bytes that are
// held where it lies, and what becomes of the pieces there. Touches no payload.
#pragma once

#include "tcp/overlap_policy.hpp"
#include "tcp/page_window.hpp"

namespace flowloom {

/// Whether the policy asks where the queue begins: then the window must know its front.
constexpr bool asks_for_front(OverlapPolicy policy) {
  return policy == OverlapPolicy::Solaris || policy == OverlapPolicy::SolarisSnort;
}

/// Updates `starts` and `marks` for the segment `added`, and returns the held range that its bytes
/// replace, a part of `added`. Positions of `added` outside the range keep what they hold; where
/// they hold nothing the segment's bytes go in all the same. `present` is left to the caller.
/// Preconditions: `added` is not empty; all its pages are in the window, and the one that holds
/// position added.end if there is one; the window knows the page before, and its front.
PositionRange settle_overlap(PageWindow& window, PositionRange added, OverlapPolicy policy);

}  // namespace flowloom
