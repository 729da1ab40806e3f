// Bytes that arrived before their turn: held by position, not by segment, in pages of one pool.
//
// A page covers 2 KiB of one direction's stream and knows of each byte whether it is present and
// whether a piece (what one segment contributed) starts there; that and one more bit is all an
// overlap policy needs (overlap_rules.hpp). The pages of a direction form a treap keyed by page
// number. So an insertion costs O(log pages + bytes / 64 + pieces touched), whatever the segments
// look like, and memory never exceeds the span that is buffered (Dharmapurikar and Paxson, 2005).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/prefetch.hpp"
#include "base/slab_pool.hpp"
#include "net/stream_offset.hpp"
#include "tcp/overlap_policy.hpp"
#include "tcp/page_window.hpp"

namespace flowloom {

/// The pages of one shard; memory for all its directions.
class ReorderPool {
 public:
  ReorderPool() = default;
  explicit ReorderPool(std::uint32_t pages)
      : pages_(pages), scratch_(PageWindow::kPagesMax * kPageBytes) {}

  /// A page without bytes, or kNoIndex.
  std::uint32_t take();
  void give_back(std::uint32_t page) {
    pages_[page].count = 0;
    pages_.give_back(page);
  }
  ReorderPage& operator[](std::uint32_t page) { return pages_[page]; }
  const ReorderPage& operator[](std::uint32_t page) const { return pages_[page]; }
  /// All of a page but its payload.
  void prefetch(std::uint32_t page) const {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&pages_[page]);
    for (std::size_t at = 0; at < offsetof(ReorderPage, bytes); at += kCacheLine) {
      prefetch_line<PrefetchFor::Write>(bytes + at);
    }
  }
  [[nodiscard]] std::uint32_t in_use() const { return pages_.in_use(); }
  [[nodiscard]] std::uint32_t capacity() const { return pages_.capacity(); }
  /// The owner of a page in use, chosen by `random`; kNoIndex when none is in use.
  [[nodiscard]] std::uint32_t random_owner(std::uint64_t random) const;
  [[nodiscard]] std::size_t bytes() const { return pages_.bytes() + scratch_.bytes(); }
  /// Room for the bytes of one window, where they must stand together for a moment.
  [[nodiscard]] std::uint8_t* scratch() const { return scratch_.data(); }

 private:
  SlabPool<ReorderPage, offsetof(ReorderPage, bytes)> pages_;
  ReservedArray<std::uint8_t> scratch_;
  std::uint64_t sequence_ = 0;
};

/// What became of the bytes of one insertion.
struct InsertResult {
  std::uint64_t fresh = 0;      ///< now held, at positions that were empty
  std::uint64_t duplicate = 0;  ///< equal to bytes already held
  std::uint64_t overlap = 0;    ///< bytes of either copy that lost to different ones
  std::uint64_t no_memory = 0;  ///< at positions for which no page could be had
};

/// Where a segment and what is held have different bytes. Begins and ends with a byte that
/// differs; over the whole range the same copy wins. The position is the offset plus
/// ReorderQueue::base(): it stays what it is when the origin moves.
struct OverlapConflict {
  enum class Winner : std::uint8_t { Held, Arrived };

  StreamOffset position;
  ByteView held;
  ByteView arrived;
  Winner winner;
};

/// Told of conflicts, in ascending order for each segment, while both copies are still there.
class ConflictObserver {
 public:
  virtual ~ConflictObserver() = default;
  virtual void on_conflict(const OverlapConflict& conflict) = 0;
};

/// The held bytes of one direction. All-zero is an empty queue.
class ReorderQueue {
 public:
  /// How an insertion is done; the same for all of a direction.
  struct Terms {
    OverlapPolicy policy = OverlapPolicy::Bsd;
    std::uint32_t owner = 0;                  ///< ReorderPage::owner
    std::uint32_t page_limit = 0xffffffff;    ///< of this queue
    ConflictObserver* observer = nullptr;
  };

  /// Holds the bytes of one segment at `offset`; who wins where bytes are already held is the
  /// policy's business. Whole segments only: policies ask where one begins and ends.
  InsertResult insert(ReorderPool& pool, StreamOffset offset, ByteView bytes, const Terms& terms);

  [[nodiscard]] bool empty() const { return pages_ == 0; }
  [[nodiscard]] std::uint32_t pages() const { return pages_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  /// Its first page will be given back soon.
  void prefetch(const ReorderPool& pool) const {
    if (front_page_ != 0) pool.prefetch(front_page_ - 1);
  }
  /// Offset of the first held byte. Preconditions: not empty.
  [[nodiscard]] StreamOffset front(const ReorderPool& pool) const;
  /// End of the run of held bytes that begins at front(). Preconditions: not empty.
  [[nodiscard]] StreamOffset front_run_end(const ReorderPool& pool) const;

  /// The longest contiguous piece of memory that begins at front(). Preconditions: not empty.
  [[nodiscard]] ByteView front_bytes(const ReorderPool& pool) const;
  /// Forgets the first `count` held bytes. Preconditions: count <= front_bytes().size().
  void pop_front(ReorderPool& pool, std::size_t count);
  /// Forgets everything held before `offset`; returns how many bytes that were.
  std::uint64_t drop_before(ReorderPool& pool, StreamOffset offset);
  /// Forgets what is held in [begin, end); returns how many bytes that were. A page that becomes
  /// empty between others is given back when those before it are. Preconditions: the policy of all
  /// insertions was First, which does not ask where pieces begin.
  std::uint64_t forget(ReorderPool& pool, StreamOffset begin, StreamOffset end);
  /// Gives all pages back; returns how many bytes were held.
  std::uint64_t clear(ReorderPool& pool);

  /// Moves the origin: what was at `offset` is now at 0. Used once, when a stream picked up
  /// mid-stream learns where it starts.
  void rebase(StreamOffset offset) { base_ += offset; }
  /// Position of offset 0: 0 unless the origin was moved.
  [[nodiscard]] StreamOffset base() const { return base_; }

 private:
  /// A segment, or what is left of it.
  struct Arrival {
    const std::uint8_t* bytes;
    StreamOffset position;
    ConflictObserver* observer;
  };
  std::uint32_t page_at(ReorderPool& pool, std::int64_t number, const Terms& terms);
  PageWindow window_at(ReorderPool& pool, StreamOffset begin, StreamOffset end,
                       const Terms& terms);
  void look_around(ReorderPool& pool, PageWindow& window, StreamOffset begin, StreamOffset end,
                   OverlapPolicy policy);
  static void place(ReorderPool& pool, PageWindow& window, PositionRange added,
                    PositionRange replaced, const Arrival& arrival, InsertResult& result);
  std::uint32_t find(const ReorderPool& pool, std::int64_t number) const;
  std::uint32_t find_from(const ReorderPool& pool, std::int64_t number) const;
  void drop_empty_front(ReorderPool& pool);
  void link(ReorderPool& pool, std::uint32_t page);
  [[nodiscard]] std::uint32_t leftmost(const ReorderPool& pool) const;
  void unlink_leftmost(ReorderPool& pool);

  // Indices are stored plus one, so that zeroed memory is an empty tree.
  std::uint32_t root_ = 0;
  std::uint32_t pages_ = 0;
  std::uint32_t front_page_ = 0;
  std::uint64_t bytes_ = 0;
  StreamOffset base_ = 0;
};

}  // namespace flowloom
