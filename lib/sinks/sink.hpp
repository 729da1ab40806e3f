// What a writer is: it is told of every connection in the run's total order and says at the end
// how far it got. Sinks run one after the other on the writer core; none blocks a worker.
#pragma once

#include "export/ledger_snapshot.hpp"
#include "export/stream_message.hpp"
#include "sinks/digest.hpp"
#include "sinks/ids.hpp"
#include "sinks/text.hpp"

#include <array>
#include <vector>

namespace flowloom {

/// "streams/xx/" and a file name.
using StreamPath = FixedText<176>;

/// Gaps of a connection that arrived before its last message, per direction.
using GapLists = std::array<std::vector<Gap>, 2>;

/// The same of conflicts, at most kListedConflictsMax of each KeySide.
using ConflictLists = std::array<std::vector<Conflict>, 2>;

/// One message with what the writers found out about its connection. Lives during consume().
class StreamEvent {
 public:
  StreamEvent(const StreamMessage& message, IdMaker& ids) : message_(message), ids_(ids) {}

  [[nodiscard]] const StreamMessage& message() const { return message_; }
  [[nodiscard]] const ConnectionRecord& record() const { return message_.record; }
  [[nodiscard]] bool closes() const { return message_.kind == StreamMessage::Kind::Close; }
  /// The message is all there is of its connection.
  [[nodiscard]] bool whole() const { return closes() && message_.first; }

  /// Computed when first asked for.
  std::string_view uid() {
    if (uid_.empty()) uid_ = ids_.uid(message_.record);
    return uid_.view();
  }
  /// Empty: nobody has asked for it yet.
  [[nodiscard]] const Uid& known_uid() const { return uid_; }
  void know_uid(const Uid& uid) { uid_ = uid; }
  IdMaker& ids() { return ids_; }

  /// Where each direction's bytes went; set by the streams sink at the close, before the sinks
  /// that print it; empty where there is no file.
  std::array<StreamPath, 2> files;
  const GapLists* earlier_gaps = nullptr;             ///< nullptr: none
  const ConflictLists* earlier_conflicts = nullptr;   ///< nullptr: none
  const std::array<Sha256Text, 2>* sha256 = nullptr;  ///< at the close, where it was asked for

 private:
  const StreamMessage& message_;
  IdMaker& ids_;
  Uid uid_;
};

/// What a sink wants to be prepared for it; nobody pays for what nobody wants.
struct SinkNeeds {
  bool gap_lists = false;  ///< and those of conflicts
  bool sha256 = false;
  bool probes = false;  ///< workers tell of connections that look like probes of port scans
  bool bytes = false;  ///< delivered ones
  PacketsWanted packets = PacketsWanted::None;
  /// Bytes of a connection may come before its end, by consume_bytes(). Of no avail where another
  /// sink wants bytes or packets and does not say so.
  EarlyBytes early_bytes = EarlyBytes::No;
};

class Sink {
 public:
  virtual ~Sink() = default;
  [[nodiscard]] virtual SinkNeeds needs() const { return {}; }
  /// Before anything else, on the writer core: threads of a sink begin here. The one that made the
  /// sink may own more than the writer core is to own.
  virtual void start() {}
  virtual void consume(StreamEvent& event) = 0;
  /// All bytes of a connection whose close is yet to come: a message of the kind Bytes. Only where
  /// needs() asked for it.
  virtual void consume_bytes(StreamEvent& event) { (void)event; }
  /// A connection that looks like a probe of a port scan; `event` has its record and no bytes.
  virtual void consume_probe(StreamEvent& event) { (void)event; }
  /// Connections that were evicted and have no record of their own.
  virtual void consume_summary(const EvictionSummary& summary) { (void)summary; }
  /// Nothing waits any more: what is buffered goes out.
  virtual void flush() {}
  /// Begins new files where that makes sense; called between two messages.
  virtual void rotate() { flush(); }
  /// No message follows.
  virtual void finish() = 0;
  [[nodiscard]] virtual WriterStatus status() const = 0;
};

}  // namespace flowloom
