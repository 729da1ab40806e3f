// nids_params.multiproc: this thread captures, another one calls the program.
#include <algorithm>
#include <thread>

#include "compat/nids/engine.hpp"
#include "compat/nids/packet_queue.hpp"

namespace flowloom::nids {

namespace {

void enqueue(u_char* queue, const pcap_pkthdr* header, const u_char* data) {
  reinterpret_cast<PacketQueue*>(queue)->push(*header, data);
}

}  // namespace

// What was read ahead is handled first, by this thread: the other one does not run yet.
int Engine::run_threads(int count) {
  while (at_ != ahead_ && !stopped_) process(burst_[at_++]);
  if (reads_file_ && !by_pcap_) {
    by_pcap_ = true;
    file_.give_back(pcap_);
  }
  const auto limit = static_cast<std::size_t>(std::max(nids_params.queue_limit, 1));
  PacketQueue queue(limit, is_live() ? WhenFull::Drop : WhenFull::Wait);
  std::thread worker([&] {
    for (PacketQueue::Packet packet; queue.pop(packet);) {
      if (!stopped_) handle(packet.header, packet.data.data());
    }
  });
  // In steps, so that a callback can end the run.
  constexpr int kStep = 64;
  int captured = 0;
  int got = 0;
  do {
    const int wanted = count > 0 ? std::min(count - captured, kStep) : kStep;
    got = pcap_dispatch(pcap_, wanted, enqueue, reinterpret_cast<u_char*>(&queue));
    captured += std::max(got, 0);
  } while (!stopped_ && (count > 0 ? got > 0 && captured < count : goes_on(got)));
  queue.close();
  worker.join();
  return got < 0 ? got : captured;
}

/// At the end of a file nothing comes; of a network, nothing did in time.
bool Engine::goes_on(int got) const {
  return got > 0 || (got == 0 && is_live());
}

}  // namespace flowloom::nids
