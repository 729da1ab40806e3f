#include "ip/datagram_ring.hpp"

#include <cstring>

#include "base/check.hpp"

namespace flowloom {

DatagramRing::DatagramRing(std::size_t capacity)
    : memory_(capacity / kLineBytes * kLineBytes), capacity_(memory_.size()) {}

std::size_t DatagramRing::span_of(std::size_t bytes) {
  return (bytes + kHeaderBytes + kLineBytes - 1) / kLineBytes * kLineBytes;
}

DatagramRing::Header DatagramRing::header_at(std::uint64_t position) const {
  Header header;
  std::memcpy(&header, at(position), sizeof header);
  return header;
}

void DatagramRing::put_header(std::uint64_t position, Header header) {
  std::memcpy(at(position), &header, sizeof header);
}

bool DatagramRing::has_room(std::size_t bytes) const {
  const std::size_t span = span_of(bytes);
  if (capacity_ == 0) return false;
  const std::size_t skipped = span <= to_end() ? 0 : to_end();
  return head_ - tail_ + skipped + span <= capacity_;
}

DatagramRing::Block DatagramRing::take(std::size_t bytes) {
  if (!has_room(bytes)) return {};
  const std::size_t span = span_of(bytes);
  if (span > to_end()) {  // the rest before the end is a block of its own that nobody uses
    const auto rest = static_cast<std::uint32_t>(to_end());
    put_header(head_, {State::Released, rest});
    head_ += rest;
  }
  const Handle handle = head_;
  put_header(handle, {State::Taken, static_cast<std::uint32_t>(span)});
  head_ += span;
  return {{at(handle) + kHeaderBytes, bytes}, handle};
}

void DatagramRing::release(Handle handle) {
  FLOWLOOM_DCHECK(handle >= tail_ && handle < head_);
  Header header = header_at(handle);
  FLOWLOOM_DCHECK(header.state == State::Taken);
  header.state = State::Released;
  put_header(handle, header);
  while (tail_ != head_ && header_at(tail_).state == State::Released)
    tail_ += header_at(tail_).span;
  // Empty: begin at the start again, so that a pipeline that releases at once stays in its cache.
  if (tail_ == head_) tail_ = head_ = (head_ + capacity_ - 1) / capacity_ * capacity_;
}

}  // namespace flowloom
