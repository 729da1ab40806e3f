// See overlap_rules.hpp. What `marks` means is the policy's own business:
// - Linux and its kin: a segment that is still seen somewhere began here, though another one may be
//   seen at this place. Segments are never cut there, so each sees its start and its end; of two,
//   the one that starts later also ends later, or it would have been deleted. So what is seen of a
//   segment is one piece, its end is the segment's end, and pieces follow one another in the order
//   of the starts: the n-th mark belongs to the n-th piece, and counting finds one from the other.
// - Solaris: an element of no length, left by a cut, stands before the piece that starts here.
#include "tcp/overlap_rules.hpp"

namespace flowloom {

namespace {

constexpr PageWindow::Bitmap kPresent = &ReorderPage::present;
constexpr PageWindow::Bitmap kStarts = &ReorderPage::starts;
constexpr PageWindow::Bitmap kMarks = &ReorderPage::marks;

/// The held bytes stay, all of them.
PositionRange nothing_of(PositionRange added) { return {added.end, added.end}; }

/// The segment's bytes for the whole range, as one piece; what goes on behind it loses its head.
PositionRange take_piece(PageWindow& w, PositionRange range) {
  const bool cuts_head = w.runs_over(range.end);
  w.clear(kStarts, range);
  w.set(kStarts, range.begin);
  if (cuts_head) w.set(kStarts, range.end);
  return range;
}

// 4.4BSD's tcp_reass: the piece that covers the segment's first byte keeps its bytes, every piece
// that starts later gives way.
PositionRange settle_bsd(PageWindow& w, PositionRange added) {
  const std::uint32_t begin =
      w.present(added.begin) ? w.piece_end(added.begin, added.end) : added.begin;
  return begin < added.end ? take_piece(w, {begin, added.end}) : nothing_of(added);
}

// The same, but what touches is one piece. So pieces are what lies between holes.
PositionRange settle_freebsd12(const PageWindow& w, PositionRange added) {
  return {w.next_clear(kPresent, added), added.end};
}

/// Whether the segment becomes an element of the queue or part of the one before it.
enum class Place : std::uint8_t { Own, Joined };

/// The range is what will be seen of the segment. Segments that start later and do not end later
/// are no longer seen anywhere and lose their marks; `others` is where the pieces of those begin.
PositionRange cover(PageWindow& w, PositionRange added, PositionRange range, std::uint32_t others,
                    Place place) {
  const bool cuts_head = w.runs_over(added.end);
  const std::uint32_t met = w.count(kStarts, {others, added.end});
  const std::uint32_t gone = cuts_head && met > 0 ? met - 1 : met;
  w.clear(kStarts, range);
  w.clear_first(kMarks, {added.begin + 1, added.end}, gone);
  if (place == Place::Own) {
    w.set(kStarts, range.begin);
    w.set(kMarks, added.begin);
  }
  if (cuts_head) w.set(kStarts, added.end);
  w.recount_unseen({added.begin, added.end});
  return range;
}

// tcp_data_queue_ofo: segments stay whole and leave in the order of their starts, each giving what
// the ones before did not. So the smallest start wins; the same start: the longest; the same
// extent: the oldest.
PositionRange settle_linux(PageWindow& w, PositionRange added, OverlapPolicy policy) {
  const std::uint32_t begin = added.begin;
  if (!w.present(begin)) {
    const bool joins = policy == OverlapPolicy::LinuxModern && w.present_before(begin);
    return cover(w, added, added, begin, joins ? Place::Joined : Place::Own);
  }
  // To the piece of the last segment that starts no later than this one.
  std::uint32_t seen = begin;
  for (std::int32_t unseen = w.unseen_at(begin); unseen > 0; --unseen) {
    seen = w.next_set(kStarts, {seen + 1, added.end});
    if (seen == added.end) return nothing_of(added);
  }
  const std::uint32_t end = w.piece_end(seen, added.end + 1);
  const bool same_start = w.marked(begin);
  const bool same_extent = same_start && end == added.end;
  const bool newer_wins = policy == OverlapPolicy::OldLinux && same_extent;
  if (end >= added.end && !newer_wins) return nothing_of(added);
  return cover(w, added, {same_start ? seen : end, added.end}, end, Place::Own);
}

// illumos' tcp_reass_elim_overlap: an element reaches into its successors, deletes those it covers,
// and is cut where the first one starts that it does not cover; first the segment, then its
// predecessor. The head of the queue is the predecessor of what starts where it does. A cut may
// leave an element of no length; it matters at the head of the queue.
PositionRange settle_solaris(PageWindow& w, PositionRange added) {
  const std::uint32_t begin = added.begin;
  const bool at_front = w.front() == begin;
  const bool head_is_empty = at_front && w.marked(begin);
  const bool before_is_piece = at_front && !head_is_empty;
  const std::uint32_t successors =
      before_is_piece ? w.piece_end(begin, added.end) : begin;
  const std::uint32_t last = w.last_set(kStarts, {successors, added.end});
  const bool is_cut = last < added.end && w.runs_over(added.end);
  const std::uint32_t end = is_cut ? last : added.end;
  w.clear(kMarks, {successors, added.end});
  if (end == begin) {  // of no length now, and before the piece that cut it
    w.set(kMarks, begin);
    return nothing_of(added);
  }
  if (before_is_piece && successors >= end) return nothing_of(added);
  if (w.runs_over(begin) && w.piece_end(begin, end) >= end) return nothing_of(added);
  if (at_front) w.set(kMarks, begin);
  return take_piece(w, {begin, end});
}

// Snort's resolver: the piece on the left first, then those on the right one by one.
PositionRange settle_solaris_snort(PageWindow& w, PositionRange added) {
  const std::uint32_t begin = added.begin;
  const std::uint32_t past = added.end + 1;
  if (w.runs_over(begin) && w.piece_end(begin, past) >= added.end) return nothing_of(added);
  const bool is_duplicate = w.present(begin) && w.starts(begin) &&
                            w.piece_end(begin, past) == added.end;
  const bool gap_on_left = w.front() < begin && !w.present_before(begin);
  if (is_duplicate && gap_on_left) return nothing_of(added);
  const std::uint32_t last = w.last_set(kStarts, added);
  const bool is_cut = last < added.end && w.runs_over(added.end);
  const std::uint32_t end = is_cut ? last : added.end;
  return end > begin ? take_piece(w, {begin, end}) : nothing_of(added);
}

}  // namespace

PositionRange settle_overlap(PageWindow& window, PositionRange added, OverlapPolicy policy) {
  switch (policy) {
    case OverlapPolicy::Bsd:
      return settle_bsd(window, added);
    case OverlapPolicy::First:
      return nothing_of(added);
    case OverlapPolicy::Last:
      return added;
    case OverlapPolicy::Freebsd12:
      return settle_freebsd12(window, added);
    case OverlapPolicy::Linux:
    case OverlapPolicy::LinuxModern:
    case OverlapPolicy::OldLinux:
      return settle_linux(window, added, policy);
    case OverlapPolicy::Solaris:
      return settle_solaris(window, added);
    case OverlapPolicy::SolarisSnort:
      return settle_solaris_snort(window, added);
  }
  return nothing_of(added);
}

}  // namespace flowloom
