// See pack_sink.hpp.
#include "sinks/pack_sink.hpp"

#include "sinks/chain_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace flowloom {
namespace {

/// So much data is written at most before the index says whose it is: what a kill costs.
constexpr std::uint64_t kIndexEvery = std::uint64_t{1} << 20;
/// An index block is not larger than this and one entry.
constexpr std::size_t kIndexBlockBytes = std::size_t{256} << 10;

}  // namespace

PackSink::PackSink(Descriptor folder, const PackSettings& settings)
    : folder_(std::move(folder)), pace_(settings.pace), compressor_(settings.compression) {
  status_.name = "pack";
  block_.reserve(kPackBlockBytes);
  if (const int error = index_.create(folder_.get(), kPackIndexName, PackFileKind::Index, 0)) {
    note_error(error);
  }
}

void PackSink::consume(StreamEvent& event) {
  const StreamMessage& message = event.message();
  const std::array<PackExtent, 2> data = {append(message.data[0]), append(message.data[1])};
  const Pending entry{.encoded = encoder_.add(message, event.uid(), data),
                      .data = {data[0].at, data[0].bytes + data[1].bytes},
                      .connection = event.record().first_packet,
                      .closes = event.closes()};
  pending_.push_back(entry);
  // A part of it was in a block that could not be written.
  if (entry.data.bytes > 0 && entry.data.at < lost_end_) forget_lost(entry.data.at, lost_end_);
  if (unindexed_ >= kIndexEvery || encoder_.bytes().size() >= kIndexBlockBytes) write_index();
}

/// Copies the chain into the block in work; its place among all bytes.
PackExtent PackSink::append(const BlockChain& chain) {
  const PackExtent extent{block_at_ + block_.size(), chain.bytes};
  for_each_piece(chain, [this](ByteView piece) {
    while (!piece.empty()) {
      const std::size_t count = std::min(piece.size(), kPackBlockBytes - block_.size());
      const ByteView part = piece.first(count);
      block_.insert(block_.end(), part.begin(), part.end());
      piece = piece.subspan(count);
      if (block_.size() == kPackBlockBytes) write_data();
    }
  });
  return extent;
}

void PackSink::write_data() {
  if (block_.empty()) return;
  const std::uint64_t end = block_at_ + block_.size();
  if (const int error = write_data_block(); error != 0) {
    note_error(error);
    forget_lost(block_at_, end);
    lost_end_ = end;
  }
  unindexed_ += block_.size();
  block_at_ = end;
  block_.clear();
}

int PackSink::write_data_block() {
  if (data_.is_open() && data_.size() >= kPackFileBytesMax) {
    if (const int error = data_.close(); error != 0) note_error(error);
  }
  if (!data_.is_open()) {
    const std::string name = pack_data_name(data_files_);
    const int error = data_.create(folder_.get(), name.c_str(), PackFileKind::Data, data_files_);
    if (error != 0) return error;
    ++data_files_;
  }
  return data_.append(compressor_, block_at_, block_);
}

/// Entries whose bytes stood in [begin, end) are lost with them.
void PackSink::forget_lost(std::uint64_t begin, std::uint64_t end) {
  std::size_t at = 0;
  for (auto entry = pending_.begin(); entry != pending_.end();) {
    const bool lost = entry->data.bytes > 0 && entry->data.at < end &&
                      entry->data.at + entry->data.bytes > begin;
    if (!lost) {
      at += entry->encoded;
      ++entry;
      continue;
    }
    encoder_.drop(at, at + entry->encoded);
    drop(*entry);
    entry = pending_.erase(entry);
  }
}

/// Writes the entries whose bytes are written.
void PackSink::write_index() {
  unindexed_ = 0;
  while (!pending_.empty()) {
    std::size_t bytes = 0;
    std::size_t entries = 0;
    for (const Pending& entry : pending_) {
      const bool written = entry.data.bytes == 0 || entry.data.at + entry.data.bytes <= block_at_;
      if (!written || bytes >= kIndexBlockBytes) break;
      bytes += entry.encoded;
      ++entries;
    }
    if (entries == 0) return;
    const int error = index_.is_open()
                          ? index_.append(compressor_, entries_, encoder_.bytes().first(bytes))
                          : EBADF;
    if (error != 0) note_error(error);
    for (; entries > 0; --entries) {
      error == 0 ? count(pending_.front()) : drop(pending_.front());
      entries_ += error == 0 ? 1 : 0;
      pending_.pop_front();
    }
    encoder_.drop_front(bytes);
  }
}

void PackSink::count(const Pending& entry) {
  status_.bytes += entry.data.bytes;
  if (!entry.closes) return;
  const bool whole = damaged_.size() == 0 || damaged_.find(entry.connection) == nullptr;
  ++(whole ? status_.records : status_.dropped);
  if (!whole) damaged_.erase(entry.connection);
}

void PackSink::drop(const Pending& entry) {
  status_.dropped_bytes += entry.data.bytes;
  if (entry.closes) {
    ++status_.dropped;
    damaged_.erase(entry.connection);
  } else {
    damaged_.at(entry.connection) = true;
  }
}

void PackSink::flush() {
  constexpr std::chrono::seconds kFlushEvery{1};
  if (pace_ == Pace::Stored) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - flushed_ < kFlushEvery) return;
  flushed_ = now;
  write_out();
}

void PackSink::write_out() {
  write_data();
  write_index();
}

void PackSink::finish() {
  write_out();
  const std::size_t end = encoder_.add_end();
  if (index_.is_open()) {
    const int error = index_.append(compressor_, entries_, encoder_.bytes().last(end));
    if (error != 0) note_error(error);
  }
  for (PackFile* file : {&data_, &index_}) {
    if (const int error = file->close(); error != 0) note_error(error);
  }
}

void PackSink::note_error(int error) {
  if (status_.first_error.empty()) status_.first_error = describe_errno(error);
}

}  // namespace flowloom
