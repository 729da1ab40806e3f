#include "compat/nids/packet_queue.hpp"

#include <utility>

namespace flowloom::nids {

void PacketQueue::push(const pcap_pkthdr& header, const u_char* data) {
  std::unique_lock lock(mutex_);
  if (when_full_ == WhenFull::Wait) {
    changed_.wait(lock, [this] { return packets_.size() < limit_; });
  } else if (packets_.size() >= limit_) {
    ++dropped_;
    return;
  }
  packets_.push_back({header, {data, data + header.caplen}});
  changed_.notify_all();
}

bool PacketQueue::pop(Packet& packet) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closed_ || !packets_.empty(); });
  if (packets_.empty()) return false;
  packet = std::move(packets_.front());
  packets_.pop_front();
  changed_.notify_all();
  return true;
}

void PacketQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

}  // namespace flowloom::nids
