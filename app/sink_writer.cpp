#include "sink_writer.hpp"

#include <chrono>

#include "host/signals.hpp"
#include "sinks/write_patience.hpp"

namespace flowloom {

// Stored packets have a time of their own, so that files are cut at the same records every time.
// Live, a file ends also when nothing happens.
SinkWriter::SinkWriter(WriterPipeline& pipeline, const RotateSettings& rotate, Pace pace)
    : pipeline_(pipeline) {
  if (rotate.interval.count() == 0) return;
  if (pace == Pace::Live) {
    rotate_every_ = rotate.interval;
  } else {
    pipeline_.rotate_by_messages(rotate.interval);
  }
}

void SinkWriter::write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) {
  inlet_ = &inlet;
  pipeline_.consume(messages, *this);
}

void SinkWriter::hasten() {
  if (Nudges* const nudges = hastened_.load(std::memory_order_acquire)) nudges->begin();
}

void SinkWriter::tend() {
  note_writer_move();
  if (!started_) {
    started_ = true;
    hastened_.store(&nudges_.emplace(), std::memory_order_release);
    pipeline_.start();
  }
  if (const unsigned asked = rotations_asked(); asked != rotations_done_) {
    rotations_done_ = asked;
    pipeline_.rotate();
  }
  if (rotate_every_.count() != 0) {
    const Duration now = std::chrono::system_clock::now().time_since_epoch();
    pipeline_.rotate_if_due(Timestamp{now}, rotate_every_);
  }
  if (statuses_.wanted()) statuses_.tell(pipeline_.statuses());
}

void SinkWriter::give_back(std::span<StreamMessage* const> messages) {
  for (StreamMessage* message : messages) inlet_->done(message);
}

}  // namespace flowloom
