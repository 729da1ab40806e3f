// A bounded single-producer single-consumer ring of pointers: rte_ring on its own memory, which
// needs no EAL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

struct rte_ring;

namespace flowloom {

/// Items move in bursts; a full or empty ring moves fewer, never blocks.
class SpscRing {
 public:
  /// Holds up to `capacity` items (rounded up to a power of two minus one).
  explicit SpscRing(std::uint32_t capacity);
  ~SpscRing();
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  /// Returns how many of the `count` items were taken in.
  std::uint32_t push(void* const* items, std::uint32_t count);
  /// Returns how many items were written to `items`.
  std::uint32_t pop(void** items, std::uint32_t count);
  [[nodiscard]] std::uint32_t size() const;

 private:
  rte_ring* ring_;
};

}  // namespace flowloom
