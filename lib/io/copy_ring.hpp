// Memory for frames that their input will not keep: copied in order, freed in order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/memory.hpp"

namespace flowloom {

/// Every copy lies in one piece. Who copies asks has_room() first; nothing waits or grows here.
class CopyRing {
 public:
  /// A few of the largest copies always find room, whatever is asked for.
  CopyRing(std::size_t bytes, std::size_t largest);

  /// Whether another copy of the largest size would fit.
  [[nodiscard]] bool has_room() const;

  /// Preconditions: has_room(), size is at most the largest.
  std::uint8_t* copy(const void* bytes, std::size_t size);

  /// The end of the latest copy; differs from that of every other copy that is not yet freed.
  [[nodiscard]] std::size_t mark() const { return head_; }
  /// Frees all copies up to the one that ended there.
  void free_to(std::size_t mark);

 private:
  const std::size_t largest_;  // rounded
  ReservedMemory memory_;
  std::size_t head_ = 0;  // where the next copy goes
  std::size_t tail_ = 0;  // the oldest copy; equal to head_ only where there is none
};

}  // namespace flowloom
