// Software RSS: descriptors from the RX thread to the worker that owns their flow, in order, in
// bursts, over single-producer single-consumer rings; and the way back, how far each worker is,
// so that frames can be released.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "export/watermark.hpp"
#include "io/packet_source.hpp"
#include "net/packet.hpp"
#include "runtime/descriptor_ring.hpp"

namespace flowloom {

class Steering {
 public:
  explicit Steering(unsigned workers);

  // --- RX thread

  /// Sends every packet of the burst whose verdict is Tcp to its owner; waits while a ring is
  /// full. The burst counts as outstanding until release_done().
  void distribute(const Burst& burst, PacketSource& source);
  /// Releases what all workers are done with; returns whether anything is still outstanding.
  bool release_done(PacketSource& source);
  /// The clock has come so far without packets.
  void pass_time(Timestamp clock) { progress_.publish(clock, last_number_); }
  /// Number of the last packet that was released.
  [[nodiscard]] std::uint64_t released() const { return released_; }
  void finish() { finished_.store(true, std::memory_order_release); }

  // --- worker threads

  /// What a worker found: packets; or nothing up to `progress`; or the end.
  enum class State : std::uint8_t { Packets, Idle, End };
  State receive(unsigned worker, Burst& burst, EventKey& progress);
  /// Packets that wait in its ring; a little old.
  [[nodiscard]] std::uint32_t waiting(unsigned worker) const {
    return lanes_[worker]->ring.size();
  }
  /// Everything up to (clock, number) needs no frame any more.
  void done(unsigned worker, Timestamp clock, std::uint64_t number) {
    lanes_[worker]->done.publish(clock, number);
  }

  /// The owner of a flow: another part of the hash than the flow table's.
  [[nodiscard]] unsigned owner_of(std::uint64_t flow_hash) const {
    return static_cast<unsigned>(((flow_hash >> 32) & 0xffff) * lanes_.size() >> 16);
  }

  static constexpr std::uint32_t kRingPackets = 2048;

 private:
  /// One per worker.
  struct Lane {
    Lane() : ring(kRingPackets) {}
    DescriptorRing ring;
    Watermark done;
    std::uint32_t staged = 0;
    std::array<Packet, kBurstMax> stage;
  };
  /// A received burst whose frames are still in use.
  struct Outstanding {
    std::uint32_t size;
    std::uint64_t last_number;
  };
  void flush(Lane& lane, PacketSource& source);
  void note_outstanding(const Outstanding& burst, PacketSource& source);
  void release_oldest(PacketSource& source);

  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Outstanding> outstanding_;  // a ring: a burst for each packet that the lanes can hold
  std::size_t oldest_ = 0;
  std::size_t outstanding_count_ = 0;
  Burst to_release_;
  std::uint64_t last_number_ = 0;  // that was distributed
  std::uint64_t released_ = 0;
  Watermark progress_;
  alignas(64) std::atomic<bool> finished_{false};
};

}  // namespace flowloom
