// Key to index for datagrams in progress: two choices of a bucket of one cache line, so a lookup
// reads at most two lines and deleting leaves nothing behind. Does not know what a datagram is.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/memory.hpp"
#include "base/slab_pool.hpp"

namespace flowloom {

class DatagramTable {
 public:
  static constexpr std::uint32_t kSlots = 8;
  static constexpr std::uint32_t kChoices = 2;
  /// Every entry that may stand in the way of a new one.
  using Neighbours = std::array<std::uint32_t, kSlots * kChoices>;

  DatagramTable() = default;
  explicit DatagramTable(std::uint32_t capacity)
      : buckets_(bucket_count(capacity)), mask_(buckets_.size() - 1) {}

  static std::size_t bytes_for(std::uint32_t capacity) {
    return bucket_count(capacity) * sizeof(Bucket);
  }

  /// The index stored under `hash` for which `matches(index)`, or kNoIndex.
  template <class Matches>
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, Matches&& matches) const {
    const std::uint32_t tag = tag_of(hash);
    for (std::uint32_t choice = 0; choice < kChoices; ++choice) {
      for (const Slot& slot : buckets_[bucket_of(hash, choice)].slots) {
        if (slot.tag == tag && slot.index != 0 && matches(slot.index - 1)) return slot.index - 1;
      }
    }
    return kNoIndex;
  }

  /// Into the emptier bucket; false when both are full: neighbours() names who is there.
  bool insert(std::uint64_t hash, std::uint32_t index) {
    Bucket* best = nullptr;
    std::uint32_t most = 0;
    for (std::uint32_t choice = 0; choice < kChoices; ++choice) {
      Bucket& bucket = buckets_[bucket_of(hash, choice)];
      const std::uint32_t free = free_slots(bucket);
      if (free > most) {
        most = free;
        best = &bucket;
      }
    }
    if (best == nullptr) return false;
    for (Slot& slot : best->slots) {
      if (slot.index != 0) continue;
      slot = {tag_of(hash), index + 1};
      return true;
    }
    return false;
  }

  /// Preconditions: `index` is stored under `hash`.
  void erase(std::uint64_t hash, std::uint32_t index) {
    for (std::uint32_t choice = 0; choice < kChoices; ++choice) {
      for (Slot& slot : buckets_[bucket_of(hash, choice)].slots) {
        if (slot.index == index + 1) {
          slot = {};
          return;
        }
      }
    }
  }

  /// Preconditions: insert(hash, ...) failed.
  [[nodiscard]] Neighbours neighbours(std::uint64_t hash) const {
    Neighbours all;
    std::uint32_t count = 0;
    for (std::uint32_t choice = 0; choice < kChoices; ++choice) {
      for (const Slot& slot : buckets_[bucket_of(hash, choice)].slots)
        all[count++] = slot.index - 1;
    }
    return all;
  }

  [[nodiscard]] std::size_t bytes() const { return buckets_.bytes(); }

 private:
  struct Slot {
    std::uint32_t tag;
    std::uint32_t index;  // + 1; 0: free
  };
  struct alignas(64) Bucket {
    std::array<Slot, kSlots> slots;
  };
  static_assert(sizeof(Bucket) == 64, "one cache line");

  // A load of at most three quarters; two choices of eight fill to nine tenths without a refusal.
  static std::size_t bucket_count(std::uint32_t capacity) {
    return std::bit_ceil(std::size_t{capacity} * 4 / 3 / kSlots + 1);
  }
  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 16); }
  [[nodiscard]] std::size_t bucket_of(std::uint64_t hash, std::uint32_t choice) const {
    constexpr unsigned kSecondHalf = 32;
    return (choice == 0 ? hash : hash >> kSecondHalf) & mask_;
  }
  static std::uint32_t free_slots(const Bucket& bucket) {
    std::uint32_t free = 0;
    for (const Slot& slot : bucket.slots) free += slot.index == 0 ? 1 : 0;
    return free;
  }

  ReservedArray<Bucket> buckets_;
  std::uint64_t mask_ = 0;
};

}  // namespace flowloom
