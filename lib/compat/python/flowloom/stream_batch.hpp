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
#include "compat/python/flowloom/byte_arena.hpp"

namespace flowloom::python {

struct GapInStream {
  std::uint64_t offset;
  std::uint64_t length;
  GapReason reason;
};

/// A connection that has ended. Its bytes stay in the engine's blocks, which come home with the
/// batch.
struct FinishedStream {
  StreamInfo info;
  std::array<ByteArena::Chain, 2> bytes;
  std::array<std::vector<GapInStream>, 2> gaps;
};

using StreamBatch = std::unique_ptr<std::vector<FinishedStream>>;

/// Which connections are worth an object.
enum class Streams : std::uint8_t {
  WithContent,  ///< an established handshake or payload
  All
};

/// When a connection is handed over.
enum class HandOver : std::uint8_t {
  WhenEnded,  ///< both FINs were reached: no byte follows, though a late packet may
  WhenClosed  ///< its record is final: after the time that closed connections linger
};

class StreamBatchMaker final : public StreamHandler {
 public:
  StreamBatchMaker(Streams wanted, HandOver when, std::shared_ptr<BatchQueue<StreamBatch>> queue)
      : wanted_(wanted), when_(when), queue_(std::move(queue)), batch_(new_batch()) {}
  void on_event(const ExtractorEvent& event) override;
  void flush();

 private:
  /// What a connection has sent so far, by side.
  struct Gathering {
    std::array<ByteArena::Chain, 2> bytes;
    std::array<std::vector<GapInStream>, 2> gaps;
    std::array<bool, 2> ended{};
  };

  StreamBatch new_batch();
  Gathering& gathering_of(Stream& stream);
  void on_end(const ExtractorEvent& event);
  void on_close(const ExtractorEvent& event);
  void hand_over(StreamInfo info, Gathering* gathering);

  const Streams wanted_;
  const HandOver when_;
  std::shared_ptr<BatchQueue<StreamBatch>> queue_;
  ByteArena arena_;
  StreamBatch batch_;
  std::size_t batch_bytes_ = 0;
  std::deque<Gathering> all_;
  std::vector<Gathering*> spare_;
  Gathering handed_over_;  // stands for those of streams that were
};

using StreamBackground = Background<StreamBatch, StreamBatchMaker>;

}  // namespace flowloom::python
