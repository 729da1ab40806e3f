// Compressed input by content, whatever its name. gzip goes through zlib, which gives every byte
// before the place where a file was cut off (libarchive drops up to 64 KiB there); all others go
// through libarchive's "raw" format and its filters. Plain captures never come here. Memory is what
// a filter needs for its window, so a bomb costs time only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "io/input_file.hpp"

namespace flowloom {

/// The compressed bytes: those that were already read from the file, then the rest of it.
class CompressedInput {
 public:
  CompressedInput(InputFile& file, std::vector<std::uint8_t> begun);

  /// The next piece; empty at the end of the input and where it cannot be read (error()).
  ByteView next();
  [[nodiscard]] const std::string& error() const { return file_.error(); }

 private:
  InputFile& file_;
  std::vector<std::uint8_t> bytes_;
  bool begun_ = true;  // bytes_ are not yet handed out
};

class Decompressor {
 public:
  virtual ~Decompressor() = default;

  /// Gives every byte that can be had before it fails.
  virtual ReadResult read(std::span<std::uint8_t> to) = 0;

  /// False: the content is not compressed in a way that is known here.
  [[nodiscard]] bool recognised() const { return recognised_; }
  [[nodiscard]] const std::string& error() const { return error_; }

 protected:
  bool recognised_ = true;
  std::string error_;
};

/// `begun` are the bytes that were already read from the file.
std::unique_ptr<Decompressor> make_decompressor(InputFile& file, std::vector<std::uint8_t> begun);

}  // namespace flowloom
