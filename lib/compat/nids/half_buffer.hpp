// The bytes of one direction that a program is shown: half_stream.data and what counts them. Nearly
// always a callback takes all it is given, so bytes stand in memory that all connections share
// until a callback leaves some; from then on the half has memory of its own, of libnids' sizes.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "compat/nids/abi.hpp"

namespace flowloom::nids {

class HalfBuffer {
 public:
  /// Shows `bytes` behind what was kept: count, count_new, bufsize and data follow.
  void append(half_stream& half, ByteView bytes);

  /// Takes the first `taken` of the bytes shown away, and keeps the rest.
  void drop(half_stream& half, int taken);

  /// The half ends.
  void release(half_stream& half) const;

 private:
  // The largest bufsize of a half that keeps nothing is that of one segment of 64 KiB that follows
  // another: bufsize + twice the bytes.
  static constexpr std::size_t kSharedBytes = std::size_t{256} << 10;
  // Kept bytes beyond this are given up: half_stream counts in int.
  static constexpr std::uint32_t kKeptMax = std::uint32_t{1} << 30;

  [[nodiscard]] bool is_shared(const half_stream& half) const {
    return half.data == nullptr || half.data == shared_.data();
  }
  void make_room(half_stream& half, std::uint32_t bytes);

  std::array<char, kSharedBytes> shared_{};
};

}  // namespace flowloom::nids
