// See pack_file.hpp.
#include "sinks/pack_file.hpp"

#include <fcntl.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <new>

namespace flowloom {
namespace {

constexpr mode_t kFileMode = 0666;  // the user's umask decides
constexpr int kCreate = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

PackCompressor::PackCompressor(const PackCompression& compression) : compression_(compression) {
  if (compression_.codec == PackCodec::Plain) return;
  context_.reset(ZSTD_createCCtx());
  if (context_ == nullptr) throw std::bad_alloc();
}

ByteView PackCompressor::store(ByteView raw, PackBlockHeader& header) {
  header.raw_bytes = static_cast<std::uint32_t>(raw.size());
  header.stored_bytes = header.raw_bytes;
  header.codec = PackCodec::Plain;
  if (context_ == nullptr) return raw;
  buffer_.resize(ZSTD_compressBound(raw.size()));
  const std::size_t size = ZSTD_compressCCtx(context_.get(), buffer_.data(), buffer_.size(),
                                             raw.data(), raw.size(), compression_.level);
  // What does not shrink is stored as it is: TLS, images.
  if (ZSTD_isError(size) != 0 || size >= raw.size()) return raw;
  header.codec = PackCodec::Zstd;
  header.stored_bytes = static_cast<std::uint32_t>(size);
  return {buffer_.data(), size};
}

int PackFile::create(int folder, const char* name, PackFileKind kind, std::uint64_t number) {
  file_ = Descriptor(::openat(folder, name, kCreate, kFileMode));
  if (!file_.valid()) return errno;
  const PackFileHeader header{.kind = kind, .number = number};
  const WriteResult result =
      write_fully(file_.get(), reinterpret_cast<const char*>(&header), sizeof header);
  size_ = sizeof header;
  if (result.error == 0) return 0;
  file_ = Descriptor();
  ::unlinkat(folder, name, 0);
  return result.error;
}

int PackFile::append(PackCompressor& compressor, std::uint64_t position, ByteView raw) {
  PackBlockHeader header{.position = position};
  const ByteView stored = compressor.store(raw, header);
  header.checksum = pack_checksum(header, stored);
  std::array<iovec, 2> pieces = {iovec{&header, sizeof header},
                                 iovec{const_cast<std::uint8_t*>(stored.data()), stored.size()}};
  const WriteResult result = pwritev_fully(file_.get(), pieces, static_cast<off_t>(size_));
  if (result.error == 0) {
    size_ += result.written;
    return 0;
  }
  if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) file_ = Descriptor();
  return result.error;
}

int PackFile::close() {
  return file_.valid() ? file_.close() : 0;
}

}  // namespace flowloom
