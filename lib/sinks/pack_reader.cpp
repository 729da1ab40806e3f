// See pack_reader.hpp.
#include "sinks/pack_reader.hpp"

#include "sinks/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace flowloom {
namespace {

constexpr int kOpen = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
constexpr int kOpenFolder = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr std::size_t kProblemsMax = 100;  // of a pack that is rotten all over

bool read_fully(int fd, void* to, std::size_t count, std::uint64_t at) {
  auto* bytes = static_cast<std::uint8_t*>(to);
  while (count > 0) {
    const ssize_t n = ::pread(fd, bytes, count, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes += n;
    at += static_cast<std::uint64_t>(n);
    count -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

std::string PackBlockReader::open(int folder, const std::string& name, PackFileKind kind) {
  file_ = Descriptor(::openat(folder, name.c_str(), kOpen));
  if (!file_.valid()) return fmt::format("cannot open {}: {}", name, describe_errno(errno));
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return fmt::format("{} is not a file", name);
  }
  size_ = static_cast<std::uint64_t>(info.st_size);
  PackFileHeader header;
  if (!read_fully(file_.get(), &header, sizeof header, 0) || header.magic != kPackMagic ||
      header.kind != kind) {
    return fmt::format("{} is no file of a pack", name);
  }
  if (header.version != kPackVersion) {
    return fmt::format("{} is of version {}; this program reads version {}", name, header.version,
                       kPackVersion);
  }
  return "";
}

PackBlockReader::State PackBlockReader::header(std::uint64_t at, PackBlockHeader& header) const {
  if (at >= size_) return State::End;
  if (!read_fully(file_.get(), &header, sizeof header, at) || !is_plausible(header) ||
      header.stored_bytes > size_ - at - sizeof header) {
    return State::Damaged;
  }
  return State::Block;
}

bool PackBlockReader::content(std::uint64_t at, const PackBlockHeader& header,
                              std::vector<std::uint8_t>& raw) {
  const bool plain = header.codec == PackCodec::Plain;
  std::vector<std::uint8_t>& stored = plain ? raw : stored_;
  stored.resize(header.stored_bytes);
  if (!read_fully(file_.get(), stored.data(), stored.size(), at + sizeof header) ||
      pack_checksum(header, stored) != header.checksum) {
    return false;
  }
  if (plain) return true;
  if (context_ == nullptr) context_.reset(ZSTD_createDCtx());
  if (context_ == nullptr) throw std::bad_alloc();
  raw.resize(header.raw_bytes);
  return ZSTD_decompressDCtx(context_.get(), raw.data(), raw.size(), stored_.data(),
                             stored_.size()) == raw.size();
}

PackReader::PackReader(const std::string& folder) {
  folder_ = Descriptor(::open(folder.c_str(), kOpenFolder));
  if (!folder_.valid()) {
    error_ = fmt::format("cannot open the folder {}: {}", folder, describe_errno(errno));
    return;
  }
  error_ = index_.open(folder_.get(), kPackIndexName, PackFileKind::Index);
  if (!error_.empty()) error_ = fmt::format("{}: {}", folder, error_);
}

void PackReader::rewind() {
  index_at_ = sizeof(PackFileHeader);
  left_ = {};
  complete_ = false;
}

void PackReader::note(std::string problem) {
  const bool known = std::find(problems_.begin(), problems_.end(), problem) != problems_.end();
  if (!known && problems_.size() < kProblemsMax) problems_.push_back(std::move(problem));
}

/// A damaged block is passed over where its header is whole: its length is then known.
bool PackReader::load_index_block() {
  for (;;) {
    PackBlockHeader header;
    const PackBlockReader::State state = index_.header(index_at_, header);
    if (state == PackBlockReader::State::End) return false;
    if (state == PackBlockReader::State::Damaged) {
      note(fmt::format("the index is readable up to byte {} of {}", index_at_, index_.size()));
      return false;
    }
    const std::uint64_t at = index_at_;
    index_at_ += sizeof header + header.stored_bytes;
    if (index_.content(at, header, entries_)) {
      left_ = entries_;
      return true;
    }
    note(fmt::format("the index block at byte {} is damaged", at));
  }
}

bool PackReader::next(PackEntry& entry) {
  for (;;) {
    if (left_.empty() && !load_index_block()) return false;
    if (!decode_pack_entry(left_, entry)) {
      note(fmt::format("an entry of the index block before byte {} makes no sense", index_at_));
      left_ = {};
      continue;
    }
    if (entry.kind != PackEntry::Kind::End) return true;
    complete_ = true;
  }
}

void PackReader::list_data() {
  listed_ = true;
  for (std::uint64_t number = 0;; ++number) {
    const std::string name = pack_data_name(number);
    if (::faccessat(folder_.get(), name.c_str(), F_OK, 0) != 0) break;
    auto file = std::make_unique<PackBlockReader>();
    if (std::string problem = file->open(folder_.get(), name, PackFileKind::Data);
        !problem.empty()) {
      note(std::move(problem));
    } else {
      files_.push_back(std::move(file));
      list_blocks(static_cast<std::uint32_t>(files_.size() - 1));
    }
  }
  const auto before = [](const Block& a, const Block& b) { return a.position < b.position; };
  if (!std::is_sorted(blocks_.begin(), blocks_.end(), before)) {
    std::stable_sort(blocks_.begin(), blocks_.end(), before);
  }
}

void PackReader::list_blocks(std::uint32_t file) {
  PackBlockHeader header;
  std::uint64_t at = sizeof(PackFileHeader);
  while (files_[file]->header(at, header) == PackBlockReader::State::Block) {
    blocks_.push_back({header.position, file, at, header});
    at += sizeof header + header.stored_bytes;
  }
}

const PackReader::Block* PackReader::block_of(std::uint64_t position) {
  if (!listed_) list_data();
  const auto after = std::upper_bound(
      blocks_.begin(), blocks_.end(), position,
      [](std::uint64_t wanted, const Block& block) { return wanted < block.position; });
  if (after == blocks_.begin()) return nullptr;
  const Block& block = *(after - 1);
  return position - block.position < block.header.raw_bytes ? &block : nullptr;
}

/// The block's content, in place of the one that was used longest ago.
const PackReader::LoadedBlock& PackReader::load(const Block& block) {
  const auto is_it = [&block](const LoadedBlock& loaded) { return loaded.block == &block; };
  auto place = std::find_if(loaded_.begin(), loaded_.end(), is_it);
  if (place == loaded_.end()) {
    place = std::min_element(loaded_.begin(), loaded_.end(),
                             [](const auto& a, const auto& b) { return a.used < b.used; });
    place->block = &block;
    place->good = files_[block.file]->content(block.at, block.header, place->content);
    if (!place->good) {
      note(fmt::format("the data block at byte {} of {} is damaged", block.at,
                       pack_data_name(block.file)));
    }
  }
  place->used = ++uses_;
  return *place;
}

bool PackReader::read(const PackExtent& extent, const std::function<void(ByteView)>& visit) {
  std::uint64_t at = extent.at;
  for (std::uint64_t left = extent.bytes; left > 0;) {
    const Block* block = block_of(at);
    if (block == nullptr) return false;
    const LoadedBlock& loaded = load(*block);
    if (!loaded.good) return false;
    const std::uint64_t from = at - block->position;
    const auto count = std::min<std::uint64_t>(left, loaded.content.size() - from);
    visit(ByteView(loaded.content)
              .subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(count)));
    at += count;
    left -= count;
  }
  return true;
}

}  // namespace flowloom
