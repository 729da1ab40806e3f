#include "io/ethdev_frames.hpp"

#include <rte_memory.h>
#include <rte_mempool.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kNoRoom = 0xffffffff;

/// The pieces of memory that a pool's mbufs lie in.
struct PoolMemory {
  const std::uint8_t* begin = nullptr;
  const std::uint8_t* end = nullptr;
  const void* list = nullptr;  // of EAL's memory: nobody else is between two pieces of one
  bool in_one_list = true;
};

void add_piece(rte_mempool* /*pool*/, void* memory, rte_mempool_memhdr* piece, unsigned number) {
  auto& all = *static_cast<PoolMemory*>(memory);
  const auto* const begin = static_cast<const std::uint8_t*>(piece->addr);
  const void* const list = rte_mem_virt2memseg_list(begin);
  const bool first = number == 0;
  if (first) all.list = list;
  all.in_one_list = all.in_one_list && list != nullptr && list == all.list;
  all.begin = first ? begin : std::min(all.begin, begin);
  all.end = first ? begin + piece->len : std::max(all.end, begin + piece->len);
}

}  // namespace

EthdevFrames::EthdevFrames(const EthdevSettings& settings)
    : ring_(settings.held_max),
      pool_(settings.pool),
      copies_(std::make_unique_for_overwrite<std::uint8_t[]>(settings.scratch_bytes)),
      copies_bytes_(settings.scratch_bytes) {
  FLOWLOOM_CHECK(settings.held_max >= kBurstMax);
  FLOWLOOM_CHECK(settings.scratch_bytes >= ethdev_limits::kFrameMax);
}

EthdevFrames::~EthdevFrames() {
  kept_ += held_;
  while (kept_ > 0) free_kept(std::min(kept_, kBurstMax));
}

void EthdevFrames::release(std::uint32_t count) {
  FLOWLOOM_DCHECK(count <= held_ && count <= kBurstMax);
  for (std::uint32_t i = 0; i < count && copies_held_ > 0; ++i) {
    const Frame& frame = ring_[behind_first(kept_ + i)];
    if (frame.mbuf != nullptr) continue;
    copies_begin_ = frame.copy_end;
    --copies_held_;
  }
  held_ -= count;
  kept_ += count;
  if (kept_ > kept_max_) free_kept(std::min(kept_ - kept_max_, kBurstMax));
}

ByteView EthdevFrames::keep_released(std::uint64_t packets, FrameKeeper& keeper) {
  if (pool_ == nullptr || packets > ring_.size() / 2) return {};
  PoolMemory memory;
  rte_mempool_mem_iter(pool_, add_piece, &memory);
  const auto bytes = static_cast<std::size_t>(memory.end - memory.begin);
  if (!memory.in_one_list || bytes > kKeptMemoryMax) return {};
  kept_max_ = static_cast<std::uint32_t>(packets);
  keeper_ = &keeper;
  return {memory.begin, bytes};
}

/// Makes room for one frame where released ones take it; false where all are held.
bool EthdevFrames::give_up_kept() {
  if (kept_ == 0) return false;
  const rte_mbuf* const mbuf = ring_[first_].mbuf;
  if (mbuf != nullptr) {
    keeper_->before_reuse({rte_pktmbuf_mtod(mbuf, const std::uint8_t*), mbuf->data_len});
  }
  free_kept(1);
  return true;
}

/// Preconditions: count <= kept_, count <= kBurstMax.
void EthdevFrames::free_kept(std::uint32_t count) {
  std::array<rte_mbuf*, kBurstMax> freed;
  std::uint32_t mbufs = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    rte_mbuf* const mbuf = ring_[first_].mbuf;
    if (mbuf != nullptr) freed[mbufs++] = mbuf;
    first_ = behind_first(1);
  }
  kept_ -= count;
  if (mbufs > 0) rte_pktmbuf_free_bulk(freed.data(), mbufs);
}

/// Copies a chain into the ring of copies and frees it; false where that has no room now.
bool EthdevFrames::make_contiguous(rte_mbuf* mbuf, Packet& packet, Frame& frame) {
  std::uint32_t bytes = 0;
  for (const rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next) {
    bytes += segment->data_len;
  }
  bytes = std::min({bytes, packet.wire_length, ethdev_limits::kFrameMax});
  const std::uint32_t at = reserve_copy(bytes);
  if (at == kNoRoom) return false;
  std::uint32_t done = 0;
  for (const rte_mbuf* segment = mbuf; done < bytes; segment = segment->next) {
    const std::uint32_t part = std::min<std::uint32_t>(segment->data_len, bytes - done);
    std::memcpy(copies_.get() + at + done, rte_pktmbuf_mtod(segment, const void*), part);
    done += part;
  }
  rte_pktmbuf_free(mbuf);
  packet.frame = copies_.get() + at;
  packet.captured = bytes;
  frame = {.mbuf = nullptr, .copy_end = at + bytes};
  ++copied_;
  return true;
}

/// Takes `bytes` contiguous bytes behind the newest copy, or at the front of the ring.
std::uint32_t EthdevFrames::reserve_copy(std::uint32_t bytes) {
  if (copies_held_ == 0) copies_begin_ = copies_end_ = 0;
  const bool wrapped = copies_held_ > 0 && copies_end_ <= copies_begin_;
  const std::uint32_t limit = wrapped ? copies_begin_ : copies_bytes_;
  std::uint32_t at = kNoRoom;
  if (limit - copies_end_ >= bytes) {
    at = copies_end_;
  } else if (!wrapped && copies_begin_ >= bytes) {
    at = 0;
  } else {
    return kNoRoom;
  }
  copies_end_ = at + bytes;
  ++copies_held_;
  return at;
}

}  // namespace flowloom
