// The other end of a net_ring port: frames copied into mbufs and put where a queue of the port
// receives them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/time.hpp"
#include "net/packet.hpp"

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

namespace flowloom {

/// Preconditions: EAL is initialised, the port exists. One thread.
class RingSender {
 public:
  /// Sends to queue `queue` of `port` ("net_ring0"), in mbufs of `pool`, which must have as many as
  /// the ring and who receives from it can hold.
  RingSender(const std::string& port, unsigned queue, rte_mempool* pool);

  /// How many packets the ring takes yet.
  [[nodiscard]] std::size_t room() const;
  /// Frames and stamps, these later by `shift` and in whole microseconds, as
  /// StampSource::MbufMicroseconds reads them. Preconditions: room().
  void send(std::span<const Packet> packets, Duration shift);

 private:
  void fill(rte_mbuf& mbuf, const Packet& packet, Duration shift) const;

  rte_mempool* pool_;
  rte_ring* ring_;
  int stamp_offset_ = -1;
  std::uint64_t stamp_flag_ = 0;
};

}  // namespace flowloom
