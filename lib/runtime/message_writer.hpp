// What the writer core does: takes messages from the inlet and hands them to whoever writes.
#pragma once

#include <chrono>
#include <vector>

#include "export/writer_inlet.hpp"

namespace flowloom {

/// What the writer core does with messages; called on its thread.
class MessageWriter {
 public:
  virtual ~MessageWriter() = default;
  /// Messages in the run's order; each is given back through inlet.done() before it returns.
  virtual void write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) = 0;
  /// Nothing to do at the moment.
  virtual void idle() = 0;
  /// Between two batches, and again and again while there are none: what others asked of it.
  virtual void tend() {}
  /// No message follows.
  virtual void finish() = 0;
};

/// The body of the writer core: returns when every worker has finished and `writer` has had all of
/// their messages. `longest_sleep` as Backoff has it.
void run_message_writer(WriterInlet& inlet, MessageWriter& writer,
                        std::chrono::nanoseconds longest_sleep);

}  // namespace flowloom
