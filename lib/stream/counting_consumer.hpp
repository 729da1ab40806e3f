// A consumer that only counts: `--write none`, benchmarks.
#pragma once

#include <array>
#include <cstdint>

#include "stream/consumer.hpp"

namespace flowloom {

class CountingConsumer final : public StreamConsumer {
 public:
  void on_data(const EventKey&, const ConnectionView&, ConsumerSlot& counted, Direction d,
               StreamOffset, ByteView bytes) override {
    bytes_[index_of(d)] += bytes.size();
    counted = 1;
  }
  Farewell on_eviction(const ConnectionView& view, ConsumerSlot& counted) override {
    ++closed_;
    if (counted != 0) {
      ConnectionRecord record;
      view.describe(record);
      for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] -= record.sides[i].stream_bytes;
    }
    return Farewell::Summary;
  }
  Farewell on_unopened_end(CloseReason) override {
    ++closed_;
    return Farewell::Summary;
  }
  void on_close(const EventKey&, const ConnectionView&, ConsumerSlot&) override { ++closed_; }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_[0] + bytes_[1]; }
  [[nodiscard]] std::uint64_t closed() const { return closed_; }

 private:
  std::array<std::uint64_t, 2> bytes_{};
  std::uint64_t closed_ = 0;
};

}  // namespace flowloom
