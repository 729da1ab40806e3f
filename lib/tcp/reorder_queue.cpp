#include "tcp/reorder_queue.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.hpp"
#include "base/hash.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kWordBits = 64;

bool test(const std::uint64_t* bits, std::uint32_t i) {
  return ((bits[i / kWordBits] >> (i % kWordBits)) & 1) != 0;
}

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

// BSD's tcp_reass: the held piece that covers the segment's first byte keeps its bytes, every
// piece that starts later gives way.
bool ReorderQueue::held_wins(const ReorderPage& page, std::uint32_t at, OverlapPolicy policy,
                             Phase phase) {
  switch (policy) {
    case OverlapPolicy::First:
      return true;
    case OverlapPolicy::Last:
      return false;
    case OverlapPolicy::Bsd:
      return phase == Phase::Start || (phase == Phase::OldPiece && !test(page.starts, at));
  }
  return true;
}

void ReorderQueue::write(ReorderPage& page, Span range, const std::uint8_t* bytes, Phase& phase) {
  std::memcpy(page.bytes + range.begin, bytes, range.end - range.begin);
  assign_bits(page.present, range.begin, range.end, true);
  assign_bits(page.starts, range.begin, range.end, false);
  if (phase != Phase::Own) assign_bits(page.starts, range.begin, range.begin + 1, true);
  phase = Phase::Own;
}

// Walks the segment in runs of held and of empty positions; the policy decides the held ones.
void ReorderQueue::insert_in_page(ReorderPage& page, Span span, const std::uint8_t* bytes,
                                  OverlapPolicy policy, Phase& phase, InsertResult& result) {
  std::uint32_t at = span.begin;
  while (at < span.end) {
    const std::uint8_t* const from = bytes + (at - span.begin);
    const bool held = test(page.present, at);
    std::uint32_t end = find_bit(page.present, at, span.end, !held);
    if (!held) {
      write(page, {at, end}, from, phase);
      page.count += end - at;
      result.fresh += end - at;
      at = end;
      continue;
    }
    const bool keep = held_wins(page, at, policy, phase);
    if (keep && policy == OverlapPolicy::Bsd) end = find_bit(page.starts, at + 1, end, true);
    std::uint64_t equal = 0;
    for (std::uint32_t i = at; i < end; ++i) equal += page.bytes[i] == from[i - at];
    result.duplicate += equal;
    result.overlap += (end - at) - equal;
    if (keep) {
      phase = policy == OverlapPolicy::Bsd ? Phase::OldPiece : Phase::Between;
    } else {
      write(page, {at, end}, from, phase);
      // What is left of a piece whose head was cut is a piece of its own.
      if (end == span.end && end < kPageBytes && test(page.present, end)) {
        assign_bits(page.starts, end, end + 1, true);
      }
    }
    at = end;
  }
}

InsertResult ReorderQueue::insert(ReorderPool& pool, StreamOffset offset, ByteView bytes,
                                  OverlapPolicy policy, std::uint32_t owner,
                                  std::uint32_t page_limit) {
  InsertResult result;
  StreamOffset at = offset + base_;
  const StreamOffset end = at + static_cast<StreamOffset>(bytes.size());
  const std::uint8_t* from = bytes.data();
  Phase phase = Phase::Start;
  while (at < end) {
    const Span span{in_page(at), static_cast<std::uint32_t>(std::min<StreamOffset>(
                                     kPageBytes, in_page(at) + (end - at)))};
    std::uint32_t page = find(pool, page_number(at));
    if (page == 0 && pages_ < page_limit) {
      page = pool.take() + 1; // kNoIndex + 1 == 0
      if (page != 0) {
        pool[page - 1].number = page_number(at);
        pool[page - 1].owner = owner;
        link(pool, page);
      }
    }
    if (page == 0) {
      result.no_memory += span.end - span.begin;
      phase = Phase::Between;
    } else {
      insert_in_page(pool[page - 1], span, from, policy, phase, result);
    }
    from += span.end - span.begin;
    at += span.end - span.begin;
  }
  if (phase == Phase::Own && in_page(end) == 0) { // the next page may hold a piece we cut short
    const std::uint32_t next = find(pool, page_number(end));
    if (next != 0 && test(pool[next - 1].present, 0)) {
      assign_bits(pool[next - 1].starts, 0, 1, true);
    }
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
    assign_bits(page.starts, lower, upper, false);
    // What is left of a piece whose head was forgotten is a piece of its own.
    if (upper < kPageBytes && test(page.present, upper)) {
      assign_bits(page.starts, upper, upper + 1, true);
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
