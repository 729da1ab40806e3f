#include "compat/python/flowloom/event_batch.hpp"

#include <utility>

namespace flowloom::python {

namespace {

constexpr std::size_t kBatchBytes = std::size_t{512} << 10;
constexpr std::size_t kBatchEvents = 2048;

}  // namespace

void EventBatchMaker::on_event(const ExtractorEvent& event) {
  if (event.kind == EventKind::Packet) return;
  EventData& mine = batch_->events.emplace_back(EventData{.kind = event.kind,
                                                          .from = event.from,
                                                          .gap_reason = event.gap_reason,
                                                          .stream =
                                                              event.stream ? event.stream->id() : 0,
                                                          .time_ns = event.time.count(),
                                                          .offset = event.offset,
                                                          .length = event.length,
                                                          .at = batch_->bytes.size(),
                                                          .size = event.data.size(),
                                                          .info = nullptr,
                                                          .scan = nullptr});
  batch_->bytes.insert(batch_->bytes.end(), event.data.begin(), event.data.end());
  if (event.kind == EventKind::Opened || event.kind == EventKind::Closed) {
    mine.info = std::make_shared<const StreamInfo>(event.stream->info());
  }
  if (event.kind == EventKind::Scan) mine.scan = std::make_shared<const ScanAlert>(*event.scan);
  const bool full = batch_->events.size() >= kBatchEvents || batch_->bytes.size() >= kBatchBytes;
  if (full) flush();
}

EventBatch EventBatchMaker::new_batch() {
  EventBatch batch = queue_->spare();
  if (!batch) batch = std::make_unique<EventBatchData>();
  batch->events.clear();
  batch->events.reserve(kBatchEvents);
  batch->bytes.clear();
  return batch;
}

void EventBatchMaker::flush() {
  if (batch_->events.empty()) return;
  if (!queue_->push(std::exchange(batch_, new_batch()))) throw EventBackground::ReaderGone{};
}

}  // namespace flowloom::python
