// A ring that carries whole packet descriptors: rte_ring with 64-byte elements on its own memory.
#pragma once

#include <cstdint>

#include "net/packet.hpp"

struct rte_ring;

namespace flowloom {

/// Single producer, single consumer; moves as many as fit, never blocks.
class DescriptorRing {
 public:
  explicit DescriptorRing(std::uint32_t capacity);
  ~DescriptorRing();
  DescriptorRing(const DescriptorRing&) = delete;
  DescriptorRing& operator=(const DescriptorRing&) = delete;

  std::uint32_t push(const Packet* packets, std::uint32_t count);
  std::uint32_t pop(Packet* packets, std::uint32_t count);
  /// How many it holds; from either side, so a little old.
  [[nodiscard]] std::uint32_t size() const;

 private:
  rte_ring* ring_;
};

}  // namespace flowloom
