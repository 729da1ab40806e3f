#include "export/export_memory.hpp"

#include <new>

namespace flowloom {

namespace {
// Sixteenths of the memory per class: bulk streams live in the largest.
constexpr std::array<std::uint64_t, 4> kShares = {1, 2, 3, 10};
}  // namespace

ExportMemory::ExportMemory(std::uint64_t bytes, std::uint64_t reserved) {
  classes_[kReserve].memory =
      ReservedMemory(reserved * (sizeof(ExportBlock) + block_bytes(kReserve)));
  for (std::size_t i = 0; i < kClassBytes.size(); ++i) {
    const std::uint64_t step = sizeof(ExportBlock) + kClassBytes[i];
    const std::uint64_t count = bytes / 16 * kShares[i] / step + 1;
    classes_[i].memory = ReservedMemory(count * step);
    capacity_ += count * kClassBytes[i];
  }
}

ExportBlock* ExportMemory::take_from(std::size_t size_class) {
  SizeClass& c = classes_[size_class];
  ExportBlock* block = c.free;
  if (block != nullptr) {
    c.free = block->next;
    __builtin_prefetch(c.free, 1);
  } else {
    const std::uint64_t step = sizeof(ExportBlock) + block_bytes(size_class);
    if (c.fresh + step > c.memory.bytes()) return nullptr;
    block = new (c.memory.data() + c.fresh) ExportBlock;
    c.fresh += step;
  }
  block->next = nullptr;
  block->used = 0;
  block->capacity = block_bytes(size_class);
  block->size_class = static_cast<std::uint16_t>(size_class);
  if (size_class != kReserve) in_use_ += block->capacity;
  return block;
}

ExportBlock* ExportMemory::take_reserved() { return take_from(kReserve); }

ExportBlock* ExportMemory::take(std::size_t wanted) {
  std::size_t fitting = 0;
  while (fitting + 1 < kClassBytes.size() && kClassBytes[fitting] < wanted) ++fitting;
  for (std::size_t i = fitting; i < kClassBytes.size(); ++i) {
    if (ExportBlock* block = take_from(i)) return block;
  }
  for (std::size_t i = fitting; i-- > 0;) {
    if (ExportBlock* block = take_from(i)) return block;
  }
  return nullptr;
}

void ExportMemory::give_back(ExportBlock* block) {
  SizeClass& c = classes_[block->size_class];
  if (block->size_class != kReserve) in_use_ -= block->capacity;
  block->next = c.free;
  c.free = block;
}

void ExportMemory::give_back(BlockChain& chain) {
  for (ExportBlock* block = chain.first; block != nullptr;) {
    ExportBlock* const next = block->next;
    give_back(block);
    block = next;
  }
  chain = BlockChain{};
}

}  // namespace flowloom
