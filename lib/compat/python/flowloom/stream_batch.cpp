#include "compat/python/flowloom/stream_batch.hpp"

#include <utility>

namespace flowloom::python {

namespace {

/// A batch goes when it holds so much. Small enough to stay in a cache on its way.
constexpr std::size_t kBatchBytes = std::size_t{512} << 10;
constexpr std::size_t kBatchStreams = 256;

bool has_content(const StreamInfo& info) {
  return info.established || info.sides[0].payload_bytes > 0 || info.sides[1].payload_bytes > 0;
}

}  // namespace

void StreamBatchMaker::on_event(const ExtractorEvent& event) {
  const auto side = static_cast<std::size_t>(event.from);
  switch (event.kind) {
    case EventKind::Data: {
      Gathering& gathering = gathering_of(*event.stream);
      arena_.append(gathering.bytes[side], event.data);
      break;
    }
    case EventKind::Gap:
      gathering_of(*event.stream).gaps[side].push_back(
          {event.offset, event.length, event.gap_reason});
      break;
    case EventKind::Ended:
      if (when_ == HandOver::WhenEnded) on_end(event);
      break;
    case EventKind::Closed:
      on_close(event);
      break;
    case EventKind::Opened:
    case EventKind::Urgent:
    case EventKind::Packet:
    case EventKind::Scan:
      break;
  }
}

StreamBatchMaker::Gathering& StreamBatchMaker::gathering_of(Stream& stream) {
  if (void* mine = stream.user()) return *static_cast<Gathering*>(mine);
  if (spare_.empty()) spare_.push_back(&all_.emplace_back());
  Gathering* gathering = spare_.back();
  spare_.pop_back();
  *gathering = Gathering{};
  stream.set_user(gathering);
  return *gathering;
}

void StreamBatchMaker::on_end(const ExtractorEvent& event) {
  Gathering& gathering = gathering_of(*event.stream);
  gathering.ended[static_cast<std::size_t>(event.from)] = true;
  if (!gathering.ended[0] || !gathering.ended[1]) return;
  StreamInfo info = event.stream->info();
  info.reason = EndReason::Fin; // nothing takes that back
  event.stream->stop();
  event.stream->set_user(&handed_over_);
  hand_over(std::move(info), &gathering);
}

void StreamBatchMaker::on_close(const ExtractorEvent& event) {
  auto* gathering = static_cast<Gathering*>(event.stream->user());
  if (gathering == &handed_over_) return;
  StreamInfo info = event.stream->info();
  if (wanted_ == Streams::All || gathering != nullptr || has_content(info)) {
    hand_over(std::move(info), gathering);
  }
}

void StreamBatchMaker::hand_over(StreamInfo info, Gathering* gathering) {
  FinishedStream& stream = batch_->emplace_back();
  stream.info = std::move(info);
  if (gathering != nullptr) {
    stream.bytes = std::exchange(gathering->bytes, {});
    stream.gaps = std::move(gathering->gaps);
    batch_bytes_ += stream.bytes[0].size() + stream.bytes[1].size();
    spare_.push_back(gathering);
  }
  if (batch_->size() >= kBatchStreams || batch_bytes_ >= kBatchBytes) flush();
}

StreamBatch StreamBatchMaker::new_batch() {
  StreamBatch batch = queue_->spare();
  if (!batch) batch = std::make_unique<std::vector<FinishedStream>>();
  for (FinishedStream& stream : *batch) {
    for (ByteArena::Chain& chain : stream.bytes) arena_.release(chain);
  }
  batch->clear();
  batch->reserve(kBatchStreams);
  batch_bytes_ = 0;
  return batch;
}

void StreamBatchMaker::flush() {
  if (batch_->empty()) return;
  if (!queue_->push(std::exchange(batch_, nullptr))) throw StreamBackground::ReaderGone{};
  batch_ = new_batch();
}

}  // namespace flowloom::python
