#include "io/copy_ring.hpp"

#include <algorithm>
#include <cstring>

#include "base/check.hpp"

namespace flowloom {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kLargestCopies = 4;

/// At least one line, so that no two copies end at the same place.
constexpr std::size_t rounded(std::size_t bytes) {
  return (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

CopyRing::CopyRing(std::size_t bytes, std::size_t largest)
    : largest_(rounded(largest)), memory_(std::max(rounded(bytes), kLargestCopies * largest_)) {}

bool CopyRing::has_room() const {
  if (head_ >= tail_) return memory_.bytes() - head_ >= largest_ || tail_ > largest_;
  return tail_ - head_ > largest_;
}

std::uint8_t* CopyRing::copy(const void* bytes, std::size_t size) {
  FLOWLOOM_DCHECK(has_room() && rounded(size) <= largest_);
  if (head_ >= tail_ && memory_.bytes() - head_ < rounded(size)) head_ = 0;
  auto* const to = reinterpret_cast<std::uint8_t*>(memory_.data()) + head_;
  if (size > 0) std::memcpy(to, bytes, size);  // of no bytes the place may be nullptr
  head_ += rounded(size);
  return to;
}

void CopyRing::free_to(std::size_t mark) {
  tail_ = mark;
  // Starting over keeps to the same lines as long as frames are given back soon.
  if (tail_ == head_) head_ = tail_ = 0;
}

}  // namespace flowloom
