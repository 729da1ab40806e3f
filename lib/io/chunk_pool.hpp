// Chunks of file bytes and the rule for using them again: a chunk is free when every packet that
// was handed out of it has been released. Knows packet numbers, not files and not formats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.hpp"
#include "base/memory.hpp"
#include "io/packet_source.hpp"

namespace flowloom {

/// A piece of memory that a capture is read into.
struct Chunk {
  std::uint8_t* data = nullptr;
  std::size_t bytes = 0;
  std::uint8_t* slot = nullptr;   ///< its part of the pool's memory, if it has one
  ReservedMemory own;             ///< where it has none, or needs more
  std::uint64_t last_number = 0;  ///< last packet that may lie in it, once retired
  Chunk* next = nullptr;          ///< in the list of free or of retired chunks
};

/// Hands out chunks while there are any. A reader holds one chunk and retires it when it goes on to
/// the next; retired chunks wait in order for release(). Free chunks are used last in, first out,
/// so a consumer that releases at once sees the same two chunks, which stay in its cache.
class ChunkPool {
 public:
  /// `chunks` in all for one reader, and one more for each further reader: whatever the readers
  /// hold, some chunks are free or in the hands of the consumer, so no state waits for itself.
  ChunkPool(std::size_t chunk_bytes, std::size_t chunks);

  /// A chunk of at least `bytes`, or nullptr while all are in use.
  Chunk* acquire(std::size_t bytes);

  /// No packet after `last_number` lies in the chunk. Preconditions: numbers do not decrease from
  /// call to call.
  void retire(Chunk* chunk, std::uint64_t last_number);

  /// All packets up to `last_number` are done with.
  void release(std::uint64_t last_number);

  /// As PacketSource says it. Chunks whose packets were released are used again as late as that,
  /// or when there is no other, the oldest first.
  ByteView keep_released(std::uint64_t packets, FrameKeeper& keeper);

  void join() { ++readers_; }
  void leave() { --readers_; }

  [[nodiscard]] std::size_t chunk_bytes() const { return chunk_bytes_; }
  [[nodiscard]] std::size_t allocated() const { return chunks_.size(); }

 private:
  [[nodiscard]] std::size_t slot_bytes() const;
  bool add_chunk();
  bool free_kept_chunk();
  void free_oldest();
  void make_room_for(Chunk& chunk, std::size_t bytes);
  void make_free(Chunk* chunk);

  std::size_t chunk_bytes_;
  std::size_t in_hand_;  // chunks beside those that readers hold
  std::size_t readers_ = 0;
  std::uint64_t released_ = 0;
  std::uint64_t kept_packets_ = 0;
  FrameKeeper* keeper_ = nullptr;
  ReservedMemory slots_;  // of the first chunks, one each
  std::vector<std::unique_ptr<Chunk>> chunks_;
  Chunk* free_ = nullptr;
  Chunk* retired_first_ = nullptr;
  Chunk* retired_last_ = nullptr;
};

}  // namespace flowloom
