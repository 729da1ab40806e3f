#include "tcp/reorder_queue.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.hpp"
#include "base/hash.hpp"
#include "tcp/overlap_rules.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kWordBits = 64;

/// The first position in [begin, end) whose bit equals `value`, or end.
std::uint32_t find_bit(const std::uint64_t* bits, std::uint32_t begin, std::uint32_t end,
                       bool value) {
  std::uint32_t i = begin;
  while (i < end) {
    std::uint64_t word = bits[i / kWordBits];
    if (!value) word = ~word;
    word >>= i % kWordBits;
    if (word != 0) return std::min(end, i + static_cast<std::uint32_t>(std::countr_zero(word)));
    i = (i / kWordBits + 1) * kWordBits;
  }
  return end;
}

void assign_bits(std::uint64_t* bits, std::uint32_t begin, std::uint32_t end, bool value) {
  while (begin < end) {
    const std::uint32_t in_word = std::min(end - begin, kWordBits - begin % kWordBits);
    const std::uint64_t ones = in_word == kWordBits ? ~std::uint64_t{0}
                                                    : ((std::uint64_t{1} << in_word) - 1);
    const std::uint64_t mask = ones << (begin % kWordBits);
    if (value) {
      bits[begin / kWordBits] |= mask;
    } else {
      bits[begin / kWordBits] &= ~mask;
    }
    begin += in_word;
  }
}

std::int64_t page_number(StreamOffset position) { return position >> std::countr_zero(kPageBytes); }
std::uint32_t in_page(StreamOffset position) {
  return static_cast<std::uint32_t>(position & (kPageBytes - 1));
}

}  // namespace

std::uint32_t ReorderPool::take() {
  const std::uint32_t page = pages_.take();
  if (page == kNoIndex) return kNoIndex;
  pages_[page].priority = static_cast<std::uint32_t>(mix(++sequence_, 0x9e3779b97f4a7c15));
  return page;
}

std::uint32_t ReorderPool::random_owner(std::uint64_t random) const {
  const std::uint32_t used = pages_.high_water();
  if (pages_.in_use() == 0) return kNoIndex;
  // Few tries find a page in use, because this is asked when (nearly) all are.
  for (std::uint32_t i = 0; i < used; ++i) {
    const auto page = static_cast<std::uint32_t>((random + i) % used);
    if (pages_[page].count > 0) return pages_[page].owner;
  }
  return kNoIndex;
}

std::uint32_t ReorderQueue::find(const ReorderPool& pool, std::int64_t number) const {
  std::uint32_t at = root_;
  while (at != 0 && pool[at - 1].number != number) {
    at = number < pool[at - 1].number ? pool[at - 1].left : pool[at - 1].right;
  }
  return at;
}

/// The first page at or behind `number`, or 0.
std::uint32_t ReorderQueue::find_from(const ReorderPool& pool, std::int64_t number) const {
  std::uint32_t best = 0;
  for (std::uint32_t at = root_; at != 0;) {
    if (pool[at - 1].number < number) {
      at = pool[at - 1].right;
    } else {
      best = at;
      at = pool[at - 1].left;
    }
  }
  return best;
}

// Treap insertion without recursion: go down to where the new page's priority belongs, hang it
// there, and split what was below into the parts before and after it.
void ReorderQueue::link(ReorderPool& pool, std::uint32_t page) {
  ReorderPage& fresh = pool[page - 1];
  std::uint32_t* place = &root_;
  while (*place != 0 && pool[*place - 1].priority >= fresh.priority) {
    ReorderPage& node = pool[*place - 1];
    place = fresh.number < node.number ? &node.left : &node.right;
  }
  std::uint32_t below = *place;
  *place = page;
  std::uint32_t* lower = &fresh.left;
  std::uint32_t* upper = &fresh.right;
  while (below != 0) {
    ReorderPage& node = pool[below - 1];
    if (node.number < fresh.number) {
      *lower = below;
      lower = &node.right;
      below = node.right;
    } else {
      *upper = below;
      upper = &node.left;
      below = node.left;
    }
  }
  *lower = *upper = 0;
  ++pages_;
  if (front_page_ == 0 || fresh.number < pool[front_page_ - 1].number) front_page_ = page;
}

std::uint32_t ReorderQueue::leftmost(const ReorderPool& pool) const {
  std::uint32_t at = root_;
  while (at != 0 && pool[at - 1].left != 0) at = pool[at - 1].left;
  return at;
}

void ReorderQueue::unlink_leftmost(ReorderPool& pool) {
  std::uint32_t* place = &root_;
  while (pool[*place - 1].left != 0) place = &pool[*place - 1].left;
  const std::uint32_t page = *place;
  *place = pool[page - 1].right;
  pool.give_back(page - 1);
  --pages_;
  front_page_ = leftmost(pool);
}

// The page with this number, taken if there is none; 0 where none can be had.
std::uint32_t ReorderQueue::page_at(ReorderPool& pool, std::int64_t number, const Terms& terms) {
  std::uint32_t page = find(pool, number);
  if (page != 0 || pages_ >= terms.page_limit) return page;
  page = pool.take() + 1; // kNoIndex + 1 == 0
  if (page == 0) return 0;
  pool[page - 1].number = number;
  pool[page - 1].owner = terms.owner;
  link(pool, page);
  return page;
}

// The pages from `begin` on, up to `end` or to the first that cannot be had.
PageWindow ReorderQueue::window_at(ReorderPool& pool, StreamOffset begin, StreamOffset end,
                                   const Terms& terms) {
  PageWindow window;
  const std::int64_t last = page_number(end - 1);
  for (std::int64_t n = page_number(begin); n <= last; ++n) {
    if (window.pages() == PageWindow::kPagesMax) break;
    const std::uint32_t page = page_at(pool, n, terms);
    if (page == 0) break;
    window.append(&pool[page - 1]);
  }
  return window;
}

// What policies ask beyond the segment's own pages.
void ReorderQueue::look_around(ReorderPool& pool, PageWindow& window, StreamOffset begin,
                               StreamOffset end, OverlapPolicy policy) {
  const std::uint32_t after = in_page(end) == 0 ? find(pool, page_number(end)) : 0;
  const std::uint32_t before = in_page(begin) == 0 ? find(pool, page_number(begin) - 1) : 0;
  window.look_ahead(after != 0 ? &pool[after - 1] : nullptr);
  window.look_back(before != 0 ? &pool[before - 1] : nullptr);
  if (!asks_for_front(policy)) return; // the front page may be far away
  const StreamOffset window_begin = page_number(begin) * kPageBytes;
  const ReorderPage& first = pool[front_page_ - 1];
  const StreamOffset front =
      first.number * kPageBytes + find_bit(first.present, 0, kPageBytes, true);
  // Pages just taken hold nothing yet: the front is what was held before.
  window.set_front(front - window_begin);
}

namespace {

/// Calls `visit(page, at, count)` for each page's part of the range; `at` counts within the page.
template <class Visit>
void for_each_page(const PageWindow& window, PositionRange range, Visit&& visit) {
  for (std::uint32_t at = range.begin; at < range.end;) {
    const std::uint32_t in = at % kPageBytes;
    const std::uint32_t count = std::min(kPageBytes - in, range.end - at);
    visit(window.page_of(at), in, count);
    at += count;
  }
}

/// What became of the bytes of a range that is held already.
struct Comparison {
  std::uint32_t differing = 0;
  PositionRange extent{0, 0};  ///< from the first that differs to the last
};

Comparison compare(const PageWindow& window, PositionRange range, const std::uint8_t* bytes) {
  Comparison result;
  std::uint32_t position = range.begin;
  for_each_page(window, range, [&](const ReorderPage& page, std::uint32_t in, std::uint32_t count) {
    const std::uint8_t* const held = page.bytes + in;
    if (std::memcmp(held, bytes, count) != 0) {
      for (std::uint32_t i = 0; i < count; ++i) {
        if (held[i] == bytes[i]) continue;
        if (result.differing++ == 0) result.extent.begin = position + i;
        result.extent.end = position + i + 1;
      }
    }
    bytes += count;
    position += count;
  });
  return result;
}

void copy_in(PageWindow& window, PositionRange range, const std::uint8_t* bytes) {
  for_each_page(window, range, [&](ReorderPage& page, std::uint32_t in, std::uint32_t count) {
    std::memcpy(page.bytes + in, bytes, count);
    bytes += count;
  });
}

/// The held bytes of a range, in one piece of memory.
ByteView held_bytes(ReorderPool& pool, const PageWindow& window, PositionRange range) {
  const std::uint32_t size = range.end - range.begin;
  const std::uint32_t in = range.begin % kPageBytes;
  if (in + size <= kPageBytes) return {window.page_of(range.begin).bytes + in, size};
  std::uint8_t* to = pool.scratch();
  for_each_page(window, range, [&](const ReorderPage& page, std::uint32_t at, std::uint32_t count) {
    std::memcpy(to, page.bytes + at, count);
    to += count;
  });
  return {pool.scratch(), size};
}

}  // namespace

void ReorderQueue::place(ReorderPool& pool, PageWindow& window, PositionRange added,
                         PositionRange replaced, const Arrival& arrival, InsertResult& result) {
  using Winner = OverlapConflict::Winner;
  for (std::uint32_t at = added.begin, end = 0; at < added.end; at = end) {
    const std::uint8_t* const bytes = arrival.bytes + (at - added.begin);
    if (!window.present(at)) {
      end = window.next_set(&ReorderPage::present, {at, added.end});
      copy_in(window, {at, end}, bytes);
      window.set(&ReorderPage::present, {at, end});
      for_each_page(window, {at, end}, [](ReorderPage& page, std::uint32_t, std::uint32_t count) {
        page.count += count;
      });
      result.fresh += end - at;
      continue;
    }
    const bool wins = replaced.begin <= at && at < replaced.end;
    const std::uint32_t border = at < replaced.begin ? replaced.begin
                                 : wins              ? replaced.end
                                                     : added.end;
    end = window.next_clear(&ReorderPage::present, {at, border});
    const Comparison found = compare(window, {at, end}, bytes);
    result.duplicate += end - at - found.differing;
    result.overlap += found.differing;
    if (found.differing == 0) continue;
    if (arrival.observer != nullptr) {
      const PositionRange extent = found.extent;
      arrival.observer->on_conflict(
          {.position = arrival.position + (extent.begin - added.begin),
           .held = held_bytes(pool, window, extent),
           .arrived = {arrival.bytes + (extent.begin - added.begin), extent.end - extent.begin},
           .winner = wins ? Winner::Arrived : Winner::Held});
    }
    if (wins) copy_in(window, {at, end}, bytes);
  }
}

InsertResult ReorderQueue::insert(ReorderPool& pool, StreamOffset offset, ByteView bytes,
                                  const Terms& terms) {
  InsertResult result;
  StreamOffset at = offset + base_;
  const StreamOffset end = at + static_cast<StreamOffset>(bytes.size());
  Arrival arrival{bytes.data(), at, terms.observer};
  while (at < end) {
    PageWindow window = window_at(pool, at, end, terms);
    const std::uint32_t begin = in_page(at);
    const auto room = static_cast<StreamOffset>(window.pages() * kPageBytes - begin);
    StreamOffset size = std::min<StreamOffset>(room, end - at);
    if (window.pages() == 0) {
      size = std::min<StreamOffset>(kPageBytes - begin, end - at);
      result.no_memory += static_cast<std::uint64_t>(size);
    } else {
      look_around(pool, window, at, at + size, terms.policy);
      const PositionRange added{begin, begin + static_cast<std::uint32_t>(size)};
      const PositionRange replaced = settle_overlap(window, added, terms.policy);
      place(pool, window, added, replaced, arrival, result);
    }
    arrival.bytes += size;
    arrival.position += size;
    at += size;
  }
  bytes_ += result.fresh;
  return result;
}

StreamOffset ReorderQueue::front(const ReorderPool& pool) const {
  const ReorderPage& page = pool[front_page_ - 1];
  return page.number * kPageBytes + find_bit(page.present, 0, kPageBytes, true) - base_;
}

StreamOffset ReorderQueue::front_run_end(const ReorderPool& pool) const {
  std::uint32_t page = front_page_;
  std::uint32_t begin = find_bit(pool[page - 1].present, 0, kPageBytes, true);
  std::int64_t number = pool[page - 1].number;
  for (;;) {
    const std::uint32_t end = find_bit(pool[page - 1].present, begin, kPageBytes, false);
    if (end < kPageBytes) return number * kPageBytes + end - base_;
    page = find(pool, ++number);
    if (page == 0) return number * kPageBytes - base_;
    begin = 0;
  }
}

ByteView ReorderQueue::front_bytes(const ReorderPool& pool) const {
  const ReorderPage& page = pool[front_page_ - 1];
  const std::uint32_t begin = find_bit(page.present, 0, kPageBytes, true);
  const std::uint32_t end = find_bit(page.present, begin, kPageBytes, false);
  return {page.bytes + begin, end - begin};
}

void ReorderQueue::pop_front(ReorderPool& pool, std::size_t count) {
  ReorderPage& page = pool[front_page_ - 1];
  const std::uint32_t begin = find_bit(page.present, 0, kPageBytes, true);
  const auto end = begin + static_cast<std::uint32_t>(count);
  FLOWLOOM_DCHECK(find_bit(page.present, begin, end, false) == end);
  assign_bits(page.present, begin, end, false);
  page.count -= end - begin;
  bytes_ -= count;
  drop_empty_front(pool);
}

void ReorderQueue::drop_empty_front(ReorderPool& pool) {
  while (!empty() && pool[front_page_ - 1].count == 0) unlink_leftmost(pool);
}

std::uint64_t ReorderQueue::drop_before(ReorderPool& pool, StreamOffset offset) {
  std::uint64_t dropped = 0;
  while (!empty() && front(pool) < offset) {
    const auto room = static_cast<std::uint64_t>(offset - front(pool));
    const std::uint64_t count = std::min<std::uint64_t>(front_bytes(pool).size(), room);
    pop_front(pool, count);
    dropped += count;
  }
  return dropped;
}

std::uint64_t ReorderQueue::forget(ReorderPool& pool, StreamOffset begin, StreamOffset end) {
  const StreamOffset from = begin + base_;
  const StreamOffset to = end + base_;
  std::uint64_t forgotten = 0;
  std::uint32_t at = find_from(pool, page_number(from));
  while (at != 0 && pool[at - 1].number * kPageBytes < to) {
    ReorderPage& page = pool[at - 1];
    const StreamOffset first = page.number * kPageBytes;
    const auto lower = static_cast<std::uint32_t>(std::max<StreamOffset>(from - first, 0));
    const auto upper = static_cast<std::uint32_t>(std::min<StreamOffset>(to - first, kPageBytes));
    for (std::uint32_t i = find_bit(page.present, lower, upper, true); i < upper;) {
      const std::uint32_t run_end = find_bit(page.present, i, upper, false);
      assign_bits(page.present, i, run_end, false);
      page.count -= run_end - i;
      forgotten += run_end - i;
      i = find_bit(page.present, run_end, upper, true);
    }
    at = find_from(pool, page.number + 1);
  }
  bytes_ -= forgotten;
  drop_empty_front(pool);
  return forgotten;
}

std::uint64_t ReorderQueue::clear(ReorderPool& pool) {
  const std::uint64_t held = bytes_;
  while (!empty()) unlink_leftmost(pool);
  bytes_ = 0;
  return held;
}

}  // namespace flowloom
