#include "api/single_run.hpp"

namespace flowloom {

SingleRun::SingleRun(const ApiSettings& settings, PacketEvents packets, const BpfFilter* filter,
                     StreamTable& streams, EventOutlet& outlet, ScanWatch* scans)
    : packets_(packets),
      filter_(filter),
      listener_(streams, outlet, packets, scans),
      front_(settings.front),
      shard_(settings.shard, listener_) {
  // A packet's event comes behind those that it caused, and before those of the next one.
  if (packets == PacketEvents::Yes) burst_.limit = 1;
}

SourceState SingleRun::step(PacketSource& source) {
  const SourceState state = source.receive(burst_);
  if (state == SourceState::Idle) pass_time(source);
  if (state != SourceState::Packets) return state;
  const Packet recorded = burst_.packets[0];
  for (std::uint32_t i = 0; i < burst_.size; ++i) {
    Packet& packet = burst_.packets[i];
    const bool wanted = filter_ == nullptr || filter_->matches(packet);
    packet.verdict = wanted ? Verdict::Tcp : Verdict::Filtered;
  }
  front_.run(burst_);
  if (packets_ == PacketEvents::Yes) {
    track_one(burst_, recorded);
  } else {
    shard_.prefetch(burst_);
    listener_.prefetch(burst_);
    shard_.track(burst_);
  }
  front_.release(burst_.packets[burst_.size - 1].number);
  source.release(burst_);
  return state;
}

// What is due on an interface that is silent happens there, too.
void SingleRun::pass_time(PacketSource& source) {
  const std::optional<Timestamp> clock = source.idle_clock();
  if (!clock) return;
  front_.expire(*clock);
  shard_.advance_clock(*clock);
}

void SingleRun::track_one(Burst& burst, const Packet& recorded) {
  listener_.about_to_track(burst.packets[0]);
  shard_.track(burst);
  if (burst.packets[0].verdict != Verdict::Filtered) listener_.tracked(recorded);
}

void SingleRun::finish() {
  front_.finish();
  shard_.finish();
}

Ledger SingleRun::ledger() const {
  Ledger ledger = shard_.ledger();
  ledger.datagrams = front_.datagrams();
  if (front_.reached_limit()) ledger.reached(Limit::Datagrams);
  return ledger;
}

}  // namespace flowloom
