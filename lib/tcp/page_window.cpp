#include "tcp/page_window.hpp"

#include <algorithm>
#include <bit>

namespace flowloom {

namespace {

constexpr std::uint32_t kBits = 64;
constexpr std::uint64_t kAll = ~std::uint64_t{0};

/// The bits of the word at position `first` that lie in the range.
std::uint64_t mask_of(std::uint32_t first, PositionRange range) {
  std::uint64_t mask = kAll;
  if (range.begin > first) mask &= kAll << (range.begin - first);
  if (range.end < first + kBits) mask &= ~(kAll << (range.end - first));
  return mask;
}

std::uint32_t word_begin(std::uint32_t at) { return at / kBits * kBits; }
std::uint32_t word_in_page(std::uint32_t at) { return at % kPageBytes / kBits; }

}  // namespace

bool PageWindow::present_before(std::uint32_t at) const {
  if (at > 0) return present(at - 1);
  return before_ != nullptr && (before_->present[kPageWords - 1] >> (kBits - 1)) != 0;
}

std::uint32_t PageWindow::next(Bitmap bits, PositionRange range, std::uint64_t flip) const {
  for (std::uint32_t at = word_begin(range.begin); at < range.end; at += kBits) {
    const ReorderPage* page = pages_[at / kPageBytes];
    const std::uint64_t word = page != nullptr ? (page->*bits)[word_in_page(at)] : 0;
    const std::uint64_t hits = (word ^ flip) & mask_of(at, range);
    if (hits != 0) return at + static_cast<std::uint32_t>(std::countr_zero(hits));
  }
  return range.end;
}

std::uint32_t PageWindow::next_set(Bitmap bits, PositionRange range) const {
  return next(bits, range, 0);
}

std::uint32_t PageWindow::next_clear(Bitmap bits, PositionRange range) const {
  return next(bits, range, kAll);
}

std::uint32_t PageWindow::last_set(Bitmap bits, PositionRange range) const {
  if (range.begin >= range.end) return range.end;
  for (std::uint32_t at = word_begin(range.end - 1) + kBits; at > word_begin(range.begin);) {
    at -= kBits;
    const std::uint64_t hits = (page_of(at).*bits)[word_in_page(at)] & mask_of(at, range);
    if (hits != 0) return at + kBits - 1 - static_cast<std::uint32_t>(std::countl_zero(hits));
  }
  return range.end;
}

std::uint32_t PageWindow::count(Bitmap bits, PositionRange range) const {
  int sum = 0;
  for (std::uint32_t at = word_begin(range.begin); at < range.end; at += kBits) {
    sum += std::popcount((page_of(at).*bits)[word_in_page(at)] & mask_of(at, range));
  }
  return static_cast<std::uint32_t>(sum);
}

void PageWindow::set(Bitmap bits, PositionRange range) {
  for (std::uint32_t at = word_begin(range.begin); at < range.end; at += kBits) {
    (page_of(at).*bits)[word_in_page(at)] |= mask_of(at, range);
  }
}

void PageWindow::clear(Bitmap bits, PositionRange range) {
  for (std::uint32_t at = word_begin(range.begin); at < range.end; at += kBits) {
    (page_of(at).*bits)[word_in_page(at)] &= ~mask_of(at, range);
  }
}

void PageWindow::clear_first(Bitmap bits, PositionRange range, std::uint32_t n) {
  while (n > 0) {
    const std::uint32_t at = next_set(bits, range);
    if (at == range.end) return;
    clear(bits, {at, at + 1});
    range.begin = at + 1;
    --n;
  }
}

std::uint32_t PageWindow::piece_end(std::uint32_t at, std::uint32_t limit) const {
  const PositionRange rest{at + 1, limit};
  return next_set(&ReorderPage::starts, {rest.begin, next_clear(&ReorderPage::present, rest)});
}

std::int32_t PageWindow::unseen_at(std::uint32_t at) const {
  const PositionRange before{at / kPageBytes * kPageBytes, at + 1};
  return page_of(at).unseen + static_cast<std::int32_t>(count(&ReorderPage::marks, before)) -
         static_cast<std::int32_t>(count(&ReorderPage::starts, before));
}

void PageWindow::recount_unseen(PositionRange range) {
  for (std::uint32_t i = range.begin / kPageBytes + 1; i <= range.end / kPageBytes; ++i) {
    if (pages_[i] != nullptr) pages_[i]->unseen = unseen_at(i * kPageBytes - 1);
  }
}

}  // namespace flowloom
