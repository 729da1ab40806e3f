// The bytes of datagrams in progress: which units are there, and the kept copy of each. A datagram
// is a radix tree of small pages, so it costs memory where it has bytes, and finding a position
// costs the same however many fragments came before. There is no list of holes or fragments.
// Knows no headers, keys or time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "base/slab_pool.hpp"
#include "ip/fragment_overlap.hpp"

namespace flowloom {

/// One word of the bitmaps and its bytes. Small, because the cheapest attack sends one unit a page.
struct FragmentPage {
  static constexpr std::uint32_t kUnits = UnitWindow::kWordBits;
  static constexpr std::uint32_t kBytes = kUnits * kUnitBytes;
  std::uint32_t present;  ///< also the pool's free list
  std::uint32_t starts;   ///< where pieces begin (UnitWindow)
  std::array<std::uint8_t, kBytes> bytes;
};
static_assert(sizeof(FragmentPage) == 264);

/// One line: a node of a tree, or up to 64 bytes of header.
struct FragmentCell {
  static constexpr std::uint32_t kFanout = 16;
  static constexpr std::uint32_t kBytes = kFanout * sizeof(std::uint32_t);
  std::array<std::uint32_t, kFanout> child;  ///< index + 1 of a page or cell; 0: none
};
static_assert(sizeof(FragmentCell) == 64);

/// One datagram's tree. All zero is an empty one. A tree of height 0 is a page, one of height 1 a
/// cell of pages; height 2 spans 65,536 bytes.
struct FragmentMap {
  std::uint32_t root;       ///< index + 1
  std::uint16_t units;      ///< present
  std::uint16_t queue_end;  ///< the furthest unit present, plus one
  std::uint16_t pages;      ///< taken from the pool
  std::uint16_t height;
};

/// What became of a fragment's bytes.
struct FragmentInsertion {
  OverlapDecision decision;
  bool overlapped;  ///< units of it were there
  bool conflict;    ///< with other bytes
  std::uint32_t overlapped_pieces;  ///< of the queue, whose units were among them
};

/// The pages of all datagrams of one shard.
class FragmentStore {
 public:
  FragmentStore() = default;
  FragmentStore(std::uint32_t pages, std::uint32_t cells) : pages_(pages), cells_(cells) {}

  /// Pages and cells that one fragment or header can need at most.
  struct Need {
    std::uint32_t pages;
    std::uint32_t cells;
  };
  static Need need_for(UnitRange range);
  [[nodiscard]] bool has(Need need) const {
    return pages_.capacity() - pages_.in_use() >= need.pages &&
           cells_.capacity() - cells_.in_use() >= need.cells;
  }

  /// Adds `data`, which begins at `first_unit`. Only the last fragment ends inside a unit.
  /// Into `losers`, unless it is null, goes the copy that is not taken of every unit whose copies
  /// differ; a third copy of a unit is not kept.
  /// Preconditions: data is not empty and ends within kMaxUnits; has(need_for(its range)), for
  /// each map.
  FragmentInsertion insert(FragmentMap& map, std::uint32_t first_unit, ByteView data,
                           FragmentOverlap policy, FragmentMap* losers);

  /// Copies the first to.size() bytes. Preconditions: all of their units are present.
  void copy_out(const FragmentMap& map, std::span<std::uint8_t> to) const;

  /// The first run of present units that begins at `from` or later; an empty one where none does.
  [[nodiscard]] UnitRange next_run(const FragmentMap& map, std::uint32_t from) const;

  /// The bytes of present units as far as they lie together: of `range` the first ones.
  /// Preconditions: the range is not empty, its units are present.
  [[nodiscard]] ByteView piece(const FragmentMap& map, UnitRange range) const;

  /// Room for a map outside of a datagram; the handle is 0 for none. A cell each.
  /// Preconditions of keep: handle is 0 and has({0, 1}), or it was returned before.
  [[nodiscard]] FragmentMap kept_map(std::uint32_t handle) const;
  std::uint32_t keep_map(std::uint32_t handle, const FragmentMap& map);
  void give_map_back(std::uint32_t handle);

  /// Gives all memory of the datagram back.
  void clear(FragmentMap& map);

  /// Room for a header of up to FragmentPage::kBytes; the handle is 0 for none.
  /// Preconditions: has(kHeaderNeed).
  static constexpr Need kHeaderNeed{1, 1};
  std::uint32_t take_header(std::size_t bytes);
  std::uint8_t* header(std::uint32_t handle, std::size_t bytes);
  void give_header_back(std::uint32_t handle, std::size_t bytes);

  [[nodiscard]] std::uint32_t pages_in_use() const { return pages_.in_use(); }
  [[nodiscard]] std::uint32_t cells_in_use() const { return cells_.in_use(); }
  [[nodiscard]] std::size_t bytes() const { return pages_.bytes() + cells_.bytes(); }

 private:
  [[nodiscard]] const FragmentPage* find(const FragmentMap& map, std::uint32_t page) const;
  FragmentPage& obtain(FragmentMap& map, std::uint32_t page);
  void grow(FragmentMap& map, std::uint32_t page);
  void load(const FragmentMap& map, UnitRange range, UnitWindow& window) const;
  [[nodiscard]] bool same_bytes(const FragmentMap& map, const UnitWindow& window,
                                std::uint32_t first_page, ByteView data) const;
  void keep_losers(FragmentMap& losers, const FragmentMap& map, const UnitWindow& window,
                   std::uint32_t first_page, ByteView data);
  void store(FragmentMap& map, const UnitWindow& window, std::uint32_t first_page, ByteView data);
  void give_children_back(std::uint32_t cell);

  SlabPool<FragmentPage> pages_;
  SlabPool<FragmentCell> cells_;
};

}  // namespace flowloom
