#include "ip/fragment_overlap.hpp"

#include <algorithm>
#include <bit>

#include "base/check.hpp"

namespace flowloom {

namespace unit_bits {

namespace {
constexpr std::uint32_t kBits = UnitWindow::kWordBits;
constexpr std::uint32_t kAll = 0xffffffff;

// The bits of word `index` that lie in the range.
std::uint32_t mask_of(std::uint32_t index, UnitRange range) {
  const std::uint32_t first = index * kBits;
  std::uint32_t mask = kAll;
  if (range.begin > first) mask &= kAll << (range.begin - first);
  if (range.end < first + kBits) mask &= ~(kAll << (range.end - first));
  return mask;
}

// First bit of the range that is set after `flip` was applied to each word.
std::uint32_t next(const Words& words, UnitRange range, std::uint32_t flip) {
  if (range.begin >= range.end) return range.end;
  for (std::uint32_t i = range.begin / kBits; i <= (range.end - 1) / kBits; ++i) {
    const std::uint32_t hits = (words[i] ^ flip) & mask_of(i, range);
    if (hits != 0) return i * kBits + static_cast<std::uint32_t>(std::countr_zero(hits));
  }
  return range.end;
}
}  // namespace

bool test(const Words& words, std::uint32_t at) {
  return (words[at / kBits] >> (at % kBits) & 1) != 0;
}

void set(Words& words, UnitRange range) {
  if (range.begin >= range.end) return;
  for (std::uint32_t i = range.begin / kBits; i <= (range.end - 1) / kBits; ++i) {
    words[i] |= mask_of(i, range);
  }
}

void clear(Words& words, UnitRange range) {
  if (range.begin >= range.end) return;
  for (std::uint32_t i = range.begin / kBits; i <= (range.end - 1) / kBits; ++i) {
    words[i] &= ~mask_of(i, range);
  }
}

std::uint32_t next_set(const Words& words, UnitRange range) {
  return next(words, range, 0);
}

std::uint32_t next_clear(const Words& words, UnitRange range) {
  return next(words, range, kAll);
}

std::uint32_t last_set(const Words& words, UnitRange range) {
  if (range.begin >= range.end) return range.end;
  for (std::uint32_t i = (range.end - 1) / kBits + 1; i-- > range.begin / kBits;) {
    const std::uint32_t hits = words[i] & mask_of(i, range);
    if (hits != 0)
      return i * kBits + kBits - 1 - static_cast<std::uint32_t>(std::countl_zero(hits));
  }
  return range.end;
}

std::uint32_t count(const Words& words, UnitRange range) {
  if (range.begin >= range.end) return 0;
  std::uint32_t found = 0;
  for (std::uint32_t i = range.begin / kBits; i <= (range.end - 1) / kBits; ++i) {
    found += static_cast<std::uint32_t>(std::popcount(words[i] & mask_of(i, range)));
  }
  return found;
}

}  // namespace unit_bits

namespace {

using unit_bits::last_set;
using unit_bits::next_clear;
using unit_bits::next_set;
using unit_bits::test;

// Whether a piece goes on over the end of the new fragment.
bool reaches_past(const UnitWindow& window) {
  const std::uint32_t end = window.added.end;
  return test(window.present, end) && !test(window.starts, end);
}

// Where the piece that holds unit `at` ends; end + 1 where it reaches past the new fragment.
// Scans no further, so a decision costs no more than the fragment is long.
std::uint32_t piece_end(const UnitWindow& window, std::uint32_t at) {
  const UnitRange rest{at + 1, window.added.end + 1};
  return std::min(next_clear(window.present, rest), next_set(window.starts, rest));
}

// The new fragment's bytes for the whole range, as one piece.
void take_piece(UnitWindow& window, UnitRange range) {
  unit_bits::set(window.taken, range);
  unit_bits::clear(window.starts, range);
  unit_bits::set(window.starts, {range.begin, range.begin + 1});
}

// Bsd and Linux: the head yields to the piece before, everything behind is overwritten. What
// reaches out behind loses its head and stays.
OverlapDecision take_from(UnitWindow& window, std::uint32_t begin) {
  const std::uint32_t end = window.added.end;
  if (begin >= end) return OverlapDecision::Ignore;
  const bool cuts_head = reaches_past(window);
  take_piece(window, {begin, end});
  if (cuts_head) unit_bits::set(window.starts, {end, end + 1});
  return OverlapDecision::Insert;
}

OverlapDecision resolve_bsd(UnitWindow& window) {
  const std::uint32_t begin = window.added.begin;
  return take_from(window, test(window.present, begin) ? piece_end(window, begin) : begin);
}

// A piece with the same start counts as a successor, and successors yield.
OverlapDecision resolve_linux(UnitWindow& window) {
  const std::uint32_t begin = window.added.begin;
  const bool inside = test(window.present, begin) && !test(window.starts, begin);
  return take_from(window, inside ? piece_end(window, begin) : begin);
}

// Only the piece that holds the last unit can end as late as the new one or later: all others
// yield.
OverlapDecision resolve_bsd_right(UnitWindow& window) {
  UnitRange range = window.added;
  if (test(window.present, range.end - 1)) {
    const std::uint32_t start = last_set(window.starts, range);
    const bool began_before = start == range.end;
    if (reaches_past(window)) {
      if (began_before || start == range.begin) return OverlapDecision::Ignore;
      range.end = start;
    } else if (began_before) {
      return OverlapDecision::Ignore;
    }
  }
  take_piece(window, range);
  return OverlapDecision::Insert;
}

OverlapDecision resolve_first(UnitWindow& window) {
  const UnitRange range = window.added;
  bool any = false;
  for (std::uint32_t at = next_clear(window.present, range); at < range.end;) {
    const std::uint32_t held = next_set(window.present, {at, range.end});
    unit_bits::set(window.taken, {at, held});
    any = true;
    at = next_clear(window.present, {held, range.end});
  }
  return any ? OverlapDecision::Insert : OverlapDecision::Ignore;
}

OverlapDecision resolve_last(UnitWindow& window) {
  unit_bits::set(window.taken, window.added);
  return OverlapDecision::Insert;
}

// Whether a held piece that ends where the new fragment ends may be replaced.
enum class SameEnd : std::uint8_t { Stays, Yields };

// Windows and Solaris: from left to right, what is left of the new fragment either swallows a
// piece or is split around it.
OverlapDecision resolve_swallowing(UnitWindow& window, SameEnd same_end) {
  const std::uint32_t end = window.added.end;
  bool any = false;
  std::uint32_t piece = window.added.begin;  // begin of what is left
  std::uint32_t scan = piece;                // everything of it before here is ours
  while (piece < end) {
    const std::uint32_t held = next_set(window.present, {scan, end});
    const std::uint32_t held_end = held < end ? piece_end(window, held) : end;
    const bool yields = held_end < end || (held_end == end && same_end == SameEnd::Yields);
    if (held < end && held > piece && yields) {
      scan = held_end;
      continue;
    }
    if (held > piece) {
      take_piece(window, {piece, held});
      any = true;
    }
    if (held == end) break;
    piece = scan = held_end;
  }
  return any ? OverlapDecision::Insert : OverlapDecision::Ignore;
}

// The content is not compared: the kernel does not either.
OverlapDecision resolve_linux_modern(const UnitWindow& window) {
  const UnitRange range = window.added;
  const bool is_last = static_cast<std::int32_t>(range.end) > window.queue_end;
  const bool inside_one_piece = next_clear(window.present, range) == range.end &&
                                next_set(window.starts, {range.begin + 1, range.end}) == range.end;
  return !is_last && inside_one_piece ? OverlapDecision::Ignore : OverlapDecision::Discard;
}

OverlapDecision resolve_discard(const UnitWindow& window) {
  const bool exact_duplicate = test(window.starts, window.added.begin) &&
                               piece_end(window, window.added.begin) == window.added.end &&
                               window.content == OverlapContent::Same;
  return exact_duplicate ? OverlapDecision::Ignore : OverlapDecision::Discard;
}

}  // namespace

std::uint32_t count_overlapped_pieces(const UnitWindow& window) {
  const std::uint32_t begin = window.added.begin;
  const bool inside = test(window.present, begin) && !test(window.starts, begin);
  return unit_bits::count(window.starts, window.added) + (inside ? 1 : 0);
}

OverlapDecision resolve_overlap(UnitWindow& window, FragmentOverlap policy) {
  FLOWLOOM_DCHECK(window.added.begin < window.added.end);
  std::fill_n(window.taken.begin(), window.words, 0);
  switch (policy) {
    case FragmentOverlap::Bsd:
      return resolve_bsd(window);
    case FragmentOverlap::BsdRight:
      return resolve_bsd_right(window);
    case FragmentOverlap::First:
      return resolve_first(window);
    case FragmentOverlap::Last:
      return resolve_last(window);
    case FragmentOverlap::Linux:
      return resolve_linux(window);
    case FragmentOverlap::LinuxModern:
      return resolve_linux_modern(window);
    case FragmentOverlap::Solaris:
      return resolve_swallowing(window, SameEnd::Yields);
    case FragmentOverlap::Windows:
      return resolve_swallowing(window, SameEnd::Stays);
    case FragmentOverlap::Discard:
      return resolve_discard(window);
  }
  return OverlapDecision::Discard;
}

void insert_without_overlap(UnitWindow& window, FragmentOverlap policy) {
  std::fill_n(window.taken.begin(), window.words, 0);
  unit_bits::set(window.taken, window.added);
  // Linux joins a fragment to the run before only at the very end of the queue.
  const bool joins = policy == FragmentOverlap::LinuxModern &&
                     static_cast<std::int32_t>(window.added.begin) == window.queue_end;
  if (!joins) unit_bits::set(window.starts, {window.added.begin, window.added.begin + 1});
}

}  // namespace flowloom
