#include "compat/python/flowloom/byte_arena.hpp"

#include <algorithm>
#include <cstring>

namespace flowloom::python {

void ByteArena::append(Chain& chain, std::span<const std::uint8_t> bytes) {
  chain.size_ += bytes.size();
  while (!bytes.empty()) {
    Block* last = chain.last_;
    if (last == nullptr || last->used == last->capacity) {
      const std::size_t next = last == nullptr ? 0 : std::size_t{last->size_class} + 1;
      Block* fresh = take(static_cast<std::uint32_t>(std::min(next, kClasses.size() - 1)));
      (last == nullptr ? chain.first_ : last->next) = fresh;
      chain.last_ = last = fresh;
    }
    const std::size_t count = std::min<std::size_t>(bytes.size(), last->capacity - last->used);
    std::memcpy(last->bytes() + last->used, bytes.data(), count);
    last->used += static_cast<std::uint32_t>(count);
    bytes = bytes.subspan(count);
  }
}

void ByteArena::release(Chain& chain) {
  for (Block* block = chain.first_; block != nullptr;) {
    Block* const next = block->next;
    block->next = free_[block->size_class];
    free_[block->size_class] = block;
    block = next;
  }
  chain = Chain{};
}

ByteArena::Block* ByteArena::take(std::uint32_t size_class) {
  Block* block = free_[size_class];
  const std::size_t size = kClasses[size_class];
  if (block != nullptr) {
    free_[size_class] = block->next;
  } else {
    if (kRegionBytes - used_ < size) {
      regions_.emplace_back(kRegionBytes);
      used_ = 0;
    }
    block = reinterpret_cast<Block*>(regions_.back().data() + used_);
    used_ += size;
  }
  *block = Block{.next = nullptr,
                 .used = 0,
                 .capacity = static_cast<std::uint32_t>(size - sizeof(Block)),
                 .size_class = size_class};
  return block;
}

}  // namespace flowloom::python
