// Memory of early segments: blocks by size class, used again rather than given back to the system.
// What a connection may hold is bounded by what its segments are charged, see HalfStream.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "compat/nids/abi.hpp"

namespace flowloom::nids {

class SegmentStore {
 public:
  SegmentStore() = default;
  SegmentStore(const SegmentStore&) = delete;
  SegmentStore& operator=(const SegmentStore&) = delete;
  ~SegmentStore();

  /// A segment with a copy of `bytes`, its other fields zero; null where there is no memory.
  skbuff* take(ByteView bytes);
  void give_back(skbuff* segment);

 private:
  // The smallest block takes a segment of 64 bytes with its header; the largest, any.
  static constexpr unsigned kSmallestShift = 7;
  static constexpr unsigned kLargestShift = 17;
  std::array<skbuff*, kLargestShift - kSmallestShift + 1> free_{};
};

}  // namespace flowloom::nids
