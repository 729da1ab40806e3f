#include "runtime/ring_sender.hpp"

#include <fmt/format.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "base/check.hpp"

namespace flowloom {

// net_ring gives this name to the ring of a queue, which it receives from and sends to.
RingSender::RingSender(const std::string& port, unsigned queue, rte_mempool* pool)
    : pool_(pool), ring_(rte_ring_lookup(fmt::format("ETH_RXTX{}_{}", queue, port).c_str())) {
  FLOWLOOM_CHECK(ring_ != nullptr);
  const int failed = rte_mbuf_dyn_rx_timestamp_register(&stamp_offset_, &stamp_flag_);
  FLOWLOOM_CHECK(failed == 0);
}

std::size_t RingSender::room() const { return rte_ring_free_count(ring_); }

void RingSender::send(std::span<const Packet> packets, Duration shift) {
  while (!packets.empty()) {
    std::array<rte_mbuf*, kBurstMax> mbufs;
    const auto size = static_cast<unsigned>(std::min(packets.size(), mbufs.size()));
    const int failed = rte_pktmbuf_alloc_bulk(pool_, mbufs.data(), size);
    FLOWLOOM_CHECK(failed == 0);
    for (unsigned i = 0; i < size; ++i) fill(*mbufs[i], packets[i], shift);
    void* const* const objects = reinterpret_cast<void* const*>(mbufs.data());
    const unsigned sent = rte_ring_enqueue_bulk(ring_, objects, size, nullptr);
    FLOWLOOM_CHECK(sent == size);
    packets = packets.subspan(size);
  }
}

void RingSender::fill(rte_mbuf& mbuf, const Packet& packet, Duration shift) const {
  std::memcpy(rte_pktmbuf_mtod(&mbuf, void*), packet.frame, packet.captured);
  mbuf.data_len = static_cast<std::uint16_t>(packet.captured);
  mbuf.pkt_len = packet.captured;
  const auto stamp = std::chrono::floor<std::chrono::microseconds>(packet.stamp + shift);
  const auto offset = static_cast<std::size_t>(stamp_offset_);
  *RTE_MBUF_DYNFIELD(&mbuf, offset, rte_mbuf_timestamp_t*) =
      static_cast<rte_mbuf_timestamp_t>(stamp.time_since_epoch().count());
  mbuf.ol_flags |= stamp_flag_;
}

}  // namespace flowloom
