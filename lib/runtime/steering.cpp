#include "runtime/steering.hpp"

#include <algorithm>

#include "base/backoff.hpp"

namespace flowloom {

Steering::Steering(unsigned workers) {
  for (unsigned i = 0; i < workers; ++i) lanes_.push_back(std::make_unique<Lane>());
  outstanding_.resize(std::size_t{workers} * kRingPackets);
}

void Steering::distribute(const Burst& burst, PacketSource& source) {
  if (burst.size == 0) return;
  const Packet& last = burst.packets[burst.size - 1];
  note_outstanding({burst.size, last.number}, source);
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    const Packet& packet = burst.packets[i];
    if (packet.verdict != Verdict::Tcp) continue;
    Lane& lane = *lanes_[owner_of(packet.flow_hash)];
    lane.stage[lane.staged++] = packet;
  }
  for (const std::unique_ptr<Lane>& lane : lanes_) flush(*lane, source);
  // Published only when every ring holds its part: a worker that then finds its ring empty has
  // done everything up to here.
  last_number_ = last.number;
  progress_.publish(last.clock, last.number);
}

void Steering::flush(Lane& lane, PacketSource& source) {
  Backoff backoff;
  std::uint32_t sent = 0;
  while (sent < lane.staged) {
    const std::uint32_t n = lane.ring.push(&lane.stage[sent], lane.staged - sent);
    sent += n;
    if (n != 0) {
      backoff.reset();
      continue;
    }
    release_done(source);
    backoff.wait();
  }
  lane.staged = 0;
}

// There is room for another one, but where few of the packets are anybody's and a worker is slow.
void Steering::note_outstanding(const Outstanding& burst, PacketSource& source) {
  Backoff backoff;
  while (outstanding_count_ == outstanding_.size()) {
    release_done(source);
    backoff.wait();
  }
  outstanding_[(oldest_ + outstanding_count_++) % outstanding_.size()] = burst;
}

void Steering::release_oldest(PacketSource& source) {
  const Outstanding& burst = outstanding_[oldest_];
  to_release_.size = burst.size;
  to_release_.packets[burst.size - 1].number = released_ = burst.last_number;
  oldest_ = (oldest_ + 1) % outstanding_.size();
  --outstanding_count_;
  source.release(to_release_);
}

bool Steering::release_done(PacketSource& source) {
  if (outstanding_count_ == 0) return false;
  std::uint64_t done = ~std::uint64_t{0};
  for (const std::unique_ptr<Lane>& lane : lanes_) done = std::min(done, lane->done.read().number);
  while (outstanding_count_ > 0 && outstanding_[oldest_].last_number <= done) {
    release_oldest(source);
  }
  return outstanding_count_ > 0;
}

Steering::State Steering::receive(unsigned worker, Burst& burst, EventKey& progress) {
  // In this order: what was in the ring when `finished` or `progress` was published is then found.
  const bool finished = finished_.load(std::memory_order_acquire);
  progress = progress_.read();
  burst.size = lanes_[worker]->ring.pop(burst.packets.data(), burst.limit);
  if (burst.size > 0) return State::Packets;
  return finished ? State::End : State::Idle;
}

}  // namespace flowloom
