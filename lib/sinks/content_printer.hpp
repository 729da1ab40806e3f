// Shows stream bytes to a reader: as text, as a hex dump in tcpdump's form, or raw. As text and
// as hex nothing but printable ASCII (and, in text, line feed and tab) ever comes out, so a
// stream cannot steer the reader's terminal.
#pragma once

#include "base/bytes.hpp"
#include "sinks/record_writer.hpp"

#include <array>
#include <string>

namespace flowloom {

enum class PrintMode : std::uint8_t { None, Ascii, Hex, Raw };

/// Prints one stretch of bytes that may come in pieces.
class ContentPrinter {
 public:
  ContentPrinter(PrintMode mode, RecordWriter& output) : mode_(mode), output_(output) {}
  void print(ByteView piece);
  /// Ends the last line; what is printed afterwards begins one.
  void finish();
  /// The next byte stands `count` further on in the stream.
  void skip(std::uint64_t count) { row_offset_ += count; }

 private:
  static constexpr std::size_t kRowBytes = 16;
  void print_ascii(ByteView piece);
  void print_hex(ByteView piece);
  void print_row();

  PrintMode mode_;
  RecordWriter& output_;
  std::string text_;
  std::array<std::uint8_t, kRowBytes> row_{};
  std::size_t row_size_ = 0;
  std::uint64_t row_offset_ = 0;
  std::uint8_t last_ = '\n';
};

}  // namespace flowloom
