// A fixed-capacity pool of equal objects named by 32-bit indices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.hpp"
#include "base/memory.hpp"

namespace flowloom {

/// "No object": the index that no pool ever hands out.
inline constexpr std::uint32_t kNoIndex = 0xffffffff;

/// Last freed is first reused, so a small working set stays in cache and untouched slots stay
/// untouched memory. Objects are zeroed when taken, their first ZeroedBytes at least. Not
/// thread-safe: one lcore owns a pool.
template <class T, std::size_t ZeroedBytes = sizeof(T)>
class SlabPool {
  static_assert(ZeroedBytes >= sizeof(std::uint32_t) && ZeroedBytes <= sizeof(T));

 public:
  SlabPool() = default;
  explicit SlabPool(std::uint32_t capacity) : objects_(capacity) {}

  /// A zeroed object, or kNoIndex when the pool is exhausted.
  std::uint32_t take() {
    std::uint32_t index = free_head_;
    if (index != kNoIndex) {
      std::memcpy(&free_head_, &objects_[index], sizeof free_head_);
      std::memset(static_cast<void*>(&objects_[index]), 0, ZeroedBytes);
    } else if (fresh_ < objects_.size()) {
      index = fresh_++;
      // It is zero, but where a page's first access is a read the kernel maps a page of zeros,
      // which the first write then replaces: two page faults instead of one. Both ends, since an
      // object may lie across two pages.
      auto* const bytes = reinterpret_cast<std::byte*>(&objects_[index]);
      std::memset(bytes, 0, sizeof(std::uint32_t));
      std::memset(bytes + sizeof(T) - sizeof(std::uint32_t), 0, sizeof(std::uint32_t));
    } else {
      return kNoIndex;
    }
    ++in_use_;
    return index;
  }

  /// Preconditions: `index` was taken and not yet given back.
  void give_back(std::uint32_t index) {
    FLOWLOOM_DCHECK(index < fresh_ && in_use_ > 0);
    std::memcpy(static_cast<void*>(&objects_[index]), &free_head_, sizeof free_head_);
    free_head_ = index;
    --in_use_;
  }

  /// What take() will give next, if it gives anything; may lie beyond the last slot.
  [[nodiscard]] std::uint32_t next() const { return free_head_ != kNoIndex ? free_head_ : fresh_; }

  /// Preconditions: `object` is one of its own.
  [[nodiscard]] std::uint32_t index_of(const T& object) const {
    return static_cast<std::uint32_t>(&object - objects_.data());
  }
  T& operator[](std::uint32_t index) { return objects_[index]; }
  const T& operator[](std::uint32_t index) const { return objects_[index]; }
  [[nodiscard]] T* data() const { return objects_.data(); }
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }
  [[nodiscard]] std::uint32_t capacity() const {
    return static_cast<std::uint32_t>(objects_.size());
  }
  /// Slots that were ever taken: indices at or above it are untouched.
  [[nodiscard]] std::uint32_t high_water() const { return fresh_; }
  [[nodiscard]] std::size_t bytes() const { return objects_.bytes(); }

 private:
  ReservedArray<T> objects_;
  std::uint32_t free_head_ = kNoIndex;
  std::uint32_t fresh_ = 0;
  std::uint32_t in_use_ = 0;
};

}  // namespace flowloom
