#include "io/decompressor.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace flowloom {

namespace {

constexpr std::size_t kInputBytes = std::size_t{64} << 10;
constexpr std::array<std::uint8_t, 2> kGzipMagic{0x1f, 0x8b};
constexpr int kGzipWindowBits = 15 + 16;  // the largest window; 16 asks for the gzip format

bool is_gzip(ByteView bytes) {
  return bytes.size() >= kGzipMagic.size() &&
         std::equal(kGzipMagic.begin(), kGzipMagic.end(), bytes.begin());
}

class GzipDecompressor final : public Decompressor {
 public:
  explicit GzipDecompressor(CompressedInput input) : input_(std::move(input)) {
    ready_ = inflateInit2(&stream_, kGzipWindowBits) == Z_OK;
  }
  ~GzipDecompressor() override {
    if (ready_) inflateEnd(&stream_);
  }
  GzipDecompressor(const GzipDecompressor&) = delete;
  GzipDecompressor& operator=(const GzipDecompressor&) = delete;

  ReadResult read(std::span<std::uint8_t> to) override;

 private:
  bool more_input();
  bool next_member();

  CompressedInput input_;
  z_stream stream_{};
  ByteView piece_;
  bool ready_ = false;
  bool ended_ = false;
};

bool GzipDecompressor::more_input() {
  if (stream_.avail_in != 0) return true;
  piece_ = input_.next();
  stream_.next_in = const_cast<Bytef*>(piece_.data());
  stream_.avail_in = static_cast<uInt>(piece_.size());
  return !piece_.empty();
}

// A gzip file may hold several members; what follows the last one and is none is ignored, as gzip
// does. A member's first two bytes may lie in two pieces: then the first one decides.
bool GzipDecompressor::next_member() {
  if (!more_input()) return false;
  const ByteView rest(stream_.next_in, stream_.avail_in);
  if (rest[0] != kGzipMagic[0] || (rest.size() > 1 && !is_gzip(rest))) return false;
  return inflateReset(&stream_) == Z_OK;
}

ReadResult GzipDecompressor::read(std::span<std::uint8_t> to) {
  if (ended_) return {ReadState::End};
  if (!ready_) {
    error_ = "there is no memory to decompress it";
    return {ReadState::Failed};
  }
  if (!error_.empty()) return {ReadState::Failed};
  const std::size_t room = std::min<std::size_t>(to.size(), std::numeric_limits<uInt>::max());
  stream_.next_out = to.data();
  stream_.avail_out = static_cast<uInt>(room);
  while (stream_.avail_out != 0) {
    if (stream_.avail_in == 0 && stream_.avail_out != room) break;  // a pipe may be silent now
    if (!more_input()) {
      error_ = input_.error().empty() ? "its gzip data is cut off" : input_.error();
      break;
    }
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
      ended_ = !next_member();
      if (ended_) break;
    } else if (result != Z_OK) {
      error_ = "its gzip data is damaged";
      break;
    }
  }
  const std::size_t bytes = room - stream_.avail_out;
  if (bytes != 0) return {ReadState::Bytes, bytes};
  return {ended_ ? ReadState::End : ReadState::Failed};
}

class ArchiveDecompressor final : public Decompressor {
 public:
  explicit ArchiveDecompressor(CompressedInput input) : input_(std::move(input)) {}
  ~ArchiveDecompressor() override {
    if (archive_ != nullptr) archive_read_free(archive_);
  }
  ArchiveDecompressor(const ArchiveDecompressor&) = delete;
  ArchiveDecompressor& operator=(const ArchiveDecompressor&) = delete;

  ReadResult read(std::span<std::uint8_t> to) override;

 private:
  bool open();
  void fail();
  static la_ssize_t feed(archive* handle, void* self, const void** buffer);

  CompressedInput input_;
  archive* archive_ = nullptr;
  bool opened_ = false;
  bool empty_ = false;
  const std::uint8_t* block_ = nullptr;  // decompressed, not yet handed out
  std::size_t block_bytes_ = 0;
};

void ArchiveDecompressor::fail() {
  const char* text = archive_error_string(archive_);
  error_ = text != nullptr ? text : "it cannot be decompressed";
}

bool ArchiveDecompressor::open() {
  archive_ = archive_read_new();
  if (archive_ == nullptr) {
    error_ = "there is no memory to decompress it";
    return false;
  }
  // Named one by one: "all" would include filters that start external programs.
  archive_read_support_filter_bzip2(archive_);
  archive_read_support_filter_compress(archive_);
  archive_read_support_filter_lz4(archive_);
  archive_read_support_filter_lzip(archive_);
  archive_read_support_filter_xz(archive_);
  archive_read_support_filter_zstd(archive_);
  archive_read_support_format_raw(archive_);
  archive_read_support_format_empty(archive_);
  archive_entry* entry = nullptr;
  int header = archive_read_open(archive_, this, nullptr, &ArchiveDecompressor::feed, nullptr);
  if (header == ARCHIVE_OK) header = archive_read_next_header(archive_, &entry);
  if (header != ARCHIVE_OK && header != ARCHIVE_EOF) {
    fail();
    return false;
  }
  empty_ = header == ARCHIVE_EOF;
  recognised_ = archive_filter_code(archive_, 0) != ARCHIVE_FILTER_NONE;
  return recognised_;
}

la_ssize_t ArchiveDecompressor::feed(archive* handle, void* self, const void** buffer) {
  CompressedInput& input = static_cast<ArchiveDecompressor*>(self)->input_;
  const ByteView piece = input.next();
  *buffer = piece.data();
  if (piece.empty() && !input.error().empty()) {
    archive_set_error(handle, EIO, "%s", input.error().c_str());
    return -1;
  }
  return static_cast<la_ssize_t>(piece.size());
}

ReadResult ArchiveDecompressor::read(std::span<std::uint8_t> to) {
  if (!opened_) {
    if (archive_ != nullptr || !open()) return {ReadState::Failed};
    opened_ = true;
  }
  if (empty_) return {ReadState::End};
  while (block_bytes_ == 0) {
    const void* block = nullptr;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(archive_, &block, &block_bytes_, &offset);
    if (result == ARCHIVE_EOF) return {ReadState::End};
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      block_bytes_ = 0;
      fail();
      return {ReadState::Failed};
    }
    block_ = static_cast<const std::uint8_t*>(block);
  }
  const std::size_t bytes = std::min(block_bytes_, to.size());
  std::memcpy(to.data(), block_, bytes);
  block_ += bytes;
  block_bytes_ -= bytes;
  return {ReadState::Bytes, bytes};
}

}  // namespace

CompressedInput::CompressedInput(InputFile& file, std::vector<std::uint8_t> begun)
    : file_(file), bytes_(std::move(begun)) {}

ByteView CompressedInput::next() {
  if (std::exchange(begun_, false) && !bytes_.empty()) return bytes_;
  bytes_.resize(kInputBytes);
  return ByteView(bytes_).first(file_.read(bytes_, Waiting::Forever).bytes);
}

std::unique_ptr<Decompressor> make_decompressor(InputFile& file, std::vector<std::uint8_t> begun) {
  const bool gzip = is_gzip(begun);
  CompressedInput input(file, std::move(begun));
  if (gzip) return std::make_unique<GzipDecompressor>(std::move(input));
  return std::make_unique<ArchiveDecompressor>(std::move(input));
}

}  // namespace flowloom
