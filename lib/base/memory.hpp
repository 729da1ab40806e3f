// Reserved memory: sized at start, touched on first use, so a large limit costs address space only.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace flowloom {

/// What the first megabytes of each reservation are made of. Huge pages (transparent ones, where
/// the kernel gives them) save TLB misses for as long as a run lasts, but the first touch of each
/// costs the zeroing of 2 MiB, and on a virtual machine whose host had taken the memory back many
/// times that. Small ones are dearer by the packet, and cheap to begin with: for a run of a second.
enum class FirstPages : unsigned char { Huge, Small };

/// For all that is reserved from now on, in this process. Preconditions: no other thread reserves.
void use_first_pages(FirstPages pages);

/// Zero-filled, page-aligned anonymous memory. Throws std::bad_alloc where it cannot be reserved.
class ReservedMemory {
 public:
  ReservedMemory() = default;
  explicit ReservedMemory(std::size_t bytes);
  ~ReservedMemory();
  ReservedMemory(ReservedMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  ReservedMemory& operator=(ReservedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  /// What begins with small pages (FirstPages::Small) is put into huge ones at once, touched or
  /// not: for what is read and written in no order, once it is clear that most of it will be. Costs
  /// the zeroing of 64 MiB at most; where the kernel cannot (before Linux 6.1) nothing happens.
  void use_huge_pages_now();

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A fixed array of T in reserved memory. T starts as all-zero bytes: nothing is constructed.
template <class T>
class ReservedArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  ReservedArray() = default;
  explicit ReservedArray(std::size_t count) : memory_(count * sizeof(T)), count_(count) {}

  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  [[nodiscard]] T* data() const { return reinterpret_cast<T*>(memory_.data()); }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::size_t bytes() const { return memory_.bytes(); }
  void use_huge_pages_now() { memory_.use_huge_pages_now(); }

 private:
  ReservedMemory memory_;
  std::size_t count_ = 0;
};

}  // namespace flowloom
