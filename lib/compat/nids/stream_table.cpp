#include "compat/nids/stream_table.hpp"

namespace flowloom::nids {

StreamTable::StreamTable(std::uint32_t capacity, const HashSeed& seed)
    : seed_(seed), pool_(capacity), table_(capacity, KeyOf{pool_.data()}) {}

Stream* StreamTable::add(const tuple4& ends, std::uint64_t hash) {
  const std::uint32_t index = pool_.take();
  if (index == kNoIndex) return nullptr;
  Stream& stream = pool_[index];
  stream.seen.addr = ends;
  stream.hash = hash;
  stream.index = index;
  if (!table_.insert(hash, index)) {
    pool_.give_back(index);
    return nullptr;
  }
  stream.seen.prev_time = latest_ == nullptr ? nullptr : &latest_->seen;
  if (latest_ != nullptr) latest_->seen.next_time = &stream.seen;
  if (oldest_ == nullptr) oldest_ = &stream;
  latest_ = &stream;
  return &stream;
}

void StreamTable::remove(Stream& stream) {
  tcp_stream* const before = stream.seen.prev_time;
  tcp_stream* const after = stream.seen.next_time;
  if (before != nullptr) before->next_time = after;
  if (after != nullptr) after->prev_time = before;
  if (oldest_ == &stream) oldest_ = after == nullptr ? nullptr : &stream_of(after);
  if (latest_ == &stream) latest_ = before == nullptr ? nullptr : &stream_of(before);
  table_.erase(stream.hash, stream.index);
  pool_.give_back(stream.index);
}

}  // namespace flowloom::nids
