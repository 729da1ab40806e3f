// A consumer that only counts: `--write none`, benchmarks.
#pragma once

#include <array>
#include <cstdint>

#include "stream/consumer.hpp"

namespace flowloom {

class CountingConsumer final : public StreamConsumer {
 public:
  void on_data(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction d, StreamOffset,
               ByteView bytes) override {
    bytes_[index_of(d)] += bytes.size();
  }
  void on_close(const EventKey&, const ConnectionView&, ConsumerSlot&) override { ++closed_; }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_[0] + bytes_[1]; }
  [[nodiscard]] std::uint64_t closed() const { return closed_; }

 private:
  std::array<std::uint64_t, 2> bytes_{};
  std::uint64_t closed_ = 0;
};

}  // namespace flowloom
