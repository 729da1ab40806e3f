// Walks the block chains of a StreamMessage: gaps one by one, and bytes in runs that stand
// together in the stream. Copies no payload.
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

/// Reads the packed Gap structs of a chain; a Gap may lie across two blocks.
class GapReader {
 public:
  explicit GapReader(const BlockChain& chain) : chain_(chain) {}

  bool next(Gap& gap) {
    std::uint8_t raw[sizeof(Gap)];
    for (std::size_t filled = 0; filled < sizeof(Gap);) {
      const ByteView piece = chain_.take(sizeof(Gap) - filled);
      if (piece.empty()) return false;
      std::memcpy(raw + filled, piece.data(), piece.size());
      filled += piece.size();
    }
    std::memcpy(&gap, raw, sizeof(Gap));
    return true;
  }

 private:
  ChainReader chain_;
};

/// Calls `visit(ByteView)` for every piece of the chain, in order.
template <class Visit>
void for_each_piece(const BlockChain& chain, Visit&& visit) {
  for (ChainReader reader(chain); !reader.at_end();) visit(reader.take(UINT64_MAX));
}

}  // namespace flowloom
