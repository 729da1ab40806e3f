#include "compat/python/flowloom/stream_batch.hpp"

#include <utility>

namespace flowloom::python {

namespace {

/// A batch goes when it holds so much. Small enough to stay in a cache on its way.
constexpr std::size_t kBatchBytes = std::size_t{512} << 10;
constexpr std::size_t kBatchStreams = 256;
/// Larger ones keep the memory they were gathered in.
constexpr std::size_t kSmallStream = std::size_t{64} << 10;

}  // namespace

void StreamBatchMaker::on_event(const StreamEvent& event) {
  switch (event.kind) {
    case EventKind::Data: {
      std::vector<std::uint8_t>& bytes =
          gathering_of(*event.stream)[static_cast<std::size_t>(event.from)].bytes;
      bytes.insert(bytes.end(), event.data.begin(), event.data.end());
      break;
    }
    case EventKind::Gap:
      gathering_of(*event.stream)[static_cast<std::size_t>(event.from)].gaps.push_back(
          {event.offset, event.length, event.gap_reason});
      break;
    case EventKind::Closed:
      finish(event);
      break;
    case EventKind::Opened:
    case EventKind::Urgent:
    case EventKind::Ended:
    case EventKind::Packet:
      break;
  }
}

StreamBatchMaker::Gathering& StreamBatchMaker::gathering_of(Stream& stream) {
  if (void* mine = stream.user()) return *static_cast<Gathering*>(mine);
  if (spare_.empty()) spare_.push_back(&all_.emplace_back());
  Gathering* gathering = spare_.back();
  spare_.pop_back();
  stream.set_user(gathering);
  return *gathering;
}

void StreamBatchMaker::finish(const StreamEvent& event) {
  auto* gathering = static_cast<Gathering*>(event.stream->user());
  StreamInfo info = event.stream->info();
  const bool content = info.established || info.sides[0].payload_bytes > 0 ||
                       info.sides[1].payload_bytes > 0 || gathering != nullptr;
  if (wanted_ == Streams::WithContent && !content) return;
  FinishedStream& stream = batch_->streams.emplace_back();
  stream.info = std::move(info);
  if (gathering != nullptr) {
    for (std::size_t side = 0; side < 2; ++side) {
      move_bytes((*gathering)[side], stream, side);
      stream.gaps[side] = std::exchange((*gathering)[side].gaps, {});
    }
    spare_.push_back(gathering);
  }
  const bool full = batch_->streams.size() >= kBatchStreams || batch_->bytes.size() >= kBatchBytes;
  if (full) flush();
}

void StreamBatchMaker::move_bytes(SideData& from, FinishedStream& to, std::size_t side) {
  to.size[side] = from.bytes.size();
  if (from.bytes.size() > kSmallStream) {
    to.own[side] = std::exchange(from.bytes, {});
    return;
  }
  to.at[side] = batch_->bytes.size();
  batch_->bytes.insert(batch_->bytes.end(), from.bytes.begin(), from.bytes.end());
  from.bytes.clear();
}

StreamBatch StreamBatchMaker::new_batch() {
  StreamBatch batch = queue_->spare();
  if (!batch) batch = std::make_unique<StreamBatchData>();
  batch->streams.clear();
  batch->streams.reserve(kBatchStreams);
  batch->bytes.clear();
  batch->bytes.reserve(kBatchBytes + 2 * kSmallStream);
  return batch;
}

void StreamBatchMaker::flush() {
  if (batch_->streams.empty()) return;
  if (!queue_->push(std::exchange(batch_, new_batch()))) throw StreamBackground::ReaderGone{};
}

}  // namespace flowloom::python
