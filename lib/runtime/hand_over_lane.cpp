#include "runtime/hand_over_lane.hpp"

namespace flowloom {

Outbox::Outbox(std::vector<HandOverLane*> lanes)
    : lanes_(std::move(lanes)), receivers_(kOpenMax), settled_of_(lanes_.size()) {}

bool Outbox::send(unsigned receiver, const Packet& packet) {
  if (sent_ - settled_ == kOpenMax && sent_ - settle() == kOpenMax) return false;
  if (!lanes_[receiver]->push(packet)) return false;
  receivers_[sent_ % kOpenMax] = static_cast<std::uint16_t>(receiver);
  ++sent_;
  return true;
}

std::uint64_t Outbox::settle() {
  while (settled_ < sent_) {
    const std::uint16_t receiver = receivers_[settled_ % kOpenMax];
    const std::uint64_t done = lanes_[receiver]->done();
    if (done == settled_of_[receiver]) break;
    while (settled_ < sent_ && receivers_[settled_ % kOpenMax] == receiver &&
           settled_of_[receiver] < done) {
      ++settled_of_[receiver];
      ++settled_;
    }
  }
  return settled_;
}

bool Inbox::look() {
  bool any = false;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    heads_[i] = lanes_[i]->look();
    any = any || heads_[i] != nullptr;
  }
  return any;
}

const Packet* Inbox::least(std::uint16_t& lane) const {
  lane = kNone;
  const Packet* least = nullptr;
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    if (heads_[i] == nullptr) continue;
    if (least != nullptr && !(key_of(*heads_[i]) < key_of(*least))) continue;
    least = heads_[i];
    lane = static_cast<std::uint16_t>(i);
  }
  return least;
}

void Inbox::take(std::uint16_t lane, Packet& packet) {
  packet = *heads_[lane];
  lanes_[lane]->take();
  heads_[lane] = lanes_[lane]->look();
}

std::uint32_t Inbox::waiting() const {
  std::uint32_t sum = 0;
  for (const HandOverLane* lane : lanes_) sum += lane->waiting();
  return sum;
}

}  // namespace flowloom
