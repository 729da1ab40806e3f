// Bytes that arrived before their turn: held by position, not by segment, in pages of one pool.
//
// A page covers 2 KiB of one direction's stream and knows of each byte whether it is present and
// whether a piece (what one segment contributed) starts there; that is all an overlap policy
// needs. The pages of a direction form a treap keyed by page number. So an insertion costs
// O(log pages + bytes / 64), whatever the segments look like, and memory never exceeds the span
// that is buffered (Dharmapurikar and Paxson, 2005).
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "base/slab_pool.hpp"
#include "net/stream_offset.hpp"
#include "tcp/overlap_policy.hpp"

namespace flowloom {

inline constexpr std::uint32_t kPageBytes = 2048;

/// One page of reordered bytes. `number` * kPageBytes is the position of its first byte.
struct ReorderPage {
  std::uint32_t left;
  std::uint32_t right;
  std::uint32_t priority;
  std::uint32_t owner;  ///< who to ask when memory is short: connection index * 2 + direction
  std::int64_t number;
  std::uint32_t count;  ///< present bytes
  std::uint64_t present[kPageBytes / 64];
  std::uint64_t starts[kPageBytes / 64];
  std::uint8_t bytes[kPageBytes];
};

/// The pages of one shard; memory for all its directions.
class ReorderPool {
 public:
  ReorderPool() = default;
  explicit ReorderPool(std::uint32_t pages) : pages_(pages) {}

  /// A page without bytes, or kNoIndex.
  std::uint32_t take();
  void give_back(std::uint32_t page) {
    pages_[page].count = 0;
    pages_.give_back(page);
  }
  ReorderPage& operator[](std::uint32_t page) { return pages_[page]; }
  const ReorderPage& operator[](std::uint32_t page) const { return pages_[page]; }
  [[nodiscard]] std::uint32_t in_use() const { return pages_.in_use(); }
  [[nodiscard]] std::uint32_t capacity() const { return pages_.capacity(); }
  /// The owner of a page in use, chosen by `random`; kNoIndex when none is in use.
  [[nodiscard]] std::uint32_t random_owner(std::uint64_t random) const;
  [[nodiscard]] std::size_t bytes() const { return pages_.bytes(); }

 private:
  SlabPool<ReorderPage> pages_;
  std::uint64_t sequence_ = 0;
};

/// What became of the bytes of one insertion.
struct InsertResult {
  std::uint64_t fresh = 0;      ///< now held, at positions that were empty
  std::uint64_t duplicate = 0;  ///< equal to bytes already held
  std::uint64_t overlap = 0;    ///< bytes of either copy that lost to different ones
  std::uint64_t no_memory = 0;  ///< at positions for which no page could be had
};

/// The held bytes of one direction. All-zero is an empty queue.
class ReorderQueue {
 public:
  /// Holds `bytes` at `offset`; who wins where bytes are already held is the policy's business.
  /// `page_limit` bounds the pages of this queue.
  InsertResult insert(ReorderPool& pool, StreamOffset offset, ByteView bytes, OverlapPolicy policy,
                      std::uint32_t owner, std::uint32_t page_limit);

  [[nodiscard]] bool empty() const { return pages_ == 0; }
  [[nodiscard]] std::uint32_t pages() const { return pages_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

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
  /// empty between others is given back when those before it are.
  std::uint64_t forget(ReorderPool& pool, StreamOffset begin, StreamOffset end);
  /// Gives all pages back; returns how many bytes were held.
  std::uint64_t clear(ReorderPool& pool);

  /// Moves the origin: what was at `offset` is now at 0. Used once, when a stream picked up
  /// mid-stream learns where it starts.
  void rebase(StreamOffset offset) { base_ += offset; }

 private:
  struct Span {  // a byte range within one page
    std::uint32_t begin;
    std::uint32_t end;
  };
  /// How far the walk over an incoming segment has come.
  enum class Phase : std::uint8_t {
    Start,     // at its first byte
    OldPiece,  // within the held piece that covers its first byte
    Between,   // the next byte written begins a piece
    Own        // the next byte written continues the segment's own piece
  };
  static void insert_in_page(ReorderPage& page, Span span, const std::uint8_t* bytes,
                             OverlapPolicy policy, Phase& phase, InsertResult& result);
  static bool held_wins(const ReorderPage& page, std::uint32_t at, OverlapPolicy policy,
                        Phase phase);
  static void write(ReorderPage& page, Span range, const std::uint8_t* bytes, Phase& phase);
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
