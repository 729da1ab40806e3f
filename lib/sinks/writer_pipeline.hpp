// The writer core's work: takes messages in the run's total order, has prepared what is heavy
// where a sink asks for it (Sha256Stage), and hands each message to every sink in turn. Without
// heavy work everything runs straight on the caller's thread.
#pragma once

#include "sinks/connection_map.hpp"
#include "sinks/sha256_stage.hpp"
#include "sinks/sink.hpp"
#include "sinks/ticket_map.hpp"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace flowloom {

/// Takes back the memory of messages that no sink needs any more. Called by one thread at a
/// time, not always the one that called consume(), and always before consume() returns.
class MessageOwner {
 public:
  virtual ~MessageOwner() = default;
  virtual void give_back(std::span<StreamMessage* const> messages) = 0;
};

class WriterPipeline {
 public:
  WriterPipeline(std::vector<std::unique_ptr<Sink>> sinks, const HeavySettings& settings);

  /// On the thread that will call consume(), before it does.
  void start();
  /// Returns when every sink has seen every message and `owner` has all of them back.
  void consume(std::span<StreamMessage* const> batch, MessageOwner& owner);
  /// Nothing to do for a while: buffered output goes out.
  void flush();
  /// Every sink begins new files.
  void rotate();
  /// The same when `now` is in another interval since 1970 than the last time.
  void rotate_if_due(Timestamp now, Duration every);
  /// The same with the clock of every message.
  void rotate_by_messages(Duration every) { rotate_every_ = every; }
  /// No message follows.
  void finish();
  [[nodiscard]] std::vector<WriterStatus> statuses() const;
  /// What all sinks together want.
  [[nodiscard]] const SinkNeeds& needs() const { return needs_; }

 private:
  /// What is kept of a connection that sends several messages.
  struct LongConnection {
    GapLists gaps;
    ConflictLists conflicts;
  };

  void deliver(std::span<StreamMessage* const> messages, MessageOwner& owner,
               const std::array<Sha256Text, 2>* digests);
  void deliver_one(const StreamMessage& message, const std::array<Sha256Text, 2>* digests);
  void keep_lists(const StreamMessage& message);
  void take_summary(const StreamMessage& message);
  void pass_summary();

  std::vector<std::unique_ptr<Sink>> sinks_;
  SinkNeeds needs_;
  Duration rotate_every_{};               ///< of the clock of messages; 0: never
  std::optional<std::int64_t> interval_;  ///< number of the one that the files in work are of
  IdMaker ids_;
  TicketMap<Uid> early_uids_;  ///< of connections that sent their bytes and have not ended
  ConnectionMap<LongConnection> long_;
  /// Of the workers that were heard so far; all have the same clock, and follow on each other.
  EvictionSummary summary_;
  Timestamp summary_clock_{};
  std::unique_ptr<Sha256Stage> sha256_;  ///< nullptr: nobody asked for it
};

}  // namespace flowloom
