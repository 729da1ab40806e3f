// The writer core's end: drains every worker's ring and hands messages on in the one total order.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "export/exporter.hpp"
#include "export/stream_message.hpp"

namespace flowloom {

/// With one worker its ring is in order already. With several, a message may go on once every
/// other worker has either a later message or a watermark beyond it; until then it waits here, so
/// that the rings are always drained and nobody waits for the writer because of another worker.
class WriterInlet {
 public:
  explicit WriterInlet(std::vector<Exporter*> workers);

  /// Appends messages in total order, up to about `count`. Returns false when every worker has
  /// finished and nothing is left.
  bool poll(std::vector<StreamMessage*>& messages, std::size_t count);

  /// Gives a message's memory back to its worker.
  void done(StreamMessage* message) { workers_[message->worker]->return_message(message); }

 private:
  struct Queue {
    std::deque<StreamMessage*> waiting;
    EventKey watermark;
    bool finished = false;
  };
  void drain(std::size_t worker);
  [[nodiscard]] bool may_pass(const EventKey& key, std::size_t from) const;

  std::vector<Exporter*> workers_;
  std::vector<Queue> queues_;
};

}  // namespace flowloom
