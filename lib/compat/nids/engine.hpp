// One capture from nids_init() to nids_exit(): where packets come from, what becomes of them, and
// whom it concerns.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/hash.hpp"
#include "compat/nids/arrival.hpp"
#include "compat/nids/capture_file.hpp"
#include "compat/nids/fragments.hpp"
#include "compat/nids/reset_sender.hpp"
#include "compat/nids/tracker.hpp"

namespace flowloom::nids {

/// What the program has registered; outlives every capture.
struct Program {
  CallbackList tcp;
  CallbackList udp;
  CallbackList ip;
  CallbackList ip_fragment;
  ChecksumControl checksums;

  /// Forgets for good what was unregistered. Preconditions: no callback is running.
  void sweep() {
    for (CallbackList* list : {&tcp, &udp, &ip, &ip_fragment}) list->sweep();
  }
};

class Engine {
 public:
  /// By nids_params. Null where it cannot be opened, unusable where it can but its packets cannot
  /// be read; nids_errbuf says why.
  static std::unique_ptr<Engine> open(Program& program);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Handles up to `count` packets, all that come where it is not positive. As pcap_dispatch().
  int dispatch(int count);
  /// All packets until the end. As pcap_loop().
  int loop();
  /// One packet. Whether there was one.
  bool next();
  /// What the packets of handle() are from now on. False where they could not be read.
  bool set_link_type(int link_type);
  /// One packet of the program's own.
  void handle(const pcap_pkthdr& header, u_char* data);

  /// Where it is not, packets come and nothing is made of them.
  [[nodiscard]] bool is_usable() const { return usable_; }
  [[nodiscard]] pcap_t* pcap() const { return pcap_; }
  [[nodiscard]] Tracker& tracker() { return tracker_; }
  void kill(const tcp_stream& stream) { resets_.reset_both(stream); }
  void kill_at(const tcp_stream& stream, std::uint32_t distance) {
    resets_.reset_at(stream, distance);
  }
  [[nodiscard]] bool is_busy() const { return busy_; }
  /// Tells all connections that this is the end.
  void exit_all();
  /// Ends dispatch() or loop() after the packet at hand.
  void stop() { stopped_ = true; }

 private:
  static constexpr std::uint32_t kBurst = 32;
  // Connections are fetched this many packets before their turn: five lines each, and a core waits
  // for a dozen lines at a time.
  static constexpr std::uint32_t kStreamsAhead = 6;
  enum class Ahead : std::uint8_t { Some, None, Failed };

  Engine(Program& program, pcap_t* pcap);
  bool set_up();

  [[nodiscard]] bool is_readable(int link_type) const;
  void prepare(Arrival& arrival) const;
  void hash_ahead(Arrival& arrival) const;
  [[gnu::always_inline]] void prefetch_stream(std::uint32_t place) const;
  Ahead read_ahead();
  Ahead read_one_by_pcap();
  void process(Arrival& arrival);
  void process_packet(u_char* packet, std::uint32_t captured, const Arrival& arrival);
  void process_datagram(const Datagram& datagram, Timestamp stamp);
  void take_udp(const Datagram& datagram);
  [[nodiscard]] int run_ahead(int count);
  [[nodiscard]] int run_threads(int count);
  [[nodiscard]] bool goes_on(int got) const;
  [[nodiscard]] static bool is_live();

  Program& program_;
  pcap_t* pcap_;
  int link_type_;
  Rules rules_;
  HashSeed seed_;
  Tracker tracker_;
  Fragments fragments_;
  ResetSender resets_;
  CaptureFile file_;
  bool reads_file_;  ///< a file that we opened: packets may be read ahead
  bool by_pcap_;     ///< of it, the rest is libpcap's
  bool usable_ = false;
  bool busy_ = false;
  std::atomic<bool> stopped_ = false;  ///< by a callback, maybe of another thread
  bool filters_ = false;
  bpf_program filter_{};
  std::uint32_t ahead_ = 0;  ///< packets in burst_
  std::uint32_t at_ = 0;     ///< of them, handled
  std::array<Arrival, kBurst> burst_;
  Arrival own_{};  ///< of handle()
};

}  // namespace flowloom::nids
