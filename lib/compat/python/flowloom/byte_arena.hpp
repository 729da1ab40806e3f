// Memory for bytes that connections gather: chains of blocks that grow with the stream and serve
// the next one afterwards. Nothing is moved when it grows. Regions stay below the size from which
// base asks for huge pages: clearing those for bytes that are touched once cost more than it saved
// (1.5 s instead of 0.7 s of system time for 480 MB on a fragmented machine).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.hpp"

namespace flowloom::python {

class ByteArena {
 public:
  /// Bytes of one direction, in order. Nothing is moved when it grows.
  class Chain {
   public:
    [[nodiscard]] std::size_t size() const { return size_; }
    /// Calls `visit(std::span)` for each piece.
    template <class Visit>
    void for_each(Visit visit) const {
      for (const Block* block = first_; block != nullptr; block = block->next) {
        visit(std::span(block->bytes(), block->used));
      }
    }

   private:
    friend class ByteArena;
    struct Block {
      Block* next;
      std::uint32_t used;
      std::uint32_t capacity;
      std::uint32_t size_class;
      std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(this + 1); }
      [[nodiscard]] const std::uint8_t* bytes() const {
        return reinterpret_cast<const std::uint8_t*>(this + 1);
      }
    };
    Block* first_ = nullptr;
    Block* last_ = nullptr;
    std::size_t size_ = 0;
  };

  void append(Chain& chain, std::span<const std::uint8_t> bytes);
  /// Makes the chain empty.
  void release(Chain& chain);

 private:
  using Block = Chain::Block;
  /// Sizes with their headers; each block of a chain is of the next class.
  static constexpr std::array<std::size_t, 5> kClasses = {256, 1024, 4096, 16384, 65536};
  static constexpr std::size_t kRegionBytes = std::size_t{4} << 20;

  Block* take(std::uint32_t size_class);

  std::array<Block*, kClasses.size()> free_{};
  std::vector<ReservedMemory> regions_;
  std::size_t used_ = kRegionBytes;  // of the last region
};

}  // namespace flowloom::python
