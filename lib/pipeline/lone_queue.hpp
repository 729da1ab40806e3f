// First segments of one kind in the order in which they came, which is that of their time-outs and
// of their eviction. They stay in the ring where they are put: so neither order nor timers nor free
// places need links. Who goes out of turn leaves a hole, until all before it have gone.
#pragma once

#include <cstdint>

#include "base/check.hpp"
#include "base/memory.hpp"
#include "base/prefetch.hpp"
#include "base/slab_pool.hpp"
#include "pipeline/lone_segment.hpp"

namespace flowloom {

/// T is a LoneSegment. Places are below the capacity.
template <class T>
class LoneQueue {
 public:
  explicit LoneQueue(std::uint32_t capacity) : segments_(capacity), hashes_(capacity) {}

  /// The place behind all others, whose segment the caller sets; or kNoIndex where all are taken,
  /// perhaps by holes.
  std::uint32_t add(std::uint64_t hash) {
    if (span_ == capacity()) return kNoIndex;
    const std::uint32_t place = behind_first(span_++);
    hashes_[place] = hash;
    ++in_use_;
    return place;
  }
  /// Preconditions: `place` is in use.
  void remove(std::uint32_t place) {
    FLOWLOOM_DCHECK(in_use_ > 0);
    --in_use_;
    if (place != first_) return segments_[place].leave();
    do {
      first_ = behind_first(1);
      --span_;
    } while (span_ > 0 && segments_[first_].has_left());
  }

  /// Who came first. Preconditions: in_use() > 0.
  [[nodiscard]] std::uint32_t first() const { return first_; }
  /// Of the flow that is kept at `place`.
  [[nodiscard]] std::uint64_t hash(std::uint32_t place) const { return hashes_[place]; }

  /// Fetches those from memory that will be first soon, and what `table` knows of them.
  template <class Table>
  void prefetch_next(const Table& table) const {
    constexpr std::uint32_t kSegmentAhead = 12;
    constexpr std::uint32_t kEntryAhead = 6;
    if (span_ <= kSegmentAhead) return;
    const LoneSegment& far = segments_[behind_first(kSegmentAhead)];
    prefetch_object<PrefetchFor::Write>(far);
    table.prefetch(hashes_[behind_first(kEntryAhead)]);
  }

  T& operator[](std::uint32_t place) { return segments_[place]; }
  const T& operator[](std::uint32_t place) const { return segments_[place]; }
  [[nodiscard]] const T* data() const { return segments_.data(); }
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }
  [[nodiscard]] std::uint32_t capacity() const {
    return static_cast<std::uint32_t>(segments_.size());
  }
  [[nodiscard]] std::size_t bytes() const { return segments_.bytes() + hashes_.bytes(); }

 private:
  [[nodiscard]] std::uint32_t behind_first(std::uint32_t places) const {
    const std::uint32_t place = first_ + places;
    return place < capacity() ? place : place - capacity();
  }

  ReservedArray<T> segments_;
  ReservedArray<std::uint64_t> hashes_; // of their flows; erased by them
  std::uint32_t first_ = 0;
  std::uint32_t span_ = 0;              // places from the first on, with holes
  std::uint32_t in_use_ = 0;
};

}  // namespace flowloom
