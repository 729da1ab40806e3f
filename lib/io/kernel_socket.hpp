// One interface of the kernel through libpcap's memory-mapped ring (TPACKET_V3): stamps in
// nanoseconds, wire lengths, VLAN tags put back where the kernel took them out, and the kernel's
// own count of what it dropped. Knows nothing of bursts, other interfaces or the end of a run.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "io/copy_ring.hpp"
#include "io/input_problem.hpp"
#include "net/link_type.hpp"

struct pcap;
struct pcap_pkthdr;

namespace flowloom {

struct KernelSettings {
  /// Frames of segmentation offload are up to 64 KiB; libpcap's own largest is this.
  std::uint32_t snap_length = 256 << 10;
  std::uint32_t ring_bytes = std::uint32_t{64} << 20;  ///< the kernel's, of each interface
  enum class Promiscuous : std::uint8_t { No, Yes } promiscuous = Promiscuous::Yes;
  std::uint64_t packets_max = 0;                   ///< of all interfaces; 0: no limit
  std::chrono::nanoseconds duration{0};            ///< 0: no limit
  std::size_t copy_bytes = std::size_t{64} << 20;  ///< of all, for frames that were handed over
};

/// The kernel hands a block of its ring over when it is full, or when its timer has found it
/// begun twice: nothing waits longer than that, however little comes.
inline constexpr std::chrono::milliseconds kKernelBlockTime{10};
inline constexpr std::chrono::milliseconds kKernelLateness = 3 * kKernelBlockTime;

/// The kernel's ring may be overwritten as soon as the next packet is asked for, so frames are
/// copied once, into a ring of our own: whoever has them may keep them as long as he likes. Where
/// that ring is full, nothing is read, and what the kernel then drops it counts.
class KernelSocket {
 public:
  /// A frame that was read and waits for its turn.
  struct Frame {
    const std::uint8_t* bytes;
    Timestamp stamp;
    std::uint32_t captured;
    std::uint32_t wire_length;
    std::size_t mark;  // of the copy
  };
  struct Counts {
    std::uint64_t seen = 0;     ///< by the kernel, those it dropped included
    std::uint64_t dropped = 0;  ///< for want of room in its ring
    std::uint64_t missed = 0;   ///< by the NIC, which are in neither of the others
  };

  /// Listens from now on, unless problem() says why not. Of the copies it has this share.
  KernelSocket(const std::string& interface, const KernelSettings& settings,
               std::size_t copy_bytes);
  ~KernelSocket();
  KernelSocket(const KernelSocket&) = delete;
  KernelSocket& operator=(const KernelSocket&) = delete;

  [[nodiscard]] const std::string& interface() const { return interface_; }
  [[nodiscard]] LinkType link() const { return link_; }
  /// It could not be opened, or it went away.
  [[nodiscard]] const std::optional<InputProblem>& problem() const { return problem_; }

  /// Reads what the kernel shows, a batch at most. Preconditions: no frame waits.
  void look();
  [[nodiscard]] bool has_frame() const { return next_ < frame_count_; }
  [[nodiscard]] const Frame& frame() const { return frames_[next_]; }
  /// Frames that were read until now and popped.
  [[nodiscard]] std::uint64_t popped() const { return popped_; }
  void pop() {
    mark_ = frames_[next_].mark;
    ++next_;
    ++popped_;
  }

  /// What was popped and not lent yet goes with packet `number`, and is free again when that
  /// number is released.
  void lend(std::uint64_t number);
  void release(std::uint64_t number);

  /// What the kernel counts, now. To be asked for now and then: its own counters are short.
  Counts count();
  /// What was counted last.
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct ClosePcap {
    void operator()(pcap* handle) const;
  };
  struct Lent {
    std::uint64_t number;
    std::size_t mark;
  };
  static constexpr std::uint32_t kBatch = 64;

  [[nodiscard]] std::string listen(const KernelSettings& settings);
  static void on_packet(unsigned char* self, const pcap_pkthdr* header, const unsigned char* bytes);
  void take(const pcap_pkthdr& header, const unsigned char* bytes);

  const std::string interface_;
  std::unique_ptr<pcap, ClosePcap> handle_;
  std::optional<InputProblem> problem_;
  LinkType link_ = LinkType::Unknown;
  CopyRing copies_;
  std::array<Frame, kBatch> frames_;
  std::uint32_t next_ = 0;
  std::uint32_t frame_count_ = 0;
  std::uint64_t popped_ = 0;
  std::uint64_t lent_to_ = 0;  // popped_ when something was lent last
  std::size_t mark_ = 0;       // of what was popped last
  std::deque<Lent> lent_;
  Counts counts_;
  std::array<std::uint32_t, 3> counted_{};  // what libpcap said last, which wraps
};

}  // namespace flowloom
