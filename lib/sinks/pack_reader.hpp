// Reads a pack: entries in the order in which they were written, and the bytes they name. What a
// killed or still running writer has left so far is read; nothing is believed without its checksum.
// Files are read block by block, so a pack may be larger than memory.
#pragma once

#include "sinks/descriptor.hpp"
#include "sinks/pack_entry.hpp"
#include "sinks/pack_format.hpp"

#include <zstd.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace flowloom {

/// Reads blocks of one file.
class PackBlockReader {
 public:
  enum class State : std::uint8_t { Block, End, Damaged };

  /// One sentence where the file is no pack file of that kind, or nothing.
  std::string open(int folder, const std::string& name, PackFileKind kind);
  /// The header at `at`; End where nothing follows.
  State header(std::uint64_t at, PackBlockHeader& header) const;
  /// The block's content as it was before compression; false where it is damaged.
  bool content(std::uint64_t at, const PackBlockHeader& header, std::vector<std::uint8_t>& raw);
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  struct FreeContext {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  Descriptor file_;
  std::uint64_t size_ = 0;
  std::vector<std::uint8_t> stored_;
  std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
};

class PackReader {
 public:
  /// Opens the pack in `folder`. error() is one clear sentence where that fails.
  explicit PackReader(const std::string& folder);
  [[nodiscard]] const std::string& error() const { return error_; }

  /// The next entry of a connection; false at the end.
  bool next(PackEntry& entry);
  /// From the first entry again.
  void rewind();
  /// Calls `visit` for the pieces of an extent, in order; false where a part is missing or damaged.
  /// Pieces before that have been visited.
  bool read(const PackExtent& extent, const std::function<void(ByteView)>& visit);

  /// Whether the writer finished; meaningful after next() returned false.
  [[nodiscard]] bool complete() const { return complete_; }
  /// What is damaged, one sentence each; meaningful after next() returned false.
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

 private:
  struct Block {
    std::uint64_t position;
    std::uint32_t file;
    std::uint64_t at;  ///< in the file
    PackBlockHeader header;
  };
  /// Bytes of connections that ended by FIN stand where those arrived, others where they ended, so
  /// entries in their order read from more than one place of the data.
  static constexpr std::size_t kLoadedBlocks = 4;
  struct LoadedBlock {
    const Block* block = nullptr;
    bool good = false;
    std::uint64_t used = 0;  ///< when last, as a number of uses
    std::vector<std::uint8_t> content;
  };
  bool load_index_block();
  void list_data();
  void list_blocks(std::uint32_t file);
  const Block* block_of(std::uint64_t position);
  const LoadedBlock& load(const Block& block);
  void note(std::string problem);

  Descriptor folder_;
  std::string error_;
  PackBlockReader index_;
  std::uint64_t index_at_ = sizeof(PackFileHeader);
  std::vector<std::uint8_t> entries_;  ///< the index block in work
  ByteView left_;
  bool complete_ = false;
  bool listed_ = false;
  std::vector<std::unique_ptr<PackBlockReader>> files_;
  std::vector<Block> blocks_;
  std::array<LoadedBlock, kLoadedBlocks> loaded_;
  std::uint64_t uses_ = 0;
  std::vector<std::string> problems_;
};

}  // namespace flowloom
