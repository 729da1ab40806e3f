#include "bench_writer.hpp"

#include <time.h>

#include "base/backoff.hpp"
#include "base/check.hpp"

namespace flowloom {

void BenchWriter::run() {
  FLOWLOOM_CHECK(pthread_getcpuclockid(pthread_self(), &clock_) == 0);
  begun_.count_down();
  WriterInlet inlet({&exporter_});
  run_message_writer(inlet, *this, Backoff::kShortSleep);
}

// Bytes stay where they are: what a sink does with them is not measured here.
void BenchWriter::write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) {
  for (StreamMessage* message : messages) {
    bytes_ += std::uint64_t{message->data[0].bytes} + message->data[1].bytes;
    inlet.done(message);
  }
}

std::chrono::nanoseconds BenchWriter::cpu_time() {
  begun_.wait();
  timespec t{};
  clock_gettime(clock_, &t);
  return std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec};
}

void BenchWriter::settle() { exporter_.on_watermark(EventKey{}); }

}  // namespace flowloom
