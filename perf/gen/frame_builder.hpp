// Segments as Ethernet frames over IPv4 or IPv6, whole or in fragments, with checksums computed
// over the finished bytes.
#pragma once

#include "perf/gen/segment.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace flowloom::gen {

enum class Padding : std::uint8_t { None, Ethernet };

class FrameBuilder {
 public:
  explicit FrameBuilder(Padding padding) : padding_(padding) {}

  using Frame = std::span<const std::uint8_t>;

  /// The segment as one frame; valid until the next call.
  Frame whole(const Identity& identity, const Segment& segment);

  /// Prepares the segment for fragment(): how many pieces of at most `piece_bytes` it makes.
  std::size_t split(const Identity& identity, const Segment& segment, std::size_t piece_bytes);
  /// Piece `i` of what was split last; valid until the next call of any but split().
  Frame fragment(std::size_t i);

  static constexpr std::size_t kLargestPayload = 1460;

 private:
  struct Slice {
    std::size_t offset;
    std::size_t bytes;
  };

  std::size_t write_ip(const Identity& identity, Side sender, Slice slice);
  Frame finish(std::size_t ip_bytes, Slice slice);

  static constexpr std::size_t kLargestSegment = 60 + kLargestPayload;
  static constexpr std::size_t kLargestFrame = 14 + 40 + 8 + kLargestSegment + 60;

  Padding padding_;
  std::uint16_t next_id_ = 1;
  std::uint16_t id_ = 0;
  std::size_t segment_bytes_ = 0;
  std::size_t piece_bytes_ = 0;
  Identity split_identity_;
  Side split_side_ = Side::Client;
  std::array<std::uint8_t, kLargestSegment> segment_{};
  std::array<std::uint8_t, kLargestFrame> frame_{};
};

}  // namespace flowloom::gen
