// What an EthdevSource has handed over and not given back yet: mbufs, and contiguous copies of
// chained ones, in the order of their packets. For ethdev_source.cpp only: DPDK's headers end here.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "io/ethdev_source.hpp"
#include "io/packet_source.hpp"
#include "net/packet.hpp"

namespace flowloom {

class EthdevFrames {
 public:
  explicit EthdevFrames(const EthdevSettings& settings);
  ~EthdevFrames();
  EthdevFrames(const EthdevFrames&) = delete;
  EthdevFrames& operator=(const EthdevFrames&) = delete;

  /// Takes the mbuf and sets frame and captured; false where there is no room for it.
  [[nodiscard]] bool hold(rte_mbuf* mbuf, Packet& packet) {
    if (held_ + kept_ == ring_.size() && !give_up_kept()) return false;
    Frame& frame = ring_[behind_first(kept_ + held_)];
    if (mbuf->nb_segs == 1) [[likely]] {
      packet.frame = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
      packet.captured = mbuf->data_len;
      frame = {.mbuf = mbuf, .copy_end = 0};
    } else if (!make_contiguous(mbuf, packet, frame)) {
      return false;
    }
    ++held_;
    return true;
  }

  /// The oldest `count` that are held are done with. Preconditions: count <= kBurstMax.
  void release(std::uint32_t count);

  /// As PacketSource says it. mbufs that were released go back to their pool as late as that, or
  /// when there is no room for others.
  ByteView keep_released(std::uint64_t packets, FrameKeeper& keeper);

  /// Chained frames that were copied to be contiguous.
  [[nodiscard]] std::uint64_t copied() const { return copied_; }

 private:
  /// An mbuf, or the copy of a chain up to an end.
  struct Frame {
    rte_mbuf* mbuf;  // nullptr: a copy
    std::uint32_t copy_end;
  };

  [[nodiscard]] std::uint32_t behind_first(std::uint32_t frames) const {
    const std::uint32_t place = first_ + frames;
    const auto size = static_cast<std::uint32_t>(ring_.size());
    return place < size ? place : place - size;
  }
  bool give_up_kept();
  void free_kept(std::uint32_t count);
  [[nodiscard]] bool make_contiguous(rte_mbuf* mbuf, Packet& packet, Frame& frame);
  [[nodiscard]] std::uint32_t reserve_copy(std::uint32_t bytes);

  // Oldest first: those kept beyond their release, then those handed over.
  std::vector<Frame> ring_;
  std::uint32_t first_ = 0;
  std::uint32_t kept_ = 0;
  std::uint32_t held_ = 0;

  rte_mempool* pool_;
  std::uint32_t kept_max_ = 0;
  FrameKeeper* keeper_ = nullptr;

  // A ring of bytes; copies are taken and given back in the order of the frames.
  std::unique_ptr<std::uint8_t[]> copies_;
  std::uint32_t copies_bytes_;
  std::uint32_t copies_begin_ = 0;  // oldest byte in use
  std::uint32_t copies_end_ = 0;    // next free byte
  std::uint32_t copies_held_ = 0;
  std::uint64_t copied_ = 0;
};

}  // namespace flowloom
