#include "compat/nids/stream_timers.hpp"

#include <utility>

namespace flowloom::nids {

void StreamTimers::put(std::size_t place, Stream& stream) {
  heap_[place] = &stream;
  stream.deadline_place = static_cast<std::uint32_t>(place + 1);
}

void StreamTimers::set(Stream& stream, std::int64_t deadline) {
  if (stream.deadline_place != 0) return;
  stream.deadline = deadline;
  stream.deadline_order = order_++;
  heap_.push_back(&stream);
  put(heap_.size() - 1, stream);
  sift_up(heap_.size() - 1);
}

void StreamTimers::clear(Stream& stream) {
  if (stream.deadline_place == 0) return;
  const std::size_t place = stream.deadline_place - 1;
  stream.deadline_place = 0;
  Stream& last = *heap_.back();
  heap_.pop_back();
  if (&last == &stream) return;
  put(place, last);
  sift_up(place);
  sift_down(last.deadline_place - 1);
}

void StreamTimers::sift_up(std::size_t place) {
  while (place != 0) {
    const std::size_t parent = (place - 1) / 2;
    if (!before(*heap_[place], *heap_[parent])) return;
    Stream& moved = *heap_[parent];
    put(parent, *heap_[place]);
    put(place, moved);
    place = parent;
  }
}

void StreamTimers::sift_down(std::size_t place) {
  for (;;) {
    std::size_t least = 2 * place + 1;
    if (least >= heap_.size()) return;
    if (least + 1 < heap_.size() && before(*heap_[least + 1], *heap_[least])) ++least;
    if (!before(*heap_[least], *heap_[place])) return;
    Stream& moved = *heap_[place];
    put(place, *heap_[least]);
    put(least, moved);
    place = least;
  }
}

}  // namespace flowloom::nids
