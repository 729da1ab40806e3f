// What was delivered lately, so that a repetition can be compared with it.
//
// Bytes of all directions of a shard lie one behind the other in blocks; a piece (what was
// delivered at once) has an entry that names the piece before it of the same direction. Whether a
// piece is still comparable depends on the numbers of packets only, never on what else the shard
// does: so it is the same for any number of workers. Blocks are used again when all in them is too
// old, and as many are there as the most that can be comparable needs
// (docs/decisions/0014-repetitions.md). Bytes that stay where they are for that long are not
// copied.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/bytes.hpp"
#include "base/memory.hpp"
#include "net/stream_offset.hpp"
#include "tcp/reorder_queue.hpp"

namespace flowloom {

/// What one of the latest so many packets of the input delivered, this one's included, is
/// comparable.
inline constexpr std::uint64_t kComparablePackets = 2048;
/// Of what one packet delivers, so many bytes are remembered.
inline constexpr std::uint32_t kRememberedBytes = 16384;
/// So many pieces of a direction are looked at, newest first.
inline constexpr std::uint32_t kComparedPieces = 256;

class DeliveredLog {
 public:
  /// Names the newest piece of a direction; 0 = none. The owner keeps it and hands it in.
  using Head = std::uint32_t;

  DeliveredLog();

  /// Bytes that lie in `memory` stay as they are for as long as they are comparable, unless save()
  /// was called. Preconditions: nothing was added.
  void keep_in(ByteView memory);
  /// `part` of that memory is about to lose its bytes.
  void save(ByteView part);

  /// Remembers what one packet delivered. `owner` names the direction among those of the shard.
  /// Preconditions: the numbers of packets never decrease.
  void add(Head& head, std::uint32_t owner, std::uint64_t number, StreamOffset offset,
           ByteView bytes) {
    const auto size =
        static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), kRememberedBytes));
    newest_number_ = number;
    const auto at = static_cast<std::size_t>(bytes.data() - kept_);
    if (at < kept_bytes_) {
      note(head, Entry{offset, number, kKept | static_cast<std::uint32_t>(at), size, owner, head});
    } else {
      append(head, owner, number, offset, bytes.first(size));
    }
  }

  /// A decision that may deliver several pieces: add_piece() remembers them as far as they go.
  /// `number` is that of the packet that made it; a time-out's that of its connection's last one.
  void begin_decision(std::uint64_t number) {
    decision_ = number;
    bytes_left_ = kRememberedBytes;
    pieces_left_ = kPiecesPerDecision;
    newest_number_ = std::max(newest_number_, number);
  }
  void add_piece(Head& head, std::uint32_t owner, StreamOffset offset, ByteView bytes);

  /// Repeated bytes, and whose.
  struct Repetition {
    Head head;
    std::uint32_t owner;
    StreamOffset begin;
    StreamOffset base;  ///< added to offsets for the observer
    ByteView bytes;
  };
  /// Tells where a repetition differs from what is remembered; returns by how many bytes. The
  /// packet is that of the decision.
  std::uint64_t compare(const Repetition& repeated, ConflictObserver& observer);

  [[nodiscard]] std::size_t bytes() const {
    return entries_.bytes() + memory_.bytes() + blocks_.bytes() + scratch_.bytes();
  }

 private:
  static constexpr std::uint32_t kPiecesPerDecision = 2;
  // A packet and a time-out of its connection, two pieces each.
  static constexpr std::uint32_t kEntries = 4 * kComparablePackets;
  static constexpr std::uint32_t kBlockBytes = 4 * kRememberedBytes;
  // The same, and what stays free at the end of a block: less than a quarter.
  static constexpr std::uint32_t kBlocks = 3 * kComparablePackets * kRememberedBytes / kBlockBytes;
  static_assert((kEntries & (kEntries - 1)) == 0);

  struct Entry {
    StreamOffset offset;
    std::uint64_t number;
    std::uint32_t at;  // in memory_; with kKept behind kept_
    std::uint32_t size;
    std::uint32_t owner;
    Head previous;
  };
  static_assert(sizeof(Entry) == 32);

  /// Blocks in use form a ring, oldest behind newest.
  struct Block {
    std::uint64_t last_number;
    std::uint64_t last_count;
    std::uint32_t next;
  };

  struct Piece {
    StreamOffset begin;
    ByteView bytes;
  };

  void note(Head& head, const Entry& entry) {
    entries_[count_ % kEntries] = entry;
    head = static_cast<Head>(++count_);
  }
  void append(Head& head, std::uint32_t owner, std::uint64_t number, StreamOffset offset,
              ByteView bytes) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    if (room_ < size) [[unlikely]] next_block();
    note(head, Entry{offset, number, at_, size, owner, head});
    copy(bytes);
  }
  void copy(ByteView bytes) {
    std::memcpy(data() + at_, bytes.data(), bytes.size());
    at_ += static_cast<std::uint32_t>(bytes.size());
    room_ -= static_cast<std::uint32_t>(bytes.size());
  }
  void next_block();
  [[nodiscard]] bool is_kept_yet(const Entry& entry) const {
    return (entry.at & kKept) != 0 && entry.number + kComparablePackets > newest_number_;
  }
  [[nodiscard]] const std::uint8_t* bytes_of(const Entry& entry) const {
    return (entry.at & kKept) != 0 ? kept_ + (entry.at & ~kKept) : data() + entry.at;
  }
  [[nodiscard]] const Entry* find(Head head, std::uint32_t owner) const;
  std::span<const Piece> pieces_of(const Repetition& repeated, std::span<Piece> out) const;
  std::uint64_t compare_run(std::span<const Piece> run, const Repetition& repeated,
                            ConflictObserver& observer);
  [[nodiscard]] std::uint8_t* data() const {
    return reinterpret_cast<std::uint8_t*>(memory_.data());
  }

  static constexpr std::uint32_t kKept = 0x80000000;
  static_assert(std::uint64_t{kBlocks} * kBlockBytes < kKept);

  ReservedArray<Entry> entries_;
  ReservedMemory memory_;
  ReservedArray<Block> blocks_;
  ReservedArray<std::uint8_t> scratch_;  // pieces of one repetition, put together
  const std::uint8_t* kept_ = nullptr;
  std::size_t kept_bytes_ = 0;
  std::uint64_t saved_ = 0;              // so many entries from the first on need no save()
  std::uint64_t count_ = 0;              // entries ever made; a Head is its low half
  std::uint32_t at_ = 0;
  std::uint32_t room_ = 0;               // left in the block
  std::uint64_t newest_number_ = 0;
  std::uint64_t decision_ = 0;
  std::uint32_t bytes_left_ = 0;
  std::uint32_t pieces_left_ = 0;
  std::uint64_t forgotten_ = 0;          // so many entries from the first on lost their bytes
  std::uint32_t block_ = 0;              // the one in use
  std::uint32_t fresh_ = 1;              // blocks that were ever used
};

}  // namespace flowloom
