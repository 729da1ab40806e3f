// Memory for whole datagrams on their way through the pipeline: contiguous, of any size, given back
// in about the order in which they were taken. A ring needs no size classes and no search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/memory.hpp"

namespace flowloom {

class DatagramRing {
 public:
  /// Names a block until it is released.
  using Handle = std::uint64_t;

  struct Block {
    std::span<std::uint8_t> bytes;
    Handle handle;
  };

  DatagramRing() = default;
  /// Room for `capacity` bytes of blocks, which are rounded up to lines, less what a block wastes
  /// that does not fit before the end.
  explicit DatagramRing(std::size_t capacity);

  /// A block of so many bytes, or an empty one where there is no room.
  Block take(std::size_t bytes);

  /// Whether take(bytes) would succeed.
  [[nodiscard]] bool has_room(std::size_t bytes) const;

  /// In any order; memory is used again once all blocks taken before are released, too.
  /// Preconditions: the block was taken and is not released yet.
  void release(Handle handle);

  [[nodiscard]] bool empty() const { return head_ == tail_; }
  [[nodiscard]] std::size_t bytes() const { return memory_.bytes(); }

 private:
  enum class State : std::uint32_t { Taken = 1, Released = 2 };
  struct Header {
    State state;
    std::uint32_t span;  // of the block with its header, in bytes
  };
  // Header and bytes share no line with the next block.
  static constexpr std::size_t kLineBytes = 64;
  static constexpr std::size_t kHeaderBytes = 16;
  static_assert(sizeof(Header) <= kHeaderBytes);

  static std::size_t span_of(std::size_t bytes);
  [[nodiscard]] std::size_t to_end() const { return capacity_ - head_ % capacity_; }
  [[nodiscard]] std::uint8_t* at(std::uint64_t position) const {
    return memory_.data() + position % capacity_;
  }
  [[nodiscard]] Header header_at(std::uint64_t position) const;
  void put_header(std::uint64_t position, Header header);

  ReservedArray<std::uint8_t> memory_;
  std::size_t capacity_ = 0;
  // Bytes taken and released since the start; a block's position is its handle.
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
};

}  // namespace flowloom
