#include "export/writer_inlet.hpp"

namespace flowloom {

WriterInlet::WriterInlet(std::vector<Exporter*> workers)
    : workers_(std::move(workers)), queues_(workers_.size()) {}

// The watermark and the finished flag are read before the ring, so that every message up to them
// is in `waiting` afterwards.
void WriterInlet::drain(std::size_t worker) {
  Queue& queue = queues_[worker];
  queue.finished = workers_[worker]->finished();
  queue.watermark = workers_[worker]->watermark();
  StreamMessage* messages[64];
  for (std::uint32_t n = 0; (n = workers_[worker]->receive(messages, 64)) > 0;) {
    queue.waiting.insert(queue.waiting.end(), messages, messages + n);
  }
}

bool WriterInlet::may_pass(const EventKey& key, std::size_t from) const {
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    const Queue& queue = queues_[i];
    if (i == from || !queue.waiting.empty()) continue;
    if (!queue.finished && queue.watermark < key) return false;
  }
  return true;
}

bool WriterInlet::poll(std::vector<StreamMessage*>& messages, std::size_t count) {
  bool finished = true;
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    drain(i);
    finished = finished && queues_[i].finished;
  }
  const std::size_t before = messages.size();
  while (messages.size() - before < count) {
    std::size_t least = queues_.size();
    for (std::size_t i = 0; i < queues_.size(); ++i) {
      if (queues_[i].waiting.empty()) continue;
      if (least == queues_.size() ||
          queues_[i].waiting.front()->key < queues_[least].waiting.front()->key) {
        least = i;
      }
    }
    if (least == queues_.size()) return !finished || messages.size() > before;
    Queue& queue = queues_[least];
    if (!may_pass(queue.waiting.front()->key, least)) break;
    messages.push_back(queue.waiting.front());
    queue.waiting.pop_front();
  }
  return true;
}

}  // namespace flowloom
