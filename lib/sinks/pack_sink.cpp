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
  const PackData data = message.ticket != 0 ? early_.at(message) : append_all(message);
  const Pending entry{.encoded = encoder_.add(message, event.uid(), data),
                      .data = data.all(),
                      .connection = event.record().first_packet,
                      .closes = event.closes()};
  if (is_lost(entry.data)) {
    encoder_.drop(encoder_.bytes().size() - entry.encoded, encoder_.bytes().size());
    drop(entry);
  } else {
    pending_.push_back(entry);
  }
  if (unindexed_ >= kIndexEvery || encoder_.bytes().size() >= kIndexBlockBytes) write_index();
}

/// The record comes later, and the entry with it.
void PackSink::consume_bytes(StreamEvent& event) {
  early_.at(event.message()) = append_all(event.message());
  if (unindexed_ >= kIndexEvery) write_index();
}

PackData PackSink::append_all(const StreamMessage& message) {
  PackData data;
  for (unsigned d = 0; d < 2; ++d) {
    data.offset[d] = message.data_offset[d];
    data.extent[d] = append(message.data[d]);
  }
  return data;
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
    note_lost(block_at_, end);
    forget_lost();
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

void PackSink::note_lost(std::uint64_t begin, std::uint64_t end) {
  if (!lost_.empty() && lost_.back().at + lost_.back().bytes == begin) {
    lost_.back().bytes += end - begin;
  } else {
    lost_.push_back({begin, end - begin});
  }
}

/// A part of it was in a block that could not be written.
bool PackSink::is_lost(const PackExtent& data) const {
  if (data.bytes == 0) return false;
  const auto after = std::partition_point(lost_.begin(), lost_.end(), [&](const PackExtent& lost) {
    return lost.at + lost.bytes <= data.at;
  });
  return after != lost_.end() && after->at < data.at + data.bytes;
}

/// Entries whose bytes are lost go with them.
void PackSink::forget_lost() {
  std::size_t at = 0;
  for (auto entry = pending_.begin(); entry != pending_.end();) {
    if (!is_lost(entry->data)) {
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
