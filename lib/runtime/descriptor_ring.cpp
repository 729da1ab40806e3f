#include "runtime/descriptor_ring.hpp"

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <bit>
#include <cstdlib>
#include <new>

namespace flowloom {

DescriptorRing::DescriptorRing(std::uint32_t capacity) {
  const std::uint32_t slots = std::bit_ceil(capacity + 1);
  const ssize_t bytes = rte_ring_get_memsize_elem(sizeof(Packet), slots);
  constexpr std::size_t kAlignment = 2 * RTE_CACHE_LINE_SIZE;
  const std::size_t rounded =
      (static_cast<std::size_t>(bytes) + kAlignment - 1) & ~(kAlignment - 1);
  ring_ = bytes < 0 ? nullptr : static_cast<rte_ring*>(std::aligned_alloc(kAlignment, rounded));
  if (ring_ == nullptr ||
      rte_ring_init(ring_, "steer", slots, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
    std::free(ring_);
    throw std::bad_alloc();
  }
}

DescriptorRing::~DescriptorRing() { std::free(ring_); }

std::uint32_t DescriptorRing::push(const Packet* packets, std::uint32_t count) {
  return rte_ring_sp_enqueue_burst_elem(ring_, packets, sizeof(Packet), count, nullptr);
}

std::uint32_t DescriptorRing::pop(Packet* packets, std::uint32_t count) {
  return rte_ring_sc_dequeue_burst_elem(ring_, packets, sizeof(Packet), count, nullptr);
}

std::uint32_t DescriptorRing::size() const {
  // Not rte_ring_count(): its plain reads of the other side's index are a data race.
  const std::uint32_t begin = __atomic_load_n(&ring_->cons.tail, __ATOMIC_RELAXED);
  const std::uint32_t end = __atomic_load_n(&ring_->prod.tail, __ATOMIC_RELAXED);
  return (end - begin) & ring_->mask;
}

}  // namespace flowloom
