// See writer_pipeline.hpp.
#include "sinks/writer_pipeline.hpp"

#include "sinks/chain_reader.hpp"
#include "sinks/flows_sink.hpp"

#include <algorithm>
#include <cstddef>

namespace flowloom {
namespace {

/// Messages are given back in runs of this many, so that workers get memory early.
constexpr std::size_t kGiveBackRun = 32;
/// Messages and their bytes come from another core: they are asked for so many messages ahead.
constexpr std::size_t kLookAhead = 3;

/// The header of a message further on, and what the next one points to, whose header is there.
void look_ahead(std::span<StreamMessage* const> messages, std::size_t now) {
  constexpr std::size_t kLine = 64;
  if (now + kLookAhead < messages.size()) {
    const auto* header = reinterpret_cast<const char*>(messages[now + kLookAhead]);
    for (std::size_t at = 0; at < offsetof(StreamMessage, record); at += kLine) {
      __builtin_prefetch(header + at);
    }
  }
  if (now + 1 >= messages.size()) return;
  const StreamMessage& next = *messages[now + 1];
  for (const BlockChain& chain : next.data) {
    if (chain.first != nullptr) __builtin_prefetch(chain.first);
  }
  if (next.kind != StreamMessage::Kind::Close) return;
  const auto* record = reinterpret_cast<const char*>(&next.record);
  for (std::size_t at = 0; at < sizeof next.record; at += kLine) __builtin_prefetch(record + at);
}

/// As early as the one that waits longest lets them go.
EarlyBytes early_bytes_of(const std::vector<std::unique_ptr<Sink>>& sinks, const SinkNeeds& all) {
  if (!all.bytes || all.sha256 || all.packets != PacketsWanted::None) return EarlyBytes::No;
  EarlyBytes wanted = EarlyBytes::Bare;
  for (const auto& sink : sinks) {
    const SinkNeeds needs = sink->needs();
    if (!needs.bytes) continue;
    if (needs.early_bytes == EarlyBytes::No) return EarlyBytes::No;
    wanted = std::max(wanted, needs.early_bytes);
  }
  return wanted;
}

}  // namespace

WriterPipeline::WriterPipeline(std::vector<std::unique_ptr<Sink>> sinks,
                               const HeavySettings& settings)
    : sinks_(std::move(sinks)) {
  for (const auto& sink : sinks_) {
    needs_.gap_lists |= sink->needs().gap_lists;
    needs_.sha256 |= sink->needs().sha256;
    needs_.bytes |= sink->needs().bytes || sink->needs().sha256;
    needs_.packets = std::max(needs_.packets, sink->needs().packets);
  }
  needs_.early_bytes = early_bytes_of(sinks_, needs_);
  if (needs_.sha256) sha256_ = std::make_unique<Sha256Stage>(settings);
}

void WriterPipeline::consume(std::span<StreamMessage* const> batch, MessageOwner& owner) {
  if (sha256_ == nullptr) {
    deliver(batch, owner, nullptr);
    return;
  }
  sha256_->run(batch, [&](Sha256Stage::Prepared prepared) {
    deliver(prepared.messages, owner, prepared.digests.data());
  });
}

void WriterPipeline::deliver(std::span<StreamMessage* const> messages, MessageOwner& owner,
                             const std::array<Sha256Text, 2>* digests) {
  while (!messages.empty()) {
    const auto run = messages.first(std::min(messages.size(), kGiveBackRun));
    for (std::size_t i = 0; i < run.size(); ++i) {
      look_ahead(messages, i);
      deliver_one(*run[i], digests);
      if (digests != nullptr) ++digests;
    }
    owner.give_back(run);
    messages = messages.subspan(run.size());
  }
}

void WriterPipeline::deliver_one(const StreamMessage& message,
                                 const std::array<Sha256Text, 2>* digests) {
  if (rotate_every_.count() != 0) rotate_if_due(message.key.clock, rotate_every_);
  if (message.kind == StreamMessage::Kind::Summary) return take_summary(message);
  pass_summary();
  StreamEvent event(message, ids_);
  if (message.kind == StreamMessage::Kind::Bytes) {
    for (const auto& sink : sinks_) sink->consume_bytes(event);
    if (needs_.early_bytes == EarlyBytes::Named) early_uids_.at(message) = event.known_uid();
    return;
  }
  if (message.kind == StreamMessage::Kind::Probe) {
    for (const auto& sink : sinks_) sink->consume_probe(event);
    return;
  }
  if (event.closes()) event.sha256 = digests;
  if (message.ticket != 0 && needs_.early_bytes == EarlyBytes::Named) {
    event.know_uid(early_uids_.at(message));
  }
  if (event.closes() && !message.first) {
    if (const LongConnection* earlier = long_.find(message.record.first_packet);
        earlier != nullptr) {
      event.earlier_gaps = &earlier->gaps;
      event.earlier_conflicts = &earlier->conflicts;
    }
  }
  for (const auto& sink : sinks_) sink->consume(event);
  if (event.whole()) return;
  if (event.closes()) {
    long_.erase(message.record.first_packet);
  } else if (needs_.gap_lists) {
    keep_lists(message);
  }
}

void WriterPipeline::take_summary(const StreamMessage& message) {
  if (summary_clock_ != message.key.clock) pass_summary();
  summary_clock_ = message.key.clock;
  summary_ += message.summary;
}

void WriterPipeline::pass_summary() {
  if (summary_.packets == 0) return;
  for (const auto& sink : sinks_) sink->consume_summary(summary_);
  summary_ = EvictionSummary{};
}

void WriterPipeline::keep_lists(const StreamMessage& message) {
  if (message.gaps[0].bytes + message.gaps[1].bytes + message.conflicts.bytes == 0) return;
  LongConnection& connection = long_.at(message.record.first_packet);
  for (unsigned d = 0; d < 2; ++d) {
    Gap gap;
    GapReader reader(message.gaps[d]);
    while (connection.gaps[d].size() < kListedGapsMax && reader.next(gap)) {
      connection.gaps[d].push_back(gap);
    }
  }
  ConflictEntry entry;
  for (ConflictReader reader(message.conflicts); reader.next(entry);) {
    std::vector<Conflict>& list = 
        connection.conflicts[static_cast<std::size_t>(entry.conflict.sender)];
    if (list.size() < kListedConflictsMax) list.push_back(entry.conflict);
  }
}

void WriterPipeline::start() {
  for (const auto& sink : sinks_) sink->start();
}

void WriterPipeline::flush() {
  pass_summary();
  for (const auto& sink : sinks_) sink->flush();
}

void WriterPipeline::rotate() {
  pass_summary();
  for (const auto& sink : sinks_) sink->rotate();
}

void WriterPipeline::rotate_if_due(Timestamp now, Duration every) {
  const std::int64_t interval = to_nanoseconds(now) / every.count();
  if (interval_ && *interval_ != interval) rotate();
  interval_ = interval;
}

void WriterPipeline::finish() {
  pass_summary();
  for (const auto& sink : sinks_) sink->finish();
}

std::vector<WriterStatus> WriterPipeline::statuses() const {
  std::vector<WriterStatus> all;
  for (const auto& sink : sinks_) all.push_back(sink->status());
  return all;
}

}  // namespace flowloom
