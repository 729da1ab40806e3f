#include "io/amsdu_splitter.hpp"

#include <algorithm>

namespace flowloom {

namespace {

bool may_be_aggregate(const Packet& packet) {
  return packet.link == LinkType::Ieee80211 || packet.link == LinkType::Radiotap ||
         packet.link == LinkType::Prism;
}

}  // namespace

void AmsduSplitter::take_next(Burst& burst) {
  Packet& out = burst.packets[burst.size++];
  if (part_ < part_count_) {
    out = parts_[part_++];
    out.flags = static_cast<std::uint8_t>(out.flags | packet_flags::kSubframe);
  } else {
    const Packet& in = received_.packets[next_++];
    part_ = part_count_ = 0;
    if (may_be_aggregate(in)) part_count_ = split_amsdu(in, parts_);
    out = part_count_ > 0 ? parts_[part_++] : in;
  }
  out.number = ++number_;
}

SourceState AmsduSplitter::receive(Burst& burst) {
  if (!splitting_) {
    const SourceState state = inner_.receive(burst);
    if (state != SourceState::Packets) return state;
    const auto end = burst.packets.begin() + burst.size;
    splitting_ = std::any_of(burst.packets.begin(), end, may_be_aggregate);
    if (!splitting_) {
      number_ = burst.packets[burst.size - 1].number;
      return state;
    }
    passed_on_ = number_;
    received_ = burst;
  } else if (nothing_left()) {
    received_.limit = burst.limit;
    next_ = 0;
    const SourceState state = inner_.receive(received_);
    if (state != SourceState::Packets) {
      received_.size = 0;
      return state;
    }
  }
  burst.size = 0;
  while (burst.size < burst.limit && !nothing_left()) take_next(burst);
  if (nothing_left()) {
    const std::uint64_t inner_number = received_.packets[received_.size - 1].number;
    lent_.push_back({number_, inner_number, received_.size});
  }
  return SourceState::Packets;
}

void AmsduSplitter::release(Burst& burst) {
  if (burst.size == 0) return;
  const std::uint64_t done = burst.packets[burst.size - 1].number;
  if (!splitting_ || done <= passed_on_) {
    inner_.release(burst);
    return;
  }
  Burst inner;
  while (!lent_.empty() && lent_.front().last_number <= done) {
    inner.size = lent_.front().inner_size;
    inner.packets[inner.size - 1].number = lent_.front().inner_number;
    inner_.release(inner);
    lent_.pop_front();
  }
}

}  // namespace flowloom
