#include "runtime/message_writer.hpp"

#include <algorithm>

#include "base/backoff.hpp"

namespace flowloom {

namespace {

/// Messages that the writer takes at a time.
constexpr std::size_t kWriterBatch = 256;

}  // namespace

void run_message_writer(WriterInlet& inlet, MessageWriter& writer,
                        std::chrono::nanoseconds longest_sleep) {
  std::vector<StreamMessage*> messages;
  messages.reserve(kWriterBatch);
  Backoff backoff(std::max(longest_sleep, Backoff::kBatchSleep), Backoff::For::Batches);
  bool flushed = true;
  while (inlet.poll(messages, kWriterBatch)) {
    writer.tend();
    if (messages.empty()) {
      if (!flushed) writer.idle();
      flushed = true;
      backoff.wait();
      continue;
    }
    backoff.reset();
    flushed = false;
    writer.write(messages, inlet);
    messages.clear();
  }
  writer.finish();
}

}  // namespace flowloom
