// Walks the block chains of a StreamMessage: gaps and conflicts one by one, and bytes in runs that
// stand together in the stream. Copies no payload.
#pragma once

#include "export/stream_message.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace flowloom {

/// Reads a chain front to back.
class ChainReader {
 public:
  explicit ChainReader(const BlockChain& chain) : block_(chain.first) { skip_empty(); }

  /// The next bytes that stand together in memory, at most `limit`; empty at the end.
  ByteView take(std::uint64_t limit) {
    if (block_ == nullptr) return {};
    const auto count = std::min<std::uint64_t>(limit, block_->used - used_);
    const ByteView piece = block_->bytes().subspan(used_, static_cast<std::size_t>(count));
    used_ += static_cast<std::uint32_t>(count);
    skip_empty();
    return piece;
  }
  [[nodiscard]] bool at_end() const { return block_ == nullptr; }
  /// Calls `visit(ByteView)` for each piece of the next `count` bytes; false where there are less.
  template <class Visit>
  bool read(std::uint64_t count, Visit&& visit) {
    while (count > 0) {
      const ByteView piece = take(count);
      if (piece.empty()) return false;
      visit(piece);
      count -= piece.size();
    }
    return true;
  }

 private:
  void skip_empty() {
    while (block_ != nullptr && used_ == block_->used) {
      block_ = block_->next;
      used_ = 0;
    }
  }
  const ExportBlock* block_;
  std::uint32_t used_ = 0;
};

/// A plain struct whose bytes may lie across blocks; false at the end.
template <class Plain>
bool read_plain(ChainReader& chain, Plain& value) {
  std::uint8_t raw[sizeof(Plain)];
  std::uint8_t* to = raw;
  const bool whole = chain.read(sizeof(Plain), [&to](ByteView piece) {
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  });
  if (whole) std::memcpy(&value, raw, sizeof(Plain));
  return whole;
}

/// Reads the packed Gap structs of a chain; a Gap may lie across two blocks.
class GapReader {
 public:
  explicit GapReader(const BlockChain& chain) : chain_(chain) {}

  bool next(Gap& gap) {
    return read_plain(chain_, gap);
  }

 private:
  ChainReader chain_;
};

/// Reads the entries of StreamMessage::conflicts. After each next() the copies may be read, the
/// held one first; what is not read is passed over.
class ConflictReader {
 public:
  explicit ConflictReader(const BlockChain& chain) : chain_(chain) {}

  bool next(ConflictEntry& entry) {
    chain_.read(unread_, [](ByteView) {});
    if (!read_plain(chain_, entry)) return false;
    copied_ = entry.copied;
    unread_ = 2 * std::uint64_t{entry.copied};
    return true;
  }
  /// Calls `visit(ByteView)` for the pieces of the next copy.
  template <class Visit>
  void read_copy(Visit&& visit) {
    chain_.read(copied_, visit);
    unread_ -= copied_;
  }

 private:
  ChainReader chain_;
  std::uint64_t copied_ = 0;
  std::uint64_t unread_ = 0;
};

/// Calls `visit(ByteView)` for every piece of the chain, in order.
template <class Visit>
void for_each_piece(const BlockChain& chain, Visit&& visit) {
  for (ChainReader reader(chain); !reader.at_end();) visit(reader.take(UINT64_MAX));
}

}  // namespace flowloom
