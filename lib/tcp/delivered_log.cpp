#include "tcp/delivered_log.hpp"

#include <array>

#include "base/check.hpp"

namespace flowloom {

DeliveredLog::DeliveredLog()
    : entries_(kEntries),
      memory_(std::size_t{kBlocks} * kBlockBytes),
      blocks_(kBlocks),
      scratch_(std::size_t{1} << 16),
      room_(kBlockBytes) {}

// The oldest block if nobody can ask for it any more, else one that was never used: so the log
// touches as much memory as what is comparable takes.
void DeliveredLog::next_block() {
  Block& full = blocks_[block_];
  full.last_number = newest_number_;
  full.last_count = count_;
  const Block& oldest = blocks_[full.next];
  const bool expired = oldest.last_number + kComparablePackets <= newest_number_;
  if ((fresh_ == 1 || !expired) && fresh_ < kBlocks) {
    blocks_[fresh_].next = full.next;
    full.next = fresh_++;
  } else if (!expired) {
    forgotten_ = oldest.last_count;
  }
  block_ = full.next;
  at_ = block_ * kBlockBytes;
  room_ = kBlockBytes;
}

void DeliveredLog::keep_in(ByteView memory) {
  FLOWLOOM_CHECK(count_ == 0 && memory.size() < kKept);
  kept_ = memory.data();
  kept_bytes_ = memory.size();
}

// Memory is mostly used again in the order of its packets: then what was saved is not looked at
// again.
void DeliveredLog::save(ByteView part) {
  const auto begin = static_cast<std::size_t>(part.data() - kept_);
  if (begin >= kept_bytes_) return;
  saved_ = std::max(saved_, count_ - std::min<std::uint64_t>(count_, kEntries));
  for (std::uint64_t i = saved_; i < count_; ++i) {
    Entry& entry = entries_[i % kEntries];
    if (is_kept_yet(entry) && (entry.at & ~kKept) - begin < part.size()) {
      if (room_ < entry.size) next_block();
      const ByteView bytes{bytes_of(entry), entry.size};
      entry.at = at_;
      copy(bytes);
    }
    if (saved_ == i && !is_kept_yet(entry)) ++saved_;
  }
}

// Pieces that follow each other become one, so that a hole which was filled counts once.
void DeliveredLog::add_piece(Head& head, std::uint32_t owner, StreamOffset offset,
                             ByteView bytes) {
  const auto size = static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), bytes_left_));
  const bool comparable = decision_ + kComparablePackets > newest_number_;
  if (size == 0 || !comparable) return;
  Entry& last = entries_[(count_ - 1) % kEntries];
  const bool follows = count_ > 0 && pieces_left_ < kPiecesPerDecision && room_ >= size &&
                       head == static_cast<Head>(count_) && last.owner == owner &&
                       last.offset + last.size == offset;
  if (follows) {
    copy(bytes.first(size));
    last.size += size;
  } else if (pieces_left_ > 0) {
    append(head, owner, decision_, offset, bytes.first(size));
    --pieces_left_;
  } else {
    return;
  }
  bytes_left_ -= size;
}

const DeliveredLog::Entry* DeliveredLog::find(Head head, std::uint32_t owner) const {
  const std::uint32_t age = static_cast<Head>(count_) - head;
  if (head == 0 || age >= kEntries || age >= count_ - forgotten_) return nullptr;
  const Entry& entry = entries_[(count_ - age - 1) % kEntries];
  const bool comparable =
      entry.owner == owner && entry.number + kComparablePackets > decision_;
  return comparable ? &entry : nullptr;
}

// In ascending order, at the end of `out`. The pieces of a direction ascend as it was delivered.
std::span<const DeliveredLog::Piece> DeliveredLog::pieces_of(const Repetition& repeated,
                                                             std::span<Piece> out) const {
  const StreamOffset end = repeated.begin + static_cast<StreamOffset>(repeated.bytes.size());
  std::size_t first = out.size();
  Head head = repeated.head;
  for (std::uint32_t looked = 0; looked < kComparedPieces; ++looked) {
    const Entry* const entry = find(head, repeated.owner);
    if (entry == nullptr) break;
    const StreamOffset from = std::max(entry->offset, repeated.begin);
    const StreamOffset to = std::min<StreamOffset>(entry->offset + entry->size, end);
    if (entry->offset + entry->size <= repeated.begin) break;
    if (from < to) {
      const std::uint8_t* const bytes = bytes_of(*entry) + (from - entry->offset);
      out[--first] = {from, {bytes, static_cast<std::size_t>(to - from)}};
    }
    head = entry->previous;
  }
  return out.subspan(first);
}

std::uint64_t DeliveredLog::compare(const Repetition& repeated, ConflictObserver& observer) {
  std::array<Piece, kComparedPieces> room;
  std::span<const Piece> pieces = pieces_of(repeated, room);
  std::uint64_t differing = 0;
  while (!pieces.empty()) {
    std::size_t run = 1;
    while (run < pieces.size() &&
           pieces[run].begin == pieces[run - 1].begin +
                                    static_cast<StreamOffset>(pieces[run - 1].bytes.size())) {
      ++run;
    }
    differing += compare_run(pieces.first(run), repeated, observer);
    pieces = pieces.subspan(run);
  }
  return differing;
}

// One conflict at most, from the first byte that differs to the last.
std::uint64_t DeliveredLog::compare_run(std::span<const Piece> run, const Repetition& repeated,
                                        ConflictObserver& observer) {
  const auto at = static_cast<std::size_t>(run.front().begin - repeated.begin);
  ByteView held = run.front().bytes;
  if (run.size() > 1) {
    std::size_t size = 0;
    for (const Piece& piece : run) {
      std::memcpy(scratch_.data() + size, piece.bytes.data(), piece.bytes.size());
      size += piece.bytes.size();
    }
    held = {scratch_.data(), size};
  }
  const ByteView arrived = repeated.bytes.subspan(at, held.size());
  if (std::memcmp(held.data(), arrived.data(), held.size()) == 0) return 0;
  std::uint64_t differing = 0;
  std::size_t first = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (held[i] == arrived[i]) continue;
    if (differing++ == 0) first = i;
    last = i;
  }
  const std::size_t size = last + 1 - first;
  observer.on_conflict({.position = run.front().begin + static_cast<StreamOffset>(first) +
                                    repeated.base,
                        .held = held.subspan(first, size),
                        .arrived = arrived.subspan(first, size),
                        .winner = OverlapConflict::Winner::Held});
  return differing;
}

}  // namespace flowloom
