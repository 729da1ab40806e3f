#include "ip/fragment_map.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kFanoutBits = 4;
static_assert(FragmentCell::kFanout == 1U << kFanoutBits);
constexpr std::uint32_t kChildMask = FragmentCell::kFanout - 1;
constexpr std::uint32_t kMaxHeight = 2;
static_assert(kMaxUnits <= FragmentPage::kUnits << (kFanoutBits * kMaxHeight));

// Which child of a node of this height leads to the page.
std::uint32_t child_of(std::uint32_t page, std::uint32_t height) {
  return page >> (kFanoutBits * (height - 1)) & kChildMask;
}

bool spans(std::uint32_t height, std::uint32_t page) {
  return page >> (kFanoutBits * height) == 0;
}

// The runs of set bits in a word, from the lowest, as units of the page.
template <class Visit>
void for_each_run(std::uint32_t bits, Visit&& visit) {
  while (bits != 0) {
    const auto begin = static_cast<std::uint32_t>(std::countr_zero(bits));
    const auto length = static_cast<std::uint32_t>(std::countr_one(bits >> begin));
    visit(UnitRange{begin, begin + length});
    const std::uint32_t end = begin + length;
    bits = end < UnitWindow::kWordBits ? bits >> end << end : 0;
  }
}

// Where bytes of a run lie in the page, and where in a fragment that begins at unit `begin` of the
// window; the last unit of a datagram may be cut short.
struct RunBytes {
  std::size_t in_page;
  std::size_t in_data;
  std::size_t count;
};

RunBytes bytes_of(UnitRange run, std::uint32_t word, std::uint32_t begin, std::size_t data_bytes) {
  const std::size_t first = std::size_t{word} * UnitWindow::kWordBits + run.begin - begin;
  const std::size_t in_data = first * kUnitBytes;
  const std::size_t count = std::size_t{run.end - run.begin} * kUnitBytes;
  return {std::size_t{run.begin} * kUnitBytes, in_data, std::min(count, data_bytes - in_data)};
}

}  // namespace

FragmentStore::Need FragmentStore::need_for(UnitRange range) {
  const std::uint32_t first = range.begin / FragmentPage::kUnits;
  const std::uint32_t pages = (range.end - 1) / FragmentPage::kUnits - first + 1;
  // A cell for every kFanout pages and two for those at both ends; two for the tree to grow.
  return {pages, pages / FragmentCell::kFanout + 2 + kMaxHeight};
}

FragmentInsertion FragmentStore::insert(FragmentMap& map, std::uint32_t first_unit, ByteView data,
                                        FragmentOverlap policy, FragmentMap* losers) {
  const auto units = static_cast<std::uint32_t>((data.size() + kUnitBytes - 1) / kUnitBytes);
  const UnitRange range{first_unit, first_unit + units};
  FLOWLOOM_DCHECK(!data.empty() && range.end <= kMaxUnits);
  const std::uint32_t first_page = range.begin / FragmentPage::kUnits;
  UnitWindow window;  // only the words in use are initialised
  load(map, range, window);

  FragmentInsertion result{OverlapDecision::Insert, false, false, 0};
  result.overlapped = unit_bits::next_set(window.present, window.added) != window.added.end;
  if (!result.overlapped) [[likely]] {
    insert_without_overlap(window, policy);
  } else {
    result.conflict = !same_bytes(map, window, first_page, data);
    result.overlapped_pieces = count_overlapped_pieces(window);
    window.content = result.conflict ? OverlapContent::Differs : OverlapContent::Same;
    result.decision = resolve_overlap(window, policy);
    const bool contested = result.conflict && result.decision != OverlapDecision::Discard;
    if (contested && losers != nullptr) keep_losers(*losers, map, window, first_page, data);
  }
  if (result.decision == OverlapDecision::Insert) {
    store(map, window, first_page, data);
    map.queue_end = std::max(map.queue_end, static_cast<std::uint16_t>(range.end));
  }
  return result;
}

void FragmentStore::load(const FragmentMap& map, UnitRange range, UnitWindow& window) const {
  const std::uint32_t first_page = range.begin / FragmentPage::kUnits;
  const std::uint32_t first_unit = first_page * FragmentPage::kUnits;
  window.added = {range.begin - first_unit, range.end - first_unit};
  window.words = window.added.end / FragmentPage::kUnits + 1;
  window.queue_end = map.root == 0 ? UnitWindow::kNoQueue
                                   : static_cast<std::int32_t>(map.queue_end) -
                                         static_cast<std::int32_t>(first_unit);
  window.content = OverlapContent::Same;
  for (std::uint32_t i = 0; i < window.words; ++i) {
    const FragmentPage* page = find(map, first_page + i);
    window.present[i] = page != nullptr ? page->present : 0;
    window.starts[i] = page != nullptr ? page->starts : 0;
  }
}

bool FragmentStore::same_bytes(const FragmentMap& map, const UnitWindow& window,
                               std::uint32_t first_page, ByteView data) const {
  UnitWindow::Words mine;
  std::fill_n(mine.begin(), window.words, 0);
  unit_bits::set(mine, window.added);
  bool same = true;
  for (std::uint32_t i = 0; i < window.words && same; ++i) {
    const std::uint32_t both = mine[i] & window.present[i];
    if (both == 0) continue;
    const FragmentPage* page = find(map, first_page + i);
    for_each_run(both, [&](UnitRange run) {
      const RunBytes at = bytes_of(run, i, window.added.begin, data.size());
      same = same &&
             std::memcmp(page->bytes.data() + at.in_page, data.data() + at.in_data, at.count) == 0;
    });
  }
  return same;
}

// Preconditions: the decision has been taken and nothing of it is stored yet.
void FragmentStore::keep_losers(FragmentMap& losers, const FragmentMap& map,
                                const UnitWindow& window, std::uint32_t first_page,
                                ByteView data) {
  UnitWindow::Words mine;
  std::fill_n(mine.begin(), window.words, 0);
  unit_bits::set(mine, window.added);
  for (std::uint32_t i = 0; i < window.words; ++i) {
    const FragmentPage* kept = find(losers, first_page + i);
    std::uint32_t both = mine[i] & window.present[i] & ~(kept != nullptr ? kept->present : 0);
    const FragmentPage* page = find(map, first_page + i);
    for (; both != 0; both &= both - 1) {
      const auto unit = static_cast<std::uint32_t>(std::countr_zero(both));
      const RunBytes at = bytes_of({unit, unit + 1}, i, window.added.begin, data.size());
      const std::uint8_t* held = page->bytes.data() + at.in_page;
      const std::uint8_t* arrived = data.data() + at.in_data;
      if (std::memcmp(held, arrived, at.count) == 0) continue;
      const std::uint32_t bit = 1U << unit;
      FragmentPage& loser = obtain(losers, first_page + i);
      std::memcpy(loser.bytes.data() + at.in_page,
                  (window.taken[i] & bit) != 0 ? held : arrived, at.count);
      loser.present |= bit;
      ++losers.units;
    }
  }
}

void FragmentStore::store(FragmentMap& map, const UnitWindow& window, std::uint32_t first_page,
                          ByteView data) {
  for (std::uint32_t i = 0; i < window.words; ++i) {
    const std::uint32_t present = window.present[i] | window.taken[i];
    if (present == 0) continue;  // nothing here, nor beyond the fragment
    FragmentPage& page = obtain(map, first_page + i);
    for_each_run(window.taken[i], [&](UnitRange run) {
      const RunBytes at = bytes_of(run, i, window.added.begin, data.size());
      std::memcpy(page.bytes.data() + at.in_page, data.data() + at.in_data, at.count);
    });
    map.units = static_cast<std::uint16_t>(map.units + std::popcount(present) -
                                           std::popcount(page.present));
    page.present = present;
    page.starts = window.starts[i];
  }
}

const FragmentPage* FragmentStore::find(const FragmentMap& map, std::uint32_t page) const {
  if (map.root == 0 || !spans(map.height, page)) return nullptr;
  std::uint32_t at = map.root;
  for (std::uint32_t height = map.height; height > 0 && at != 0; --height) {
    at = cells_[at - 1].child[child_of(page, height)];
  }
  return at != 0 ? &pages_[at - 1] : nullptr;
}

// Puts new roots above the old one until the page is within reach.
void FragmentStore::grow(FragmentMap& map, std::uint32_t page) {
  while (!spans(map.height, page)) {
    if (map.root != 0) {
      const std::uint32_t cell = cells_.take();
      FLOWLOOM_DCHECK(cell != kNoIndex);
      cells_[cell].child[0] = map.root;
      map.root = cell + 1;
    }
    ++map.height;
  }
}

FragmentPage& FragmentStore::obtain(FragmentMap& map, std::uint32_t page) {
  grow(map, page);
  std::uint32_t* at = &map.root;
  for (std::uint32_t height = map.height; height > 0; --height) {
    if (*at == 0) *at = cells_.take() + 1;
    FLOWLOOM_DCHECK(*at != 0);
    at = &cells_[*at - 1].child[child_of(page, height)];
  }
  if (*at == 0) {
    *at = pages_.take() + 1;
    FLOWLOOM_DCHECK(*at != 0);
    ++map.pages;
  }
  return pages_[*at - 1];
}

void FragmentStore::copy_out(const FragmentMap& map, std::span<std::uint8_t> to) const {
  for (std::size_t done = 0; done < to.size();) {
    const FragmentPage* page = find(map, static_cast<std::uint32_t>(done / FragmentPage::kBytes));
    FLOWLOOM_DCHECK(page != nullptr);
    const std::size_t count = std::min<std::size_t>(to.size() - done, FragmentPage::kBytes);
    std::memcpy(to.data() + done, page->bytes.data(), count);
    done += count;
  }
}

UnitRange FragmentStore::next_run(const FragmentMap& map, std::uint32_t from) const {
  constexpr std::uint32_t kPages = kMaxUnits / FragmentPage::kUnits + 1;
  UnitRange run{from, from};
  for (std::uint32_t i = from / FragmentPage::kUnits; i < kPages; ++i) {
    const std::uint32_t first = i * FragmentPage::kUnits;
    const FragmentPage* page = find(map, i);
    std::uint32_t bits = page != nullptr ? page->present : 0;
    if (first < from) bits = bits >> (from - first) << (from - first);
    if (run.begin == run.end) {  // none so far
      if (bits == 0) continue;
      run.begin = run.end = first + static_cast<std::uint32_t>(std::countr_zero(bits));
    }
    const std::uint32_t at = run.end - first;  // in this page
    run.end += static_cast<std::uint32_t>(std::countr_one(bits >> at));
    if (run.end != first + FragmentPage::kUnits) break;
  }
  return run;
}

ByteView FragmentStore::piece(const FragmentMap& map, UnitRange range) const {
  const std::uint32_t page = range.begin / FragmentPage::kUnits;
  const std::uint32_t first = page * FragmentPage::kUnits;
  const std::uint32_t end = std::min(range.end, first + FragmentPage::kUnits);
  return {find(map, page)->bytes.data() + std::size_t{range.begin - first} * kUnitBytes,
          std::size_t{end - range.begin} * kUnitBytes};
}

FragmentMap FragmentStore::kept_map(std::uint32_t handle) const {
  static_assert(sizeof(FragmentMap) <= sizeof(FragmentCell));
  FragmentMap map{};
  if (handle != 0) std::memcpy(&map, &cells_[handle - 1], sizeof map);
  return map;
}

std::uint32_t FragmentStore::keep_map(std::uint32_t handle, const FragmentMap& map) {
  if (handle == 0) handle = cells_.take() + 1;
  FLOWLOOM_DCHECK(handle != 0);
  std::memcpy(static_cast<void*>(&cells_[handle - 1]), &map, sizeof map);
  return handle;
}

void FragmentStore::give_map_back(std::uint32_t handle) {
  if (handle == 0) return;
  FragmentMap map = kept_map(handle);
  clear(map);
  cells_.give_back(handle - 1);
}

// Of a cell whose children are pages.
void FragmentStore::give_children_back(std::uint32_t cell) {
  for (const std::uint32_t child : cells_[cell].child) {
    if (child != 0) pages_.give_back(child - 1);
  }
}

void FragmentStore::clear(FragmentMap& map) {
  if (map.root != 0) {
    const std::uint32_t root = map.root - 1;
    if (map.height == 0) {
      pages_.give_back(root);
    } else {
      if (map.height == 1) {
        give_children_back(root);
      } else {
        for (const std::uint32_t child : cells_[root].child) {
          if (child == 0) continue;
          give_children_back(child - 1);
          cells_.give_back(child - 1);
        }
      }
      cells_.give_back(root);
    }
  }
  map = {};
}

std::uint32_t FragmentStore::take_header(std::size_t bytes) {
  FLOWLOOM_DCHECK(bytes <= FragmentPage::kBytes);
  return (bytes <= FragmentCell::kBytes ? cells_.take() : pages_.take()) + 1;
}

std::uint8_t* FragmentStore::header(std::uint32_t handle, std::size_t bytes) {
  if (bytes > FragmentCell::kBytes) return pages_[handle - 1].bytes.data();
  return reinterpret_cast<std::uint8_t*>(cells_[handle - 1].child.data());
}

void FragmentStore::give_header_back(std::uint32_t handle, std::size_t bytes) {
  if (handle == 0) return;
  if (bytes <= FragmentCell::kBytes) {
    cells_.give_back(handle - 1);
  } else {
    pages_.give_back(handle - 1);
  }
}

}  // namespace flowloom
