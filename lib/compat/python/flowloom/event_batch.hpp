// Events in batches, for captures whose streams are larger than memory.
#pragma once

#include <flowloom/extractor.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "compat/python/flowloom/background.hpp"

namespace flowloom::python {

/// A ExtractorEvent that owns what it shows.
struct EventData {
  EventKind kind;
  Side from;
  GapReason gap_reason;
  std::uint64_t stream;
  std::int64_t time_ns;
  std::uint64_t offset;
  std::uint64_t length;
  std::size_t at;     ///< of its bytes in the batch
  std::size_t size;
  std::shared_ptr<const StreamInfo> info;  ///< Opened: as it began; Closed: final
  std::shared_ptr<const ScanAlert> scan;
};

struct EventBatchData {
  std::vector<EventData> events;
  std::vector<std::uint8_t> bytes;
};

using EventBatch = std::unique_ptr<EventBatchData>;

class EventBatchMaker final : public StreamHandler {
 public:
  explicit EventBatchMaker(std::shared_ptr<BatchQueue<EventBatch>> queue)
      : queue_(std::move(queue)), batch_(new_batch()) {}
  void on_event(const ExtractorEvent& event) override;
  void flush();

 private:
  EventBatch new_batch();

  std::shared_ptr<BatchQueue<EventBatch>> queue_;
  EventBatch batch_;
};

using EventBackground = Background<EventBatch, EventBatchMaker>;

}  // namespace flowloom::python
