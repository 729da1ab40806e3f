#include "io/ethdev_source.hpp"

#include <fmt/format.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <functional>

#include "base/check.hpp"
#include "io/device_clock.hpp"
#include "io/ethdev_frames.hpp"
#include "io/kernel_socket.hpp"

namespace flowloom {

namespace {

constexpr std::int64_t kNanosecondsPerMicrosecond = 1000;
constexpr std::int64_t kMicrosecondsPerSecond = 1'000'000;
constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
/// A stamp of hardware may be as far behind as its clock may be off, and as long again may pass
/// before the packet shows in its queue.
constexpr Duration kHardwareLateness = 2 * DeviceClock::kStep;
/// So often silent queues tell the time; time-outs need no more.
constexpr Duration kIdleStep = std::chrono::milliseconds{100};

Timestamp system_clock_now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return from_nanoseconds(now.tv_sec * kNanosecondsPerSecond + now.tv_nsec);
}

// libpcap reads the 32 bits of a pcap file's seconds as signed; they are not (2038 to 2106).
// Otherwise recorded seconds are whatever a hostile file says: the product saturates.
Timestamp from_microseconds(std::int64_t us) {
  constexpr std::int64_t kHalfRange = (std::int64_t{1} << 31) * kMicrosecondsPerSecond;
  if (us < 0 && us >= -kHalfRange) us += 2 * kHalfRange;
  std::int64_t ns = 0;
  if (__builtin_mul_overflow(us, kNanosecondsPerMicrosecond, &ns)) {
    return us > 0 ? kTimeMax : kTimeMin;
  }
  return from_nanoseconds(ns);
}

// What the hardware says about the TCP or UDP checksum. "None" is the wording for a frame that
// never was on a wire (virtio): its data are verified, its checksum field is not filled.
std::uint8_t checksum_flags(std::uint64_t offload_flags) {
  switch (offload_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
    case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
    case RTE_MBUF_F_RX_L4_CKSUM_NONE:
      return packet_flags::kChecksumGood;
    case RTE_MBUF_F_RX_L4_CKSUM_BAD:
      return packet_flags::kChecksumBad;
    default:
      return 0;
  }
}

}  // namespace

bool read_device_ticks(std::uint16_t port, std::uint64_t& ticks) {
  // Experimental for as long as it exists, which says nothing of what it does.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  return rte_eth_read_clock(port, &ticks) == 0;
#pragma GCC diagnostic pop
}

std::uint32_t ethdev_lookahead(std::size_t queues) {
  const std::size_t share = ethdev_limits::kLookaheadTotal / std::max<std::size_t>(queues, 1);
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(share, 1, kBurstMax));
}

std::uint32_t ethdev_mbufs_held(const EthdevSettings& settings) {
  const auto queues = static_cast<std::uint32_t>(settings.queues.size());
  constexpr std::uint32_t kWaiting = 1;  // for the stamp that follows
  return settings.held_max +
         queues * (ethdev_lookahead(queues) + kWaiting) * ethdev_limits::kSegmentsMax;
}

/// One receive queue and the packets read from it that were not handed over yet.
struct EthdevSource::Queue {
  EthdevQueue config;
  std::uint32_t port_index = 0;
  bool open = true;
  PacketClockRule rule;
  std::uint64_t received = 0;
  std::uint32_t next = 0;  // pending packets are [next, count)
  std::uint32_t count = 0;
  // Of a recorded input the last packet read waits here where its clock depends on the next one.
  bool last_waits = false;
  std::array<rte_mbuf*, kBurstMax + 1> mbufs{};
  std::array<Timestamp, kBurstMax + 1> stamps{};
  std::array<Timestamp, kBurstMax + 1> clocks{};

  [[nodiscard]] std::uint32_t held() const { return count + (last_waits ? 1 : 0); }
  [[nodiscard]] bool has_pending() const { return next < count; }
};

/// A port's counters as they were last looked at.
struct EthdevSource::PortCounts {
  std::uint16_t port = 0;
  bool counted_here = false;  // the source of queue 0 reports what the port missed
  std::uint64_t missed_before = 0;
  std::uint64_t errors = 0;
  std::uint64_t without_mbuf = 0;
  DeviceClock clock;           // of its stamps, where it has some
};

EthdevSource::EthdevSource(EthdevSettings settings)
    : settings_(std::move(settings)),
      lookahead_(ethdev_lookahead(settings_.queues.size())),
      frames_(std::make_unique<EthdevFrames>(settings_)) {
  // Idempotent: finds what net_pcap registered, so the order of set-up does not matter.
  rte_mbuf_dyn_rx_timestamp_register(&stamp_offset_, &stamp_flag_);
  find_ports();
  merging_ = std::all_of(queues_.begin(), queues_.end(), [](const Queue& queue) {
    return queue.config.end == QueueEnd::EndOfFile;
  });
  if (merging_) {
    heap_.reserve(queues_.size());
    unfilled_.reserve(queues_.size());
    for (std::uint32_t i = 0; i < queues_.size(); ++i) unfilled_.push_back(i);
  }
  open_queues_ = static_cast<std::uint32_t>(queues_.size());
  lateness_ = lateness();
}

EthdevSource::~EthdevSource() {
  for (Queue& queue : queues_) {
    rte_pktmbuf_free_bulk(queue.mbufs.data() + queue.next, queue.held() - queue.next);
  }
}

void EthdevSource::find_ports() {
  queues_.reserve(settings_.queues.size());
  for (const EthdevQueue& config : settings_.queues) {
    auto port = std::find_if(ports_.begin(), ports_.end(),
                             [&](const PortCounts& p) { return p.port == config.port; });
    if (port == ports_.end()) {
      rte_eth_stats now{};
      rte_eth_stats_get(config.port, &now);
      ports_.push_back({.port = config.port,
                        .missed_before = now.imissed + now.rx_nombuf,
                        .errors = now.ierrors,
                        .without_mbuf = now.rx_nombuf,
                        .clock = {}});
      port = ports_.end() - 1;
    }
    if (config.queue == 0) port->counted_here = true;
    Queue& queue = queues_.emplace_back();
    queue.config = config;
    queue.port_index = static_cast<std::uint32_t>(port - ports_.begin());
  }
}

SourceState EthdevSource::receive(Burst& burst) {
  burst.size = 0;
  if (merging_) {
    receive_merged(burst);
  } else {
    receive_in_turn(burst);
  }
  if (burst.size > 0) [[likely]] return SourceState::Packets;
  switch (judge_empty()) {
    case Emptiness::Pending:
      break;
    case Emptiness::Silent:
      silent_until_ = looked_at_;
      break;
    case Emptiness::Ended:
      return SourceState::End;
  }
  return SourceState::Idle;
}

/// What it means that nothing was handed over: every queue was asked, unless one has packets for
/// which there is no room.
EthdevSource::Emptiness EthdevSource::judge_empty() const {
  const auto waits = [](const Queue& queue) { return queue.has_pending() || queue.last_waits; };
  if (!heap_.empty() || std::any_of(queues_.begin(), queues_.end(), waits)) {
    return Emptiness::Pending;
  }
  return open_queues_ > 0 ? Emptiness::Silent : Emptiness::Ended;
}

/// How far a stamp may be behind the time at which its packet can be read first. Who stamps what he
/// reads is never behind.
Duration EthdevSource::lateness() const {
  Duration most{0};
  for (const Queue& queue : queues_) {
    switch (queue.config.stamps) {
      case StampSource::ReceiveClock:
        break;
      case StampSource::DeviceTicks:
        most = std::max(most, kHardwareLateness);
        break;
      case StampSource::MbufMicroseconds:  // an interface of the kernel behind net_pcap
        most = std::max(most, Duration{kKernelLateness});
        break;
    }
  }
  return most;
}

/// The clock is read before queues are looked at, so that what comes in between counts as not seen;
/// and told of only when all of them were empty. Should a stamp be earlier all the same, its packet
/// gets the clock of now.
std::optional<Timestamp> EthdevSource::idle_clock() {
  const bool recorded = std::any_of(queues_.begin(), queues_.end(), [](const Queue& queue) {
    return queue.open && queue.config.end == QueueEnd::EndOfFile;
  });
  if (recorded) return std::nullopt;
  looked_at_ = system_clock_now();
  // A clock that was set back must not silence this until it is where it was.
  const bool told = silent_until_ >= last_idle_ &&
                    silent_until_ < saturating_add(last_idle_, kIdleStep);
  if (told) return std::nullopt;
  last_idle_ = silent_until_;
  return pass(saturating_add(silent_until_, -lateness_));
}

/// By the rules of all queues, of which some may not trust the step; of a queue that had no packet
/// yet the clock is that of its stamps.
std::optional<Timestamp> EthdevSource::pass(Timestamp silent) {
  std::optional<Timestamp> least;
  bool any_started = false;
  for (Queue& queue : queues_) {
    if (queue.received == 0) continue;
    any_started = true;
    const std::optional<Timestamp> clock = queue.rule.pass(silent);
    if (clock && (!least || *clock < *least)) least = clock;
  }
  if (!any_started) least = silent;
  if (!least) return std::nullopt;
  clock_ = std::max(clock_, *least);
  return clock_;
}

/// Reads ahead in a queue that has nothing pending.
EthdevSource::Refill EthdevSource::refill(Queue& queue) {
  FLOWLOOM_DCHECK(!queue.has_pending());
  const std::uint32_t waiting = queue.last_waits ? 1 : 0;
  if (waiting > 0) {
    queue.mbufs[0] = queue.mbufs[queue.count];
    queue.stamps[0] = queue.stamps[queue.count];
  }
  queue.next = queue.count = 0;
  if (!queue.open) return Refill::Ended;
  const std::uint16_t received =
      rte_eth_rx_burst(queue.config.port, queue.config.queue, queue.mbufs.data() + waiting,
                       static_cast<std::uint16_t>(lookahead_));
  queue.received += received;
  Refill result = Refill::Nothing;
  if (queue.config.end == QueueEnd::EndOfFile && received < lookahead_) {
    result = judge_short_read(queue, received);
  }
  queue.count = waiting + received;
  if (received > 0 || !queue.open) stamp_pending(queue, waiting);
  if (received == 0 && queue.open) queue.count = 0; // it still waits
  return queue.has_pending() ? Refill::Packets : result;
}

/// net_pcap has no event for the end of a file: it reads less than was asked for, now and for
/// ever. The same happens after an error, which its port counts, and for want of an mbuf.
EthdevSource::Refill EthdevSource::judge_short_read(Queue& queue, std::uint32_t received) {
  PortCounts& port = ports_[queue.port_index];
  rte_eth_stats now{};
  rte_eth_stats_get(port.port, &now);
  const bool failed = now.ierrors != port.errors;
  const std::uint64_t lost = now.rx_nombuf - port.without_mbuf;
  port.errors = now.ierrors;
  port.without_mbuf = now.rx_nombuf;
  if (lost > 0 && !failed) return received > 0 ? Refill::Packets : Refill::Nothing;
  if (failed) {
    problems_.push_back(
        {ProblemSeverity::Damaged,
         fmt::format("{}: ended early after {} packets: the file is truncated or damaged, or "
                     "mixes interfaces, which DPDK's net_pcap does not read",
                     queue.config.name, queue.received)});
  }
  queue.open = false;
  --open_queues_;
  return received > 0 ? Refill::Packets : Refill::Ended;
}

/// The counter is read between two readings of the system's clock, and stood there in their midst.
void EthdevSource::align_clock(PortCounts& port, Timestamp now) {
  std::uint64_t ticks = 0;
  if (!port.clock.is_due(now) || !settings_.read_ticks(port.port, ticks)) return;
  port.clock.align(ticks, now + (system_clock_now() - now) / 2);
}

/// Packets before `first` have their stamps. The last one waits for its clock where that depends on
/// what follows and more may come; live inputs have nothing to wait for.
void EthdevSource::stamp_pending(Queue& queue, std::uint32_t first) {
  const bool recorded = queue.config.stamps == StampSource::MbufMicroseconds;
  PortCounts& port = ports_[queue.port_index];
  const Timestamp now = system_clock_now();
  if (queue.config.stamps == StampSource::DeviceTicks) align_clock(port, now);
  const auto stamp_offset = static_cast<std::size_t>(stamp_offset_);
  for (std::uint32_t i = first; i < queue.count; ++i) {
    rte_mbuf* mbuf = queue.mbufs[i];
    Timestamp stamp = now;
    const bool stamped = recorded || port.clock.is_known();
    if (stamped && (mbuf->ol_flags & stamp_flag_) != 0) {
      const std::uint64_t mark = *RTE_MBUF_DYNFIELD(mbuf, stamp_offset, rte_mbuf_timestamp_t*);
      stamp = recorded ? from_microseconds(static_cast<std::int64_t>(mark)) : port.clock.at(mark);
    }
    queue.stamps[i] = stamp;
  }
  queue.last_waits = false;
  if (queue.count == 0) return;
  const std::uint32_t last = queue.count - 1;
  for (std::uint32_t i = 0; i < last; ++i) {
    queue.clocks[i] = queue.rule.advance(queue.stamps[i], queue.stamps[i + 1]);
  }
  queue.last_waits = recorded && queue.open && queue.rule.wants_next(queue.stamps[last]);
  if (queue.last_waits) {
    queue.count = last;
  } else {
    queue.clocks[last] = queue.rule.advance(queue.stamps[last]);
  }
}

void EthdevSource::push_key(std::uint32_t index) {
  const Queue& queue = queues_[index];
  heap_.push_back({queue.clocks[queue.next], index});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
}

void EthdevSource::refill_or_retire(std::uint32_t index) {
  switch (refill(queues_[index])) {
    case Refill::Packets:
      push_key(index);
      return;
    case Refill::Nothing:
      unfilled_.push_back(index);
      return;
    case Refill::Ended:
      return;
  }
}

/// The next packet in total order is known only while every open queue has one pending.
void EthdevSource::receive_merged(Burst& burst) {
  for (std::size_t waiting = unfilled_.size(); waiting > 0; --waiting) {
    const std::uint32_t index = unfilled_.front();
    unfilled_.erase(unfilled_.begin());
    refill_or_retire(index);
  }
  while (unfilled_.empty() && !heap_.empty() && burst.size < burst.limit) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
    const std::uint32_t index = heap_.back().index;
    heap_.pop_back();
    const Taken taken = take_run(index, burst);
    if (queues_[index].has_pending()) {
      push_key(index);
    } else {
      refill_or_retire(index);
    }
    if (taken == Taken::NoRoom) return;
  }
}

/// Hands over the packets of one queue for as long as no other queue comes before it.
EthdevSource::Taken EthdevSource::take_run(std::uint32_t index, Burst& burst) {
  const Queue& queue = queues_[index];
  const std::uint32_t most = std::min(queue.count - queue.next, burst.limit - burst.size);
  std::uint32_t run = heap_.empty() ? most : 0;
  while (run < most && !(Key{queue.clocks[queue.next + run], index} > heap_.front())) ++run;
  return hand_over(index, burst, run);
}

void EthdevSource::receive_in_turn(Burst& burst) {
  const auto count = static_cast<std::uint32_t>(queues_.size());
  for (std::uint32_t polled = 0; polled < count && burst.size < burst.limit; ++polled) {
    Queue& queue = queues_[turn_];
    if (!queue.has_pending()) refill(queue);
    const std::uint32_t most = std::min(queue.count - queue.next, burst.limit - burst.size);
    if (hand_over(turn_, burst, most) == Taken::NoRoom) return;
    if (!queue.has_pending()) turn_ = turn_ + 1 == count ? 0 : turn_ + 1;
  }
}

/// Appends the queue's next packets to the burst, while there is room to hold them.
/// Preconditions: the queue has so many, and the burst room for them.
EthdevSource::Taken EthdevSource::hand_over(std::uint32_t index, Burst& burst,
                                            std::uint32_t count) {
  Queue& queue = queues_[index];
  for (const std::uint32_t end = queue.next + count; queue.next < end; ++queue.next) {
    rte_mbuf*& mbuf = queue.mbufs[queue.next];
    // Tags are part of a connection's identity; some drivers strip them unasked.
    if ((mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) [[unlikely]] {
      if (rte_vlan_insert(&mbuf) == 0) mbuf->ol_flags &= ~RTE_MBUF_F_RX_VLAN_STRIPPED;
    }
    Packet& packet = burst.packets[burst.size];
    packet.flags = checksum_flags(mbuf->ol_flags);
    packet.wire_length = mbuf->pkt_len;
    if (!frames_->hold(mbuf, packet)) return Taken::NoRoom;
    // net_pcap keeps no wire length; a frame that it could not express is the one case to notice.
    if (packet.captured < packet.wire_length) packet.flags |= packet_flags::kSnapped;
    clock_ = std::max(clock_, queue.clocks[queue.next]);
    packet.stamp = queue.stamps[queue.next];
    packet.clock = clock_;
    packet.number = ++number_;
    packet.link = queue.config.link;
    packet.input = static_cast<std::uint8_t>(index);
    ++burst.size;
  }
  return Taken::Run;
}

void EthdevSource::release(Burst& burst) {
  frames_->release(burst.size);
}

ByteView EthdevSource::keep_released(std::uint64_t packets, FrameKeeper& keeper) {
  return frames_->keep_released(packets, keeper);
}

std::uint64_t EthdevSource::frames_copied() const {
  return frames_->copied();
}

SourceStats EthdevSource::stats() const {
  SourceStats result;
  for (const PortCounts& port : ports_) {
    if (!port.counted_here) continue;
    rte_eth_stats now{};
    if (rte_eth_stats_get(port.port, &now) != 0) continue;
    result.missed += now.imissed + now.rx_nombuf - port.missed_before;
  }
  for (const Queue& queue : queues_) result.bad_timestamps += queue.rule.bad_timestamps();
  return result;
}

}  // namespace flowloom
