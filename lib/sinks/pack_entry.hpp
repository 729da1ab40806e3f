// One entry of a pack's index: a StreamMessage without its bytes, which lie elsewhere, and how it
// is written and read. docs/pack.md lists the fields. Knows no files.
#pragma once

#include "export/stream_message.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flowloom {

/// Bytes of one message and direction: [at, at + bytes) of all bytes of the pack.
struct PackExtent {
  std::uint64_t at = 0;
  std::uint64_t bytes = 0;
};

/// Where the bytes of a message's directions begin in their streams, and in the pack.
struct PackData {
  std::array<StreamOffset, 2> offset{};
  std::array<PackExtent, 2> extent;

  /// Of both directions: the second follows the first.
  [[nodiscard]] PackExtent all() const {
    return {extent[0].at, extent[0].bytes + extent[1].bytes};
  }
};

/// What a reader gets. Vectors are used again from entry to entry.
struct PackEntry {
  enum class Kind : std::uint8_t { Progress, Close, End };

  Kind kind = Kind::Close;
  bool first = true;  ///< no earlier entry of this connection
  ConnectionRecord record;
  std::string uid;
  std::array<StreamOffset, 2> data_offset{};
  std::array<PackExtent, 2> data;
  std::array<std::vector<Gap>, 2> gaps;
  std::vector<Conflict> conflicts;
};

/// Appends entries to a buffer that grows to the size it needs and stays there.
class PackEncoder {
 public:
  /// Returns how many bytes were appended.
  std::size_t add(const StreamMessage& message, std::string_view uid,
                  const PackData& data);
  std::size_t add_end();
  [[nodiscard]] ByteView bytes() const { return {buffer_.data(), size_}; }
  /// Forgets the first `count` bytes.
  void drop_front(std::size_t count);
  /// Forgets [begin, end).
  void drop(std::size_t begin, std::size_t end);

 private:
  void record(const ConnectionRecord& record);
  void side(const SideRecord& side, bool ipv6);
  void side_data(const BlockChain& gaps, StreamOffset offset, const PackExtent& data);
  void conflicts(const BlockChain& chain);
  std::size_t begin();
  std::size_t finish(std::size_t begin);

  void room(std::size_t bytes) {
    if (buffer_.size() - size_ < bytes) grow(bytes);
  }
  void grow(std::size_t bytes);
  void byte(std::uint8_t value) {
    room(1);
    buffer_[size_++] = value;
  }
  void varint(std::uint64_t value);
  void zigzag(std::int64_t value) {
    varint(static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63));
  }
  void raw(const void* bytes, std::size_t count);

  std::vector<std::uint8_t> buffer_;
  std::size_t size_ = 0;
};

/// Reads the entry at the front of `bytes` and moves them on; false where it is not whole or makes
/// no sense. Every length is checked: a pack may come from anywhere.
bool decode_pack_entry(ByteView& bytes, PackEntry& entry);

}  // namespace flowloom
