// See content_printer.hpp.
#include "sinks/content_printer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace flowloom {
namespace {

constexpr std::uint8_t kSpace = 0x20;
constexpr std::uint8_t kDelete = 0x7f;

char printable(std::uint8_t byte) {
  return byte >= kSpace && byte < kDelete ? static_cast<char>(byte) : '.';
}

/// tcpdump's right column shows a space as a dot, so that columns can be counted.
char graphic(std::uint8_t byte) {
  return byte == kSpace ? '.' : printable(byte);
}

}  // namespace

void ContentPrinter::print(ByteView piece) {
  if (piece.empty()) return;
  last_ = piece.back();
  switch (mode_) {
    case PrintMode::None:
      return;
    case PrintMode::Ascii:
      return print_ascii(piece);
    case PrintMode::Hex:
      return print_hex(piece);
    case PrintMode::Raw:
      return output_.append({reinterpret_cast<const char*>(piece.data()), piece.size()});
  }
}

void ContentPrinter::print_ascii(ByteView piece) {
  text_.clear();
  std::transform(piece.begin(), piece.end(), std::back_inserter(text_), [](std::uint8_t byte) {
    return byte == '\n' || byte == '\t' ? static_cast<char>(byte) : printable(byte);
  });
  output_.append(text_);
}

void ContentPrinter::print_hex(ByteView piece) {
  while (!piece.empty()) {
    const std::size_t count = std::min(kRowBytes - row_size_, piece.size());
    std::copy_n(piece.begin(), count, row_.begin() + static_cast<std::ptrdiff_t>(row_size_));
    row_size_ += count;
    piece = piece.subspan(count);
    if (row_size_ == kRowBytes) print_row();
  }
}

/// "\t0x0010:  4745 5420 2f20 ...  GET./." with the right column where a full row has it.
void ContentPrinter::print_row() {
  constexpr std::size_t kHexWidth = kRowBytes / 2 * 5;
  text_.clear();
  fmt::format_to(std::back_inserter(text_), "\t0x{:04x}:  ", row_offset_);
  const std::size_t hex_begin = text_.size();
  for (std::size_t i = 0; i < row_size_; ++i) {
    fmt::format_to(std::back_inserter(text_), "{:02x}{}", row_[i], i % 2 == 0 ? "" : " ");
  }
  text_.resize(hex_begin + kHexWidth + 1, ' ');
  for (std::size_t i = 0; i < row_size_; ++i) text_.push_back(graphic(row_[i]));
  text_.push_back('\n');
  output_.append(text_);
  row_offset_ += row_size_;
  row_size_ = 0;
}

void ContentPrinter::finish() {
  if (mode_ == PrintMode::Hex) {
    if (row_size_ > 0) print_row();
  } else if (last_ != '\n') {
    output_.append('\n');
  }
  last_ = '\n';
}

}  // namespace flowloom
