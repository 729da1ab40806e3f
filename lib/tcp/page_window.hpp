// The pages that one segment lies in, side by side: positions count from the first page's first
// byte, and bits are found, counted and set a word at a time across page borders. What the overlap
// policies work on; moves no payload.
#pragma once

#include <array>
#include <cstdint>

namespace flowloom {

inline constexpr std::uint32_t kPageBytes = 2048;
inline constexpr std::uint32_t kPageWords = kPageBytes / 64;

/// One page of reordered bytes. `number` * kPageBytes is the position of its first byte.
struct ReorderPage {
  std::uint32_t left;
  std::uint32_t right;
  std::uint32_t priority;
  std::uint32_t owner;  ///< who to ask when memory is short: connection index * 2 + direction
  std::int64_t number;
  std::uint32_t count;  ///< present bytes
  std::int32_t unseen;  ///< marks minus starts in all pages before: see PageWindow::unseen_at
  std::uint64_t present[kPageWords];
  std::uint64_t starts[kPageWords];  ///< a piece begins here: what one segment contributed
  std::uint64_t marks[kPageWords];   ///< a second bit for policies that need it: overlap_rules.cpp
  std::uint8_t bytes[kPageBytes];
};
static_assert(sizeof(ReorderPage) == 2848);

/// Half-open, in positions of a window.
struct PositionRange {
  std::uint32_t begin;
  std::uint32_t end;
};

class PageWindow {
 public:
  /// As many pages as 64 KiB can touch; IP packets are no longer.
  static constexpr std::uint32_t kPagesMax = 65536 / kPageBytes + 1;
  using Bitmap = std::uint64_t (ReorderPage::*)[kPageWords];

  /// Pages are consecutive. One may follow that only ends what the segment overlaps: look_ahead.
  void append(ReorderPage* page) { pages_[count_++] = page; }
  void look_ahead(ReorderPage* page) { pages_[count_] = page; }
  void look_back(const ReorderPage* page) { before_ = page; }
  /// Where the first held byte stands; may lie before the window or far behind it.
  void set_front(std::int64_t front) { front_ = front; }

  [[nodiscard]] std::uint32_t pages() const { return count_; }
  [[nodiscard]] std::int64_t front() const { return front_; }
  [[nodiscard]] ReorderPage& page_of(std::uint32_t at) const { return *pages_[at / kPageBytes]; }

  [[nodiscard]] bool present(std::uint32_t at) const { return test(&ReorderPage::present, at); }
  [[nodiscard]] bool starts(std::uint32_t at) const { return test(&ReorderPage::starts, at); }
  [[nodiscard]] bool marked(std::uint32_t at) const { return test(&ReorderPage::marks, at); }
  /// Whether the byte before `at` is held.
  [[nodiscard]] bool present_before(std::uint32_t at) const;
  /// Whether a piece goes on over `at`: holds the byte there and the one before it.
  [[nodiscard]] bool runs_over(std::uint32_t at) const { return present(at) && !starts(at); }
  /// Where the piece that holds byte `at` ends, or `limit` if that comes first.
  [[nodiscard]] std::uint32_t piece_end(std::uint32_t at, std::uint32_t limit) const;

  /// First set (clear) bit of the range; its end where there is none.
  [[nodiscard]] std::uint32_t next_set(Bitmap bits, PositionRange range) const;
  [[nodiscard]] std::uint32_t next_clear(Bitmap bits, PositionRange range) const;
  /// Last set bit of the range; its end where there is none.
  [[nodiscard]] std::uint32_t last_set(Bitmap bits, PositionRange range) const;
  [[nodiscard]] std::uint32_t count(Bitmap bits, PositionRange range) const;
  void set(Bitmap bits, PositionRange range);
  void set(Bitmap bits, std::uint32_t at) {
    (page_of(at).*bits)[at % kPageBytes / 64] |= std::uint64_t{1} << (at % 64);
  }
  void clear(Bitmap bits, PositionRange range);
  /// Clears the first `n` set bits of the range.
  void clear_first(Bitmap bits, PositionRange range, std::uint32_t n);

  /// Marks minus starts up to and with `at`, over all pages.
  [[nodiscard]] std::int32_t unseen_at(std::uint32_t at) const;
  /// Brings ReorderPage::unseen up to date after marks or starts changed in the range.
  void recount_unseen(PositionRange range);

 private:
  [[nodiscard]] bool test(Bitmap bits, std::uint32_t at) const {
    const ReorderPage* page = pages_[at / kPageBytes];
    return page != nullptr && ((page->*bits)[at % kPageBytes / 64] >> (at % 64) & 1) != 0;
  }
  [[nodiscard]] std::uint32_t next(Bitmap bits, PositionRange range, std::uint64_t flip) const;

  std::array<ReorderPage*, kPagesMax + 1> pages_;  // the first count_ and one beyond are valid
  std::uint32_t count_ = 0;
  const ReorderPage* before_ = nullptr;
  std::int64_t front_ = 0;
};

}  // namespace flowloom
