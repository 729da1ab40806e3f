// Packets from DPDK: one or several receive queues of NICs and virtual devices behind the
// PacketSource interface. Queues of capture files (net_pcap) are merged by their clocks, so that
// a replay through DPDK gives the order that the capture reader gives; live queues are taken in
// turn. Knows no EAL set-up: ports are configured and started by runtime/ports.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/input_problem.hpp"
#include "io/packet_source.hpp"
#include "net/link_type.hpp"
#include "net/packet_clock_rule.hpp"

struct rte_mempool;  // DPDK's headers stay in the source file

namespace flowloom {

/// Whether a queue can run out of packets for good.
enum class QueueEnd : std::uint8_t {
  Never,     ///< a NIC, a ring, a capture file in an endless loop
  EndOfFile  ///< net_pcap over files: a short read is the end, or an error that is counted
};

/// Where a packet's stamp comes from.
enum class StampSource : std::uint8_t {
  ReceiveClock,     ///< one reading of the system clock per burst
  MbufMicroseconds, ///< net_pcap: the recorded stamp, in microseconds since the epoch
  DeviceTicks       ///< the NIC's own counter, where a packet has a stamp of it
};

namespace ethdev_limits {
/// The smallest data room of a pool whose mbufs come here; kSegmentsMax follows from it.
inline constexpr std::uint32_t kDataRoom = 2048;
/// The largest frame: net_pcap chains what 16 bits count behind a first full segment, and loses
/// the rest of anything longer.
inline constexpr std::uint32_t kFrameMax = 65535 + kDataRoom;
/// mbufs that one frame can occupy.
inline constexpr std::uint32_t kSegmentsMax = (kFrameMax + kDataRoom - 1) / kDataRoom;
/// Packets that all queues of a source look ahead together (one each, where there are more).
inline constexpr std::uint32_t kLookaheadTotal = 512;
}  // namespace ethdev_limits

struct EthdevQueue {
  std::uint16_t port = 0;
  std::uint16_t queue = 0;
  QueueEnd end = QueueEnd::Never;
  StampSource stamps = StampSource::ReceiveClock;
  LinkType link = LinkType::Ethernet;
  std::string name;  ///< for messages: the capture file or the port
};

/// What the counter of a port's stamps stands at now; false: it does not tell.
using ReadTicks = bool (*)(std::uint16_t port, std::uint64_t& ticks);
[[nodiscard]] bool read_device_ticks(std::uint16_t port, std::uint64_t& ticks);

struct EthdevSettings {
  std::vector<EthdevQueue> queues;
  /// Frames handed over and not yet released, or kept; receive() is Idle when that many are handed
  /// over.
  std::uint32_t held_max = 4096;
  /// Where the mbufs of all queues come from; nullptr: released frames are not kept.
  rte_mempool* pool = nullptr;
  /// Contiguous copies of chained frames live here until their release; at least kFrameMax.
  std::uint32_t scratch_bytes = 4u << 20;
  ReadTicks read_ticks = read_device_ticks;  ///< tests have counters of their own
};

/// Packets that each of `queues` queues reads ahead: kBurstMax where there are few.
std::uint32_t ethdev_lookahead(std::size_t queues);

/// mbufs that a source with these settings may hold at once, in the worst case. A pool of this
/// size (and the rings of the hardware beside) is never found empty, which matters: net_pcap
/// loses a packet that it has read when it gets no mbuf for it.
std::uint32_t ethdev_mbufs_held(const EthdevSettings& settings);

class EthdevFrames;

/// Preconditions: EAL is initialised, the ports are started; nobody else polls these queues.
/// Used by one thread at a time. Must be destroyed before the ports are closed.
class EthdevSource final : public PacketSource {
 public:
  explicit EthdevSource(EthdevSettings settings);
  ~EthdevSource() override;
  EthdevSource(const EthdevSource&) = delete;
  EthdevSource& operator=(const EthdevSource&) = delete;

  SourceState receive(Burst& burst) override;
  /// Of live queues; none as long as one of a file is open.
  std::optional<Timestamp> idle_clock() override;
  /// Of the oldest burst.size frames; nothing else of the burst is looked at.
  void release(Burst& burst) override;
  ByteView keep_released(std::uint64_t packets, FrameKeeper& keeper) override;
  [[nodiscard]] SourceStats stats() const override;

  /// Files that ended early or were damaged. Complete once receive() has returned End.
  [[nodiscard]] const std::vector<InputProblem>& problems() const { return problems_; }
  /// Chained frames that were copied to be contiguous.
  [[nodiscard]] std::uint64_t frames_copied() const;

 private:
  struct Queue;
  struct PortCounts;

  enum class Refill : std::uint8_t { Packets, Nothing, Ended };
  enum class Taken : std::uint8_t { Run, NoRoom };
  enum class Emptiness : std::uint8_t { Pending, Silent, Ended };

  void find_ports();
  [[nodiscard]] Emptiness judge_empty() const;
  [[nodiscard]] Duration lateness() const;
  [[nodiscard]] std::optional<Timestamp> pass(Timestamp silent);
  Refill refill(Queue& queue);
  void stamp_pending(Queue& queue, std::uint32_t first);
  void align_clock(PortCounts& port, Timestamp now);
  Refill judge_short_read(Queue& queue, std::uint32_t received);
  void refill_or_retire(std::uint32_t index);
  void receive_merged(Burst& burst);
  void receive_in_turn(Burst& burst);
  void push_key(std::uint32_t index);
  Taken take_run(std::uint32_t index, Burst& burst);
  Taken hand_over(std::uint32_t index, Burst& burst, std::uint32_t count);

  /// The clock of a queue's next packet, as the merge orders them.
  struct Key {
    Timestamp clock;
    std::uint32_t index;
    friend bool operator>(const Key& a, const Key& b) {
      return a.clock != b.clock ? a.clock > b.clock : a.index > b.index;
    }
  };

  EthdevSettings settings_;
  std::uint32_t lookahead_;
  std::vector<Queue> queues_;
  std::vector<PortCounts> ports_;
  std::vector<Key> heap_;                // merging: queues with a pending packet, least first
  std::vector<std::uint32_t> unfilled_;  // merging: open queues without a pending packet
  std::uint32_t turn_ = 0;               // in turn: the queue to poll next
  std::uint32_t open_queues_ = 0;
  bool merging_ = false;

  std::unique_ptr<EthdevFrames> frames_;

  Timestamp clock_ = kTimeMin;
  Duration lateness_{0};                // of stamps behind the time at which packets show
  Timestamp looked_at_ = kTimeMin;      // when idle_clock() looked at the system's clock
  Timestamp silent_until_ = kTimeMin;   // all queues were found empty after that
  Timestamp last_idle_ = kTimeMin;      // what idle_clock() has told of
  std::uint64_t number_ = 0;
  int stamp_offset_ = -1;         // of the timestamp within an mbuf
  std::uint64_t stamp_flag_ = 0;  // the mbuf has one
  std::vector<InputProblem> problems_;
};

}  // namespace flowloom
