#include "io/chunk_pool.hpp"

#include <algorithm>

namespace flowloom {

namespace {
// Beside the chunk's own bytes: room for the part of a record that began in the chunk before.
// A longer record gets a chunk of its own size.
constexpr std::size_t kTailRoom = std::size_t{64} << 10;
constexpr std::size_t kChunksMin = 2;
}  // namespace

ChunkPool::ChunkPool(std::size_t chunk_bytes, std::size_t chunks)
    : chunk_bytes_(chunk_bytes), in_hand_(std::max(chunks, kChunksMin) - 1) {}

Chunk* ChunkPool::acquire(std::size_t bytes) {
  if (free_ == nullptr) {
    if (chunks_.size() >= in_hand_ + readers_) return nullptr;
    chunks_.push_back(std::make_unique<Chunk>());
    free_ = chunks_.back().get();
  }
  Chunk* chunk = free_;
  free_ = chunk->next;
  chunk->next = nullptr;
  const std::size_t wanted = std::max(bytes, chunk_bytes_ + kTailRoom);
  if (chunk->memory.bytes() < wanted) chunk->memory = ReservedMemory(wanted);
  return chunk;
}

void ChunkPool::retire(Chunk* chunk, std::uint64_t last_number) {
  if (last_number <= released_) {
    make_free(chunk);
    return;
  }
  chunk->last_number = last_number;
  (retired_last_ == nullptr ? retired_first_ : retired_last_->next) = chunk;
  retired_last_ = chunk;
}

void ChunkPool::release(std::uint64_t last_number) {
  released_ = std::max(released_, last_number);
  while (retired_first_ != nullptr && retired_first_->last_number <= released_) {
    Chunk* chunk = retired_first_;
    retired_first_ = chunk->next;
    if (retired_first_ == nullptr) retired_last_ = nullptr;
    make_free(chunk);
  }
}

void ChunkPool::make_free(Chunk* chunk) {
  // A chunk that was grown for one large record does not stay large.
  if (chunk->memory.bytes() > chunk_bytes_ + kTailRoom) chunk->memory = ReservedMemory();
  chunk->next = free_;
  free_ = chunk;
}

}  // namespace flowloom
