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
    : chunk_bytes_(chunk_bytes),
      in_hand_(std::max(chunks, kChunksMin) - 1),
      slots_((in_hand_ + 1) * slot_bytes()) {}

std::size_t ChunkPool::slot_bytes() const { return chunk_bytes_ + kTailRoom; }

Chunk* ChunkPool::acquire(std::size_t bytes) {
  if (free_ == nullptr && !add_chunk() && !free_kept_chunk()) return nullptr;
  Chunk* chunk = free_;
  free_ = chunk->next;
  chunk->next = nullptr;
  make_room_for(*chunk, bytes);
  return chunk;
}

bool ChunkPool::add_chunk() {
  if (chunks_.size() >= in_hand_ + readers_) return false;
  const std::size_t slot = chunks_.size();
  chunks_.push_back(std::make_unique<Chunk>());
  Chunk& chunk = *chunks_.back();
  if (slot <= in_hand_) {
    chunk.slot = reinterpret_cast<std::uint8_t*>(slots_.data()) + slot * slot_bytes();
    chunk.data = chunk.slot;
    chunk.bytes = slot_bytes();
  }
  free_ = &chunk;
  return true;
}

void ChunkPool::make_room_for(Chunk& chunk, std::size_t bytes) {
  if (bytes <= chunk.bytes) return;
  chunk.own = ReservedMemory(std::max(bytes, slot_bytes()));
  chunk.data = reinterpret_cast<std::uint8_t*>(chunk.own.data());
  chunk.bytes = chunk.own.bytes();
}

void ChunkPool::retire(Chunk* chunk, std::uint64_t last_number) {
  if (last_number + kept_packets_ <= released_) {
    make_free(chunk);
    return;
  }
  chunk->last_number = last_number;
  (retired_last_ == nullptr ? retired_first_ : retired_last_->next) = chunk;
  retired_last_ = chunk;
}

void ChunkPool::release(std::uint64_t last_number) {
  released_ = std::max(released_, last_number);
  while (retired_first_ != nullptr &&
         retired_first_->last_number + kept_packets_ <= released_) {
    free_oldest();
  }
}

ByteView ChunkPool::keep_released(std::uint64_t packets, FrameKeeper& keeper) {
  kept_packets_ = packets;
  keeper_ = &keeper;
  return {reinterpret_cast<const std::uint8_t*>(slots_.data()), slots_.bytes()};
}

bool ChunkPool::free_kept_chunk() {
  if (retired_first_ == nullptr || retired_first_->last_number > released_) return false;
  keeper_->before_reuse({retired_first_->data, retired_first_->bytes});
  free_oldest();
  return true;
}

void ChunkPool::free_oldest() {
  Chunk* chunk = retired_first_;
  retired_first_ = chunk->next;
  if (retired_first_ == nullptr) retired_last_ = nullptr;
  make_free(chunk);
}

void ChunkPool::make_free(Chunk* chunk) {
  // A chunk that was grown for one large record does not stay large.
  if (chunk->bytes > slot_bytes()) {
    chunk->own = ReservedMemory();
    chunk->data = chunk->slot;
    chunk->bytes = chunk->slot != nullptr ? slot_bytes() : 0;
  }
  chunk->next = free_;
  free_ = chunk;
}

}  // namespace flowloom
