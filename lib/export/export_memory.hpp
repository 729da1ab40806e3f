// The blocks and messages of one worker's exporter: size classes, fixed at start.
#pragma once

#include <array>
#include <cstdint>

#include "base/memory.hpp"
#include "export/stream_message.hpp"

namespace flowloom {

/// Only its worker takes and gives back; what the writer is done with comes home over a ring.
class ExportMemory {
 public:
  static constexpr std::array<std::uint32_t, 4> kClassBytes = {128, 512, 2048, 8192};

  /// Of a block of this class; the last class is the reserve.
  static constexpr std::uint32_t block_bytes(std::size_t size_class) {
    return kClassBytes[size_class >= kClassBytes.size() ? 0 : size_class];
  }

  /// Shares `bytes` among the classes, most to the largest. Beside them stands a reserve of
  /// `reserved` blocks of the smallest class.
  explicit ExportMemory(std::uint64_t bytes, std::uint64_t reserved = 0);

  /// A block for about `wanted` bytes: of the class that fits, else the nearest that is left;
  /// nullptr when nothing is left.
  ExportBlock* take(std::size_t wanted);
  /// A small block of the reserve, which counts nowhere; nullptr when that is used up.
  ExportBlock* take_reserved();
  void give_back(ExportBlock* block);
  void give_back(BlockChain& chain);

  /// Bytes of payload room that are in use.
  [[nodiscard]] std::uint64_t in_use() const { return in_use_; }
  [[nodiscard]] std::uint64_t capacity() const { return capacity_; }
  [[nodiscard]] std::size_t reserved_bytes() const {
    std::size_t sum = 0;
    for (const SizeClass& c : classes_) sum += c.memory.bytes();
    return sum;
  }
  [[nodiscard]] bool pressed() const { return in_use_ > capacity_ / 4 * 3; }

 private:
  struct SizeClass {
    ReservedMemory memory;
    std::uint64_t fresh = 0;  ///< bytes of `memory` that were ever handed out
    ExportBlock* free = nullptr;
  };
  static constexpr std::size_t kReserve = kClassBytes.size();
  ExportBlock* take_from(std::size_t size_class);

  std::array<SizeClass, kClassBytes.size() + 1> classes_;
  std::uint64_t in_use_ = 0;
  std::uint64_t capacity_ = 0;
};

}  // namespace flowloom
