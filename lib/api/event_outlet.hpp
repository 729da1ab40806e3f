// Between what the pipeline tells and what the user sees: to the handler at once, or into a queue
// from which events are taken one by one. Applies what the user asked of a stream (stop, collect,
// discard) at the moment when he sees the event, so that both ways look the same.
#pragma once

#include <flowloom/extractor.hpp>

#include <cstddef>
#include <deque>
#include <exception>
#include <vector>

#include "api/tracked_stream.hpp"

namespace flowloom {

class EventOutlet {
 public:
  EventOutlet(StreamTable& streams, std::size_t keep_limit)
      : streams_(streams), keep_limit_(keep_limit) {}

  void set_handler(StreamHandler* handler) { handler_ = handler; }
  /// Whether events wait to be taken, so that what they name must outlive its connection.
  [[nodiscard]] bool queues() const { return handler_ == nullptr; }

  /// Takes in what happened, with the bytes that are new. A Closed event ends its stream.
  void tell(ExtractorEvent& event);

  /// An alert, which lives as long as its event. Preconditions: as for tell().
  void tell_scan(ExtractorEvent event, ScanAlert alert);

  /// The next event of the queue, or nullptr. What was taken before is not needed any more.
  const ExtractorEvent* take();
  [[nodiscard]] bool empty() const { return next_ == queue_.size(); }

  /// The handler has thrown; from then on nothing is told.
  [[nodiscard]] bool failed() const { return failure_ != nullptr; }
  void rethrow();

 private:
  struct Queued {
    ExtractorEvent event;
    std::size_t data_at;  // of its bytes in bytes_
  };

  static TrackedStream* stream_of(const ExtractorEvent& event) {
    return static_cast<TrackedStream*>(event.stream);
  }
  bool prepare(ExtractorEvent& event);
  void settle(const ExtractorEvent& event);
  void keep_rest(TrackedStream& stream, const ExtractorEvent& event);
  void hand_over(ExtractorEvent& event);

  StreamTable& streams_;
  const std::size_t keep_limit_;
  StreamHandler* handler_ = nullptr;
  std::exception_ptr failure_;
  std::vector<Queued> queue_;
  std::vector<std::uint8_t> bytes_;
  std::deque<ScanAlert> scans_;
  std::size_t next_ = 0;
  bool showing_ = false;  // shown_ was handed out and is not settled
  ExtractorEvent shown_;
};

}  // namespace flowloom
