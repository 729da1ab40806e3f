// nids_params.multiproc: packets on their way from the thread that captures to the one that calls
// the program. Bounded by nids_params.queue_limit; a file waits when it is full, a network does
// not.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include <pcap.h>

namespace flowloom::nids {

enum class WhenFull : std::uint8_t { Wait, Drop };

class PacketQueue {
 public:
  struct Packet {
    pcap_pkthdr header;
    std::vector<u_char> data;
  };

  PacketQueue(std::size_t limit, WhenFull when_full) : limit_(limit), when_full_(when_full) {}

  void push(const pcap_pkthdr& header, const u_char* data);
  /// False where the queue is closed and empty.
  bool pop(Packet& packet);
  /// Nothing comes any more.
  void close();
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  const std::size_t limit_;
  const WhenFull when_full_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Packet> packets_;
  std::uint64_t dropped_ = 0;
  bool closed_ = false;
};

}  // namespace flowloom::nids
