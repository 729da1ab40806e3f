// Writes the files of a pack: appends blocks, each whole or not at all. After a failed write the
// file is cut back to its last whole block. Does not know what blocks hold.
#pragma once

#include "sinks/descriptor.hpp"
#include "sinks/pack_format.hpp"

#include <zstd.h>

#include <memory>
#include <vector>

namespace flowloom {

/// How blocks are stored.
struct PackCompression {
  PackCodec codec = PackCodec::Plain;
  int level = 0;
};

/// Compresses one block after the other with one context.
class PackCompressor {
 public:
  explicit PackCompressor(const PackCompression& compression);
  /// The block as it is stored, and what the header says of it; valid until the next call.
  ByteView store(ByteView raw, PackBlockHeader& header);

 private:
  struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  PackCompression compression_;
  std::unique_ptr<ZSTD_CCtx, FreeContext> context_;
  std::vector<std::uint8_t> buffer_;
};

class PackFile {
 public:
  /// Creates the file in `folder` and writes its header; an errno value where that fails.
  int create(int folder, const char* name, PackFileKind kind, std::uint64_t number);
  /// Adds a block; an errno value where that fails. A file that could not even be cut back is
  /// closed.
  int append(PackCompressor& compressor, std::uint64_t position, ByteView raw);
  int close();
  [[nodiscard]] bool is_open() const { return file_.valid(); }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  Descriptor file_;
  std::uint64_t size_ = 0;
};

}  // namespace flowloom
