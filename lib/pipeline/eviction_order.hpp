// Who must go first when there is no room: connections that are not confirmed yet, in the order in
// which they were created, and closed ones, in the order in which they closed. Two lists through an
// array parallel to the connections, so that adding, removing and finding the first are a few
// stores each, whatever a flood does.
#pragma once

#include <cstdint>

#include "base/memory.hpp"
#include "base/prefetch.hpp"
#include "base/slab_pool.hpp"

namespace flowloom {

class EvictionOrder {
 public:
  enum class List : std::uint8_t { Unconfirmed, Closed };

  explicit EvictionOrder(std::uint32_t capacity)
      : nodes_(std::size_t{capacity} + kLists), capacity_(capacity) {
    for (std::uint32_t end = capacity; end < capacity + kLists; ++end) {
      nodes_[end] = {end, end};
    }
  }

  /// Preconditions: `index` is in neither list.
  void add(List list, std::uint32_t index) {
    Node& end = nodes_[end_of(list)];
    nodes_[index] = {end.before, end_of(list)};
    nodes_[end.before].after = index;
    end.before = index;
  }
  /// Whether `index` is in one of the lists. Preconditions: it was, ever.
  [[nodiscard]] bool contains(std::uint32_t index) const {
    return nodes_[index].after != kNoIndex;
  }
  /// Preconditions: `index` is in one of the lists.
  void remove(std::uint32_t index) {
    Node& node = nodes_[index];
    nodes_[node.before].after = node.after;
    nodes_[node.after].before = node.before;
    node.after = kNoIndex;
  }

  /// Who is first, or kNoIndex.
  [[nodiscard]] std::uint32_t first(List list) const { return index_or_none(end_of(list)); }
  /// Who comes after `index` in its list, or kNoIndex.
  [[nodiscard]] std::uint32_t next(std::uint32_t index) const { return index_or_none(index); }

  void prefetch(std::uint32_t index) const {
    prefetch_line<PrefetchFor::Write>(nodes_.data() + index);
  }
  [[nodiscard]] std::size_t bytes() const { return nodes_.bytes(); }

 private:
  static constexpr std::uint32_t kLists = 2;
  struct Node {
    std::uint32_t before;
    std::uint32_t after;
  };
  [[nodiscard]] std::uint32_t end_of(List list) const {
    return capacity_ + static_cast<std::uint32_t>(list);
  }
  [[nodiscard]] std::uint32_t index_or_none(std::uint32_t before) const {
    const std::uint32_t index = nodes_[before].after;
    return index < capacity_ ? index : kNoIndex;
  }

  ReservedArray<Node> nodes_; // connections, then the ends of the lists
  std::uint32_t capacity_;
};

}  // namespace flowloom
