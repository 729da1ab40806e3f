// Live packets of a kernel interface through libpcap's memory-mapped ring (TPACKET_V3): stamps in
// nanoseconds, wire lengths, VLAN tags put back where the kernel took them out, and the kernel's
// own count of what it dropped. One socket, one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/memory.hpp"
#include "io/input_problem.hpp"
#include "io/packet_source.hpp"
#include "net/link_type.hpp"
#include "net/packet_clock_rule.hpp"

struct pcap;
struct pcap_pkthdr;

namespace flowloom {

struct KernelSettings {
  /// Frames of segmentation offload are up to 64 KiB; libpcap's own largest is this.
  std::uint32_t snap_length = 256 << 10;
  std::uint32_t buffer_bytes = std::uint32_t{64} << 20;  ///< the kernel's ring
  enum class Promiscuous : std::uint8_t { No, Yes } promiscuous = Promiscuous::Yes;
  std::uint64_t packets_max = 0;                   ///< 0: no limit
  std::chrono::nanoseconds duration{0};            ///< 0: no limit
  std::size_t copy_bytes = std::size_t{64} << 20;  ///< for frames that were handed over
};

/// The kernel's ring may be overwritten as soon as the next packet is asked for, so frames are
/// copied once, into a ring of our own: bursts may wait for their release as long as they like.
/// Where that ring is full, nothing is read, and what the kernel then drops it counts.
class KernelSource final : public PacketSource {
 public:
  /// Listens from now on, unless problem() says why not.
  explicit KernelSource(const std::string& interface, const KernelSettings& settings = {});
  ~KernelSource() override;
  KernelSource(const KernelSource&) = delete;
  KernelSource& operator=(const KernelSource&) = delete;

  /// It could not be opened, or it went away.
  [[nodiscard]] const std::optional<InputProblem>& problem() const { return problem_; }

  SourceState receive(Burst& burst) override;
  void release(Burst& burst) override;
  /// Preconditions: nobody is in receive().
  [[nodiscard]] SourceStats stats() const override;

  /// What the kernel has captured until now is still handed over, then comes the end. From any
  /// thread.
  void stop() { stopping_.store(true, std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;
  struct ClosePcap {
    void operator()(pcap* handle) const;
  };
  /// Where the copies of a burst end.
  struct Lent {
    std::uint64_t last_number;
    std::size_t end;
  };

  [[nodiscard]] std::string listen();
  bool take_one();
  static void on_packet(unsigned char* self, const pcap_pkthdr* header, const unsigned char* bytes);
  void take(const pcap_pkthdr& header, const unsigned char* bytes);
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] std::uint32_t wanted(const Burst& burst) const;
  [[nodiscard]] bool is_over();
  void start_draining();

  const std::string interface_;
  const KernelSettings settings_;
  std::unique_ptr<pcap, ClosePcap> handle_;
  std::optional<InputProblem> problem_;
  LinkType link_ = LinkType::Unknown;
  PacketClockRule rule_;
  ReservedMemory copies_;
  std::size_t head_ = 0;             // where the next copy goes
  std::size_t tail_ = 0;             // the oldest copy that is still lent
  std::deque<Lent> lent_;
  Burst* burst_ = nullptr;           // the one that is being filled
  std::uint64_t number_ = 0;
  std::atomic<bool> stopping_{false};
  bool draining_ = false;
  std::uint64_t drain_to_ = 0;       // packets that the kernel had when the end was asked for
  Clock::time_point begin_;
  Clock::time_point last_packet_;    // or the beginning of the drain
  std::uint32_t calls_ = 0;
};

}  // namespace flowloom
