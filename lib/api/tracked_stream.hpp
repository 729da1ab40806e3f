// What the extractor keeps of a connection that it has told about: the state behind Stream.
#pragma once

#include <flowloom/extractor.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/five_tuple.hpp"
#include "stream/consumer.hpp"

namespace flowloom {

/// Bytes of one side that its reader wants to see again. What is done with is cut off in front
/// lazily, so that a reader who takes single bytes costs no more than one who takes all.
class KeptBytes {
 public:
  [[nodiscard]] ByteView view() const {
    return ByteView(bytes_).subspan(std::min(begin_, bytes_.size()));
  }
  void append(ByteView more) { bytes_.insert(bytes_.end(), more.begin(), more.end()); }
  void drop_front(std::size_t count);
  void clear();

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t begin_ = 0;
};

class alignas(64) TrackedStream final : public Stream {
 public:
  // What every Data event looks at: one cache line.
  void* user = nullptr;
  std::array<std::unique_ptr<KeptBytes>, 2> kept;
  std::size_t done_with = 0;            ///< of the Data event at hand
  bool stopped = false;
  std::array<bool, 2> ignored{};        ///< Collect::No, by side
  std::uint32_t slot = 0;               ///< its place among the streams
  std::uint64_t number = 0;             ///< id()

  /// Where its record comes from while the connection is open: it describes any by its handle.
  const ConnectionView* view = nullptr;
  std::uint32_t handle = 0;
  const ConnectionRecord* final_record = nullptr;  ///< once it has closed
  std::unique_ptr<ConnectionRecord> owned_record;  ///< the same, where the event is told later
  std::unique_ptr<FlowKey> key;         ///< with packet events

  /// The record now.
  void describe(ConnectionRecord& to) const;
  /// Ready for another connection.
  void reset();
};

/// All streams that are open or not yet told to be closed. Addresses stay.
class StreamTable {
 public:
  TrackedStream& take();
  void give_back(TrackedStream& stream);
  [[nodiscard]] bool has(std::uint32_t slot) const { return slot < made_; }
  TrackedStream& at(std::uint32_t slot) { return chunks_[slot / kChunk][slot % kChunk]; }

 private:
  /// Large enough that the list of chunks stays in a cache: every event looks its stream up.
  static constexpr std::uint32_t kChunk = 4096;

  std::vector<std::unique_ptr<TrackedStream[]>> chunks_;
  std::uint32_t made_ = 0;
  std::vector<std::uint32_t> free_;
  std::uint64_t taken_ = 0;
};

/// The public form of a record.
StreamInfo info_of(const ConnectionRecord& record);

}  // namespace flowloom
