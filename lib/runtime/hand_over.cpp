#include "runtime/hand_over.hpp"

#include <algorithm>

namespace flowloom {

HandOver::HandOver(const FlowOwners& owners)
    : owners_(owners), sources_(owners.workers()), seen_(owners.workers()) {
  for (unsigned sender = 0; sender <= workers(); ++sender) {
    for (unsigned receiver = 0; receiver <= workers(); ++receiver) {
      lanes_.push_back(sender == receiver ? nullptr : std::make_unique<HandOverLane>());
    }
  }
}

Outbox HandOver::outbox(unsigned sender) const {
  std::vector<HandOverLane*> lanes;
  for (unsigned receiver = 0; receiver <= workers(); ++receiver) {
    lanes.push_back(lane(sender, receiver));
  }
  return Outbox(std::move(lanes));
}

Inbox HandOver::inbox(unsigned receiver) const {
  std::vector<HandOverLane*> lanes;
  for (unsigned sender = 0; sender <= workers(); ++sender) {
    if (sender != receiver) lanes.push_back(lane(sender, receiver));
  }
  return Inbox(std::move(lanes));
}

// A source that has nothing in hand is passed by: what it brings later came later. Whether it has
// is asked after all were asked how far they are. So a packet that was received before one that
// counts here is seen: its source is receiving, or has put it into its lane.
//
// While all are silent time goes on as far as the least of them has told, which holds for one that
// is receiving, too.
HandOver::Reach HandOver::reach_of_sources() {
  for (std::size_t i = 0; i < sources_.size(); ++i) seen_[i] = sources_[i].at.read();
  EventKey least{kTimeMax, ~std::uint64_t{0}, 0};
  EventKey most;
  bool any_at_work = false;
  bool all_ended = true;
  Timestamp silent_until = kTimeMax;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const SourceWork work = sources_[i].work.load(std::memory_order_acquire);
    most = std::max(most, seen_[i]);
    all_ended = all_ended && work == SourceWork::Ended;
    if (work != SourceWork::Ended) {
      const auto told = sources_[i].silent_until.load(std::memory_order_acquire);
      silent_until = std::min(silent_until, from_nanoseconds(told));
    }
    if (work != SourceWork::Receiving) continue;
    any_at_work = true;
    least = std::min(least, seen_[i]);
  }
  reached_ = std::max(reached_, any_at_work ? least : most);
  // Before any packet of that clock: numbers begin with 1.
  if (!all_ended) reached_ = std::max(reached_, EventKey{silent_until, 0, 0});
  return {reached_, all_ended};
}

void HandOver::publish(const Reach& reach) {
  reach_.publish(reach.key.clock, reach.key.number);
  if (reach.ended) ended_.store(true, std::memory_order_release);
}

HandOver::Reach HandOver::reach() const {
  const bool ended = ended_.load(std::memory_order_acquire);
  return {reach_.read(), ended};
}

std::size_t HandOver::reserved_bytes() const {
  const std::size_t lanes = lanes_.size() - (workers() + 1);
  return lanes * ((HandOverLane::kPackets + 1) * sizeof(Packet) + sizeof(HandOverLane)) +
         FlowOwners::kSums * sizeof(std::uint16_t);
}

}  // namespace flowloom
