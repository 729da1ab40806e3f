#include "runtime/hand_over_worker.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace flowloom {

namespace {

/// So much at a time, so that the worker on the same thread goes on as well.
constexpr std::uint32_t kFragmentsPerRound = 4 * kBurstMax;

constexpr EventKey kNoLimit{kTimeMax, ~std::uint64_t{0}, ~std::uint32_t{0}};

}  // namespace

FragmentStage::FragmentStage(HandOver& shared, Front& front, Ledger& ledger, WhenFull when_full)
    : shared_(shared),
      front_(front),
      ledger_(ledger),
      when_full_(when_full),
      inbox_(shared.inbox(shared.fragments())),
      outbox_(shared.outbox(shared.fragments())) {}

void FragmentStage::run() {
  // In this order: what was put into a lane before that is then found.
  const HandOver::Reach reach = shared_.reach_of_sources();
  const bool any = inbox_.look();
  const bool all = (!any && !waiting_) || put_together(reach) == Round::Done;
  if (all) {
    clock_.pass(reach.key.clock);
    front_.expire(reach.key.clock);
  }
  published_ = std::max(published_, all ? reach.key : std::min(put_, reach.key));
  shared_.publish({published_, all && reach.ended});
  release();
}

FragmentStage::Round FragmentStage::put_together(const HandOver::Reach& reach) {
  for (std::uint32_t i = 0; i < kFragmentsPerRound; ++i) {
    if (waiting_ && !send_on()) return Round::Stuck;
    if (front_.crowded()) return Round::Stuck;
    std::uint16_t lane = Inbox::kNone;
    const Packet* least = inbox_.least(lane);
    if (least == nullptr || (!reach.ended && reach.key < key_of(*least))) return Round::Done;
    inbox_.take(lane, segment_);
    clock_.place(segment_);
    const EventKey key = key_of(segment_);
    front_.expire(segment_.clock);
    waiting_ = front_.reassemble(segment_, outbox_.sent() + 1);
    inbox_.finish(lane, 1); // its bytes were copied
    if (waiting_) continue;
    ledger_.count(segment_);
    put_ = key;
  }
  return Round::Stuck;
}

bool FragmentStage::send_on() {
  const unsigned owner = shared_.owners().owner_of(segment_);
  if (outbox_.send(owner, segment_)) {
    if (owner != 0) ++ledger_.handed_over;
  } else if (when_full_ == WhenFull::Wait) {
    return false;
  } else {
    segment_.verdict = Verdict::LaneFull;
    ledger_.count(segment_);
  }
  waiting_ = false;
  put_ = key_of(segment_);
  return true;
}

void FragmentStage::release() {
  const std::uint64_t settled = outbox_.settle();
  idle_ = !waiting_ && settled == outbox_.sent();
  // A segment that could not be sent lies in the same memory as the one before it.
  front_.release(idle_ ? ~std::uint64_t{0} : settled);
}

HandOverWorker::HandOverWorker(HandOver& shared, unsigned index, PacketSource& source,
                               Front& front, Ledger& ledger, const HandOverPolicy& policy,
                               std::uint64_t first_number)
    : shared_(shared),
      index_(index),
      source_(source),
      front_(front),
      ledger_(ledger),
      policy_(policy),
      outbox_(shared.outbox(index)),
      inbox_(shared.inbox(index)),
      number_(first_number) {
  for (std::uint16_t slot = 0; slot < kSlots; ++slot) free_slots_.push_back(slot);
}

Burst* HandOverWorker::receive(std::uint32_t limit) {
  if (ended_ || routed_slot_ != kNoSlot || is_full()) return nullptr;
  Burst& burst = slots_[free_slots_.back()];
  burst.limit = limit;
  shared_.begins_to_receive(index_);
  switch (source_.receive(burst)) {
    case SourceState::Packets:
      routed_slot_ = free_slots_.back();
      free_slots_.pop_back();
      routed_ = kept_ = 0;
      decoded_ = false;
      source_number_ = burst.packets[burst.size - 1].number;
      return &burst;
    case SourceState::Idle:
      if (const auto clock = source_.idle_clock()) shared_.is_silent_until(index_, *clock);
      shared_.has_nothing(index_);
      break;
    case SourceState::End:
      stop();
      break;
  }
  return nullptr;
}

void HandOverWorker::stop() {
  if (ended_ || routed_slot_ != kNoSlot) return;
  ended_ = true;
  shared_.has_ended(index_);
}

inline unsigned HandOverWorker::receiver_of(const Packet& packet) const {
  if (packet.verdict == Verdict::Tcp) [[likely]] return shared_.owners().owner_of(packet);
  return packet.verdict == Verdict::Fragment ? shared_.fragments() : index_;
}

void HandOverWorker::route() {
  if (routed_slot_ == kNoSlot) return;
  Burst& burst = slots_[routed_slot_];
  if (!decoded_) front_.decode_all(burst);
  decoded_ = true;
  const EventKey last = key_of(burst.packets[burst.size - 1]);
  // Most of what a NIC brings is at its owner.
  while (kept_ == routed_ && routed_ < burst.size &&
         receiver_of(burst.packets[routed_]) == index_) {
    kept_ = ++routed_;
  }
  for (; routed_ < burst.size; ++routed_) {
    Packet& packet = burst.packets[routed_];
    const unsigned owner = receiver_of(packet);
    if (owner != index_) {
      shared_.hands_over();
      if (outbox_.send(owner, packet)) {
        const bool same_thread = owner == shared_.fragments() && index_ == 0;
        if (!same_thread) ++ledger_.handed_over;
        continue;
      }
      if (policy_.when_full == WhenFull::Wait) return;
      packet.verdict = Verdict::LaneFull;
    }
    if (kept_ != routed_) burst.packets[kept_] = packet;
    ++kept_;
  }
  Received& entry = received(received_end_++);
  entry = {burst.size, routed_slot_, source_number_, outbox_.sent()};
  burst.size = kept_;
  routed_slot_ = kNoSlot;
  // Not earlier: its own packets can be tracked only from now on.
  newest_ = last;
  shared_.is_at(index_, last);
}

// Live, a worker goes on without knowing whether others have something for it that is older: as
// long as nothing was ever handed over, and when it has had no room for too long, until the others
// have caught up.
EventKey HandOverWorker::limit() {
  reach_ = shared_.reach();
  if (reach_.ended) return kNoLimit;
  if (policy_.order == SourceOrder::Recorded) return reach_.key;
  if (newest_ <= reach_.key) {
    is_impatient_ = is_held_up_ = false;
    return reach_.key;
  }
  if (!shared_.any_handed_over()) return newest_;
  is_impatient_ = is_impatient_ || has_waited_enough();
  return is_impatient_ ? newest_ : reach_.key;
}

bool HandOverWorker::has_waited_enough() {
  if (!is_full()) {
    is_held_up_ = false;
    return false;
  }
  const auto now = std::chrono::steady_clock::now();
  if (!is_held_up_) held_up_since_ = now;
  is_held_up_ = true;
  return now - held_up_since_ >= kPatience;
}

void HandOverWorker::next_own() {
  ++own_next_;
  skip_empty();
}

/// Goes on to the next burst that has packets of this worker.
void HandOverWorker::skip_empty() {
  while (has_own() && own_next_ == slots_[received(own_).slot].size) {
    free_slots_.push_back(received(own_).slot);
    own_next_ = 0;
    ++own_;
  }
}

bool HandOverWorker::fits_whole(const EventKey& limit, const Packet* other) {
  if (!has_own() || own_next_ != 0) return false;
  const Burst& burst = slots_[received(own_).slot];
  const EventKey last = key_of(burst.packets[burst.size - 1]);
  return last <= limit && (other == nullptr || last < key_of(*other)) &&
         !clock_.is_late(burst.packets[0]);
}

void HandOverWorker::take_whole(Ready& ready) {
  ready.slot = received(own_).slot;
  ready.burst = &slots_[ready.slot];
  clock_.pass(ready.burst->packets[ready.burst->size - 1].clock);
  ++own_;
}

std::uint32_t HandOverWorker::assemble(Ready& ready, const EventKey& limit) {
  Burst& burst = *ready.burst;
  while (burst.size < kBurstMax) {
    std::uint16_t lane = Inbox::kNone;
    const Packet* other = inbox_.least(lane);
    if (has_own() && (other == nullptr || key_of(own_head()) < key_of(*other))) {
      if (limit < key_of(own_head())) break;
      burst.packets[burst.size] = own_head();
      lane = Inbox::kNone;
      next_own();
    } else {
      if (other == nullptr || limit < key_of(*other)) break;
      inbox_.take(lane, burst.packets[burst.size]);
    }
    ready.lanes[burst.size] = lane;
    clock_.place(burst.packets[burst.size]);
    ++burst.size;
  }
  return burst.size;
}

HandOverWorker::Ready* HandOverWorker::next() {
  FLOWLOOM_DCHECK(under_way_ < kUnderWay);
  const EventKey limit = this->limit();
  skip_empty();
  const bool any = inbox_.look();
  std::uint16_t lane = Inbox::kNone;
  const Packet* other = any ? inbox_.least(lane) : nullptr;
  Ready& ready = ready_[turn_];
  ready.slot = kNoSlot;
  if (fits_whole(limit, other)) {
    take_whole(ready);
  } else {
    ready.burst = &assembled_[turn_];
    ready.burst->size = 0;
    if (assemble(ready, limit) == 0) {
      if (under_way_ == 0) tracked_ = own_;
      return nullptr;
    }
  }
  ready.own_until = own_;
  turn_ = (turn_ + 1) % kUnderWay;
  ++under_way_;
  for (std::uint32_t i = 0; i < ready.burst->size; ++i) ready.burst->packets[i].number = ++number_;
  front_.identify(*ready.burst);
  return &ready;
}

void HandOverWorker::done(const Ready& ready) {
  --under_way_;
  tracked_ = ready.own_until;
  if (ready.slot != kNoSlot) {
    free_slots_.push_back(ready.slot);
    return;
  }
  const std::uint32_t size = ready.burst->size;
  for (std::uint32_t i = 0; i < size;) {
    const std::uint16_t lane = ready.lanes[i];
    std::uint32_t end = i + 1;
    while (end < size && ready.lanes[end] == lane) ++end;
    if (lane != Inbox::kNone) inbox_.finish(lane, end - i);
    i = end;
  }
}

Timestamp HandOverWorker::passed() {
  if (!reach_.ended) clock_.pass(reach_.key.clock);
  return clock_.now();
}

void HandOverWorker::release() {
  const std::uint64_t settled = outbox_.settle();
  while (received_begin_ < tracked_ && received(received_begin_).sent <= settled) {
    const Received& entry = received(received_begin_);
    to_release_.size = entry.size;
    to_release_.packets[entry.size - 1].number = entry.last_number;
    source_.release(to_release_);
    ++received_begin_;
  }
}

bool HandOverWorker::is_over() const {
  return reach_.ended && under_way_ == 0 && received_begin_ == received_end_;
}

}  // namespace flowloom
