#include "compat/nids/segment_store.hpp"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace flowloom::nids {

SegmentStore::~SegmentStore() {
  for (skbuff* head : free_) {
    while (head != nullptr) std::free(std::exchange(head, head->next));
  }
}

skbuff* SegmentStore::take(ByteView bytes) {
  const std::size_t need = sizeof(skbuff) + bytes.size();
  const auto exact = static_cast<unsigned>(std::bit_width(need - 1));
  const unsigned shift = exact < kSmallestShift ? kSmallestShift : exact;
  if (shift > kLargestShift) return nullptr;
  const unsigned size_class = shift - kSmallestShift;
  void* memory = free_[size_class];
  if (memory != nullptr) {
    free_[size_class] = free_[size_class]->next;
  } else {
    memory = std::malloc(std::size_t{1} << shift);
    if (memory == nullptr) return nullptr;
  }
  auto* const segment = new (memory) skbuff{};
  segment->size_class = static_cast<std::uint8_t>(size_class);
  segment->bytes = static_cast<std::uint32_t>(bytes.size());
  segment->data = reinterpret_cast<std::uint8_t*>(segment + 1);
  if (!bytes.empty()) std::memcpy(segment->data, bytes.data(), bytes.size());
  return segment;
}

void SegmentStore::give_back(skbuff* segment) {
  segment->next = free_[segment->size_class];
  free_[segment->size_class] = segment;
}

}  // namespace flowloom::nids
