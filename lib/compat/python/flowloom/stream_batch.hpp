// Whole connections in batches: gathers the bytes of each until it closes.
#pragma once

#include <flowloom/extractor.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "compat/python/flowloom/background.hpp"

namespace flowloom::python {

struct GapInStream {
  std::uint64_t offset;
  std::uint64_t length;
  GapReason reason;
};

/// What one side sent.
struct SideData {
  std::vector<std::uint8_t> bytes;
  std::vector<GapInStream> gaps;
};

/// A connection that has ended. Small ones share the memory of their batch.
struct FinishedStream {
  StreamInfo info;
  std::array<std::size_t, 2> at{};    ///< of its bytes in the batch
  std::array<std::size_t, 2> size{};
  std::array<std::vector<std::uint8_t>, 2> own;  ///< of a large one, instead
  std::array<std::vector<GapInStream>, 2> gaps;
};

struct StreamBatchData {
  std::vector<FinishedStream> streams;
  std::vector<std::uint8_t> bytes;

  [[nodiscard]] std::span<const std::uint8_t> bytes_of(const FinishedStream& stream,
                                                       std::size_t side) const {
    if (!stream.own[side].empty()) return stream.own[side];
    return std::span(bytes).subspan(stream.at[side], stream.size[side]);
  }
};

using StreamBatch = std::unique_ptr<StreamBatchData>;

/// Which connections are worth an object.
enum class Streams : std::uint8_t {
  WithContent,  ///< an established handshake or payload
  All
};

class StreamBatchMaker final : public StreamHandler {
 public:
  StreamBatchMaker(Streams wanted, std::shared_ptr<BatchQueue<StreamBatch>> queue)
      : wanted_(wanted), queue_(std::move(queue)), batch_(new_batch()) {}
  void on_event(const StreamEvent& event) override;
  void flush();

 private:
  using Gathering = std::array<SideData, 2>;

  StreamBatch new_batch();
  Gathering& gathering_of(Stream& stream);
  void finish(const StreamEvent& event);
  void move_bytes(SideData& from, FinishedStream& to, std::size_t side);

  const Streams wanted_;
  std::shared_ptr<BatchQueue<StreamBatch>> queue_;
  StreamBatch batch_;
  std::deque<Gathering> all_;
  std::vector<Gathering*> spare_;
};

using StreamBackground = Background<StreamBatch, StreamBatchMaker>;

}  // namespace flowloom::python
