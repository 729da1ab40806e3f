// Counts what passes and writes nothing: the writer side of `--write none`, and of tests.
#pragma once

#include "sinks/sink.hpp"

namespace flowloom {

class CountingSink final : public Sink {
 public:
  CountingSink() { status_.name = "none"; }
  void consume(StreamEvent& event) override {
    const StreamMessage& message = event.message();
    ++messages_;
    status_.bytes += message.data[0].bytes + message.data[1].bytes;
    if (event.closes()) ++status_.records;
  }
  void finish() override {}
  [[nodiscard]] WriterStatus status() const override { return status_; }
  [[nodiscard]] std::uint64_t messages() const { return messages_; }

 private:
  WriterStatus status_;
  std::uint64_t messages_ = 0;
};

}  // namespace flowloom
