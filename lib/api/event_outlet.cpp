#include "api/event_outlet.hpp"

#include <algorithm>
#include <utility>

namespace flowloom {

namespace {

std::size_t index_of_side(Side side) { return static_cast<std::size_t>(side); }

}  // namespace

void EventOutlet::tell(ExtractorEvent& event) {
  if (handler_ == nullptr) {
    queue_.push_back({event, bytes_.size()});
    bytes_.insert(bytes_.end(), event.data.begin(), event.data.end());
    return;
  }
  hand_over(event);
}

void EventOutlet::tell_scan(ExtractorEvent event, ScanAlert alert) {
  event.kind = EventKind::Scan;
  event.scan = &scans_.emplace_back(std::move(alert));
  tell(event);
  if (!queues()) scans_.clear();
}

void EventOutlet::hand_over(ExtractorEvent& event) {
  if (prepare(event) && !failed()) {
    try {
      handler_->on_event(event);
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  settle(event);
}

const ExtractorEvent* EventOutlet::take() {
  if (std::exchange(showing_, false)) settle(shown_);
  while (next_ < queue_.size()) {
    const Queued& queued = queue_[next_++];
    shown_ = queued.event;
    if (!shown_.data.empty()) shown_.data = {bytes_.data() + queued.data_at, shown_.data.size()};
    if (prepare(shown_)) {
      showing_ = true;
      return &shown_;
    }
    settle(shown_);
  }
  queue_.clear();
  bytes_.clear();
  scans_.clear();
  next_ = 0;
  return nullptr;
}

// Puts kept bytes before new ones. Returns whether the user wants to see the event at all.
bool EventOutlet::prepare(ExtractorEvent& event) {
  TrackedStream* stream = stream_of(event);
  if (stream == nullptr) return true;
  if (stream->stopped) return event.kind == EventKind::Closed;
  if (event.kind != EventKind::Data) return true;
  const std::size_t side = index_of_side(event.from);
  KeptBytes* kept = stream->kept[side].get();
  if (stream->ignored[side]) {
    if (kept != nullptr) kept->clear();
    return false;
  }
  event.fresh = event.data.size();
  if (kept != nullptr && !kept->view().empty()) {
    event.offset -= kept->view().size();
    kept->append(event.data);
    event.data = kept->view();
  }
  stream->done_with = event.data.size();
  return true;
}

// What the user left behind: bytes to keep, a stream that is over.
void EventOutlet::settle(const ExtractorEvent& event) {
  TrackedStream* stream = stream_of(event);
  if (stream == nullptr) return;
  switch (event.kind) {
    case EventKind::Data:
      keep_rest(*stream, event);
      return;
    case EventKind::Gap:
      if (KeptBytes* kept = stream->kept[index_of_side(event.from)].get()) kept->clear();
      return;
    case EventKind::Closed:
      streams_.give_back(*stream);
      return;
    case EventKind::Opened:
    case EventKind::Urgent:
    case EventKind::Ended:
    case EventKind::Packet:
    case EventKind::Scan:
      return;
  }
}

void EventOutlet::keep_rest(TrackedStream& stream, const ExtractorEvent& event) {
  const std::size_t side = index_of_side(event.from);
  std::unique_ptr<KeptBytes>& kept = stream.kept[side];
  const std::size_t size = event.data.size();
  std::size_t done = stream.stopped || stream.ignored[side] ? size : stream.done_with;
  done = std::min(done, size);
  if (size - done > keep_limit_) done = size - keep_limit_;
  if (kept == nullptr) {
    if (done == size) return;
    kept = std::make_unique<KeptBytes>();
  }
  if (kept->view().empty()) {
    kept->append(event.data.subspan(done));
  } else {
    kept->drop_front(done);
  }
}

void EventOutlet::rethrow() {
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace flowloom
