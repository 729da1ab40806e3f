// Everything mutable that one lcore owns, and the back half of the data path: look up, admit,
// track, deliver, end. Plain C++: no thread, no atomic, no DPDK.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/memory.hpp"
#include "base/slab_pool.hpp"
#include "base/timer_wheel.hpp"
#include "flow/flow_table.hpp"
#include "net/decode.hpp"
#include "net/packet.hpp"
#include "pipeline/delivery.hpp"
#include "pipeline/eviction_log.hpp"
#include "pipeline/eviction_order.hpp"
#include "pipeline/ledger.hpp"
#include "pipeline/lone_queue.hpp"
#include "pipeline/lone_segment.hpp"
#include "pipeline/probe_watch.hpp"
#include "pipeline/shard_config.hpp"
#include "stream/consumer.hpp"
#include "tcp/connection.hpp"
#include "tcp/tcp_tracker.hpp"

namespace flowloom {

class Shard {
 public:
  /// While more than 15/16 of the connections are in use, until it is less than 7/8, these
  /// time-outs hold if they are shorter: of unconfirmed connections, and of closed ones.
  static constexpr std::uint32_t kPressureBegins = 16;
  static constexpr std::uint32_t kPressureEnds = 8;
  static constexpr Duration kHurriedUnconfirmedTimeout = std::chrono::seconds{3};
  static constexpr Duration kHurriedClosedTimeout = std::chrono::seconds{5};
  /// While fewer than one of so many connections is unconfirmed, closed ones are evicted first.
  static constexpr std::uint32_t kPartForUnconfirmed = 8;
  /// HoldFirst::InFlood, from so much of the connections on: segments out of the middle while one
  /// of so many is unconfirmed and open in full; SYNs only where one of so many is unconfirmed in
  /// either form, because ordinary traffic begins with them.
  static constexpr std::uint32_t kHoldTextsFrom = 64;
  static constexpr std::uint32_t kHoldSynsFrom = 8;
  /// A queue of the timers has room for all connections and for so much of them again, which have
  /// left it meanwhile.
  static constexpr std::uint32_t kQueueSlack = 4;
  /// Of the pages that may be in use, unconfirmed connections get no more beyond this.
  static constexpr std::uint32_t kPagesForConfirmed = 8;
  /// So many segments of one side in order, each where the one before it ended, are a connection
  /// of which the other side is not seen; fewer may be anybody's.
  static constexpr std::uint32_t kSegmentsInOrder = 3;

  Shard(const ShardConfig& config, StreamConsumer& consumer);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  /// The back half for one burst: every packet gets its verdict. Packets whose verdict is not Tcp
  /// are only counted. Preconditions: Front::run() was there before; clocks do not decrease from
  /// call to call.
  void track(Burst& burst);

  /// Hints that a burst will be tracked soon, best one after the other with other work between
  /// them: fetches the lines of the flow table, then the connections that these name.
  void prefetch_table(const Burst& burst) const;
  void prefetch_connections(Burst& burst) const;
  /// Both at once, for a caller with one burst at a time.
  void prefetch(Burst& burst) const {
    prefetch_table(burst);
    prefetch_connections(burst);
  }

  /// Lets packet time pass without a packet: fires what is due before or at `clock`.
  void advance_clock(Timestamp clock);

  /// See DeliveredLog.
  void keep_delivered_in(ByteView memory) { memory_.delivered.keep_in(memory); }
  void save_delivered(ByteView part) { memory_.delivered.save(part); }

  /// End of input: every connection ends, in the order of its deadline.
  void finish();

  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  [[nodiscard]] std::uint32_t connections() const { return table_.size(); }
  /// How many packets of a burst belong to a connection that is tracked. Changes nothing: the
  /// lookup by itself, for measurements and tests. Preconditions: Front::run() was there before.
  [[nodiscard]] std::uint32_t count_known(Burst& burst) const;
  /// Bytes reserved for tables and pools.
  [[nodiscard]] std::size_t reserved_bytes() const;

  /// What is taken from the pools; all 0 after finish().
  struct MemoryInUse {
    std::uint32_t connections = 0;
    std::uint32_t extras = 0;
    std::uint32_t rares = 0;
    std::uint32_t pages = 0;
    std::uint32_t encapsulations = 0;
    friend bool operator==(const MemoryInUse&, const MemoryInUse&) = default;
  };
  [[nodiscard]] MemoryInUse memory_in_use() const {
    return {table_.size(), memory_.extras.in_use(), memory_.rares.in_use(),
            memory_.pages.in_use(), encapsulations_.in_use()};
  }

 private:
  friend class Delivery;
  friend struct ShardTimers;
  /// Connections have the lower indices in the table; LoneSyns, as many, those behind them, and
  /// LoneTexts those behind these.
  struct KeyOf {
    const Connection* connections = nullptr;
    const Ipv6Addresses* ipv6 = nullptr;  // parallel to the connections
    const LoneSyn* syns = nullptr;
    const LoneText* texts = nullptr;
    std::uint32_t each = 0;
    FlowKey operator()(std::uint32_t index) const {
      if (index < each) return flow_key_of(connections[index].key, ipv6[index]);
      return index < 2 * each ? syns[index - each].key() : texts[index - 2 * each].key();
    }
  };

  void verify_checksums(Burst& burst) const;
  void track_packet(Packet& packet, std::uint32_t guess);
  [[nodiscard]] Connection* find(const Packet& packet, std::uint32_t guess);
  [[nodiscard]] Connection* find_in_table(const Packet& packet);
  /// Counts of a talker that tell what a segment was found to be.
  struct TalkerCounts {
    std::uint64_t retransmissions = 0;
    std::uint64_t out_of_order = 0;
    std::uint64_t conflicts = 0;
    SeqNum expected;  ///< the next byte
  };
  [[nodiscard]] TalkerCounts counts_of(const Connection& c, Direction d) const;
  void note_packet(Connection& c, const Packet& packet, const TalkerCounts& before);
  void note_bad_checksum(Connection& c, const Packet& packet);
  void tell_packet(const Packet& packet, std::uint8_t marks, std::uint32_t ahead);
  [[nodiscard]] bool begins_anew(const Connection& c, const Segment& s, Direction d) const;
  [[nodiscard]] bool judge_checksum(const Packet& packet, Connection* connection);
  // By arithmetic: see Direction.
  [[nodiscard]] static Direction direction_in(const Connection& c, const Packet& packet) {
    const unsigned from_lower = packet.has(packet_flags::kFromLower) ? 1U : 0U;
    const unsigned is_upper = c.has_any(connection_flags::kOriginatorIsUpper) ? 1U : 0U;
    return static_cast<Direction>(1U ^ from_lower ^ is_upper);
  }
  /// Reports a segment whose fragments contradicted each other.
  void note_fragments(Connection& c, const Packet& packet) {
    if (packet.link == LinkType::Contradicted) [[unlikely]]
      tracker_.count(c, Anomaly::FragmentInconsistency);
  }
  [[nodiscard]] static Direction first_direction(const Packet& packet, const Segment& s);
  Connection* admit(const Packet& packet, const FlowKey& key, const Segment& s,
                    std::uint32_t reuse);
  Connection& begin(std::uint32_t index, const FlowKey& key, const Segment& s, KeySide sender,
                    Direction d);
  [[nodiscard]] std::uint32_t first_syn() const { return config_.max_flows; }
  [[nodiscard]] std::uint32_t first_text() const { return 2 * config_.max_flows; }
  [[nodiscard]] bool is_lone(std::uint32_t index) const { return index >= first_syn(); }
  /// Preconditions: is_lone(index).
  [[nodiscard]] bool is_syn(std::uint32_t index) const { return index < first_text(); }
  [[nodiscard]] const LoneSyn& syn_at(std::uint32_t index) const {
    return syns_[index - first_syn()];
  }
  [[nodiscard]] const LoneText& text_at(std::uint32_t index) const {
    return texts_[index - first_text()];
  }
  [[nodiscard]] const LoneSegment& lone_at(std::uint32_t index) const {
    if (is_syn(index)) return syn_at(index);
    return text_at(index);
  }
  [[nodiscard]] std::uint32_t lone_segments() const { return syns_.in_use() + texts_.in_use(); }
  /// What the wheel knows of LoneSegments: behind the connections an object for each kind, which
  /// stands for the first in its queue.
  static constexpr std::uint32_t kLoneTimers = 2;
  [[nodiscard]] std::uint32_t syn_timer() const { return config_.max_flows; }
  [[nodiscard]] std::uint32_t text_timer() const { return config_.max_flows + 1; }
  [[nodiscard]] bool is_lone_timer(std::uint32_t timer) const { return timer >= syn_timer(); }
  /// Preconditions: the queue of that timer is not empty; so lone_deadline().
  [[nodiscard]] std::uint32_t first_lone(std::uint32_t timer) const {
    return timer == syn_timer() ? first_syn() + syns_.first() : first_text() + texts_.first();
  }
  [[nodiscard]] Timestamp lone_deadline(std::uint32_t timer) const {
    const Timestamp clock = lone_at(first_lone(timer)).clock();
    return timer == syn_timer() ? embryonic_deadline(clock) : idle_deadline(clock);
  }
  void expire_lone(std::uint32_t timer, Timestamp deadline);
  bool hold_first(const Packet& packet, const FlowKey& key, const Segment& s);
  template <class Queue>
  std::uint32_t place_lone(Queue& queue, std::uint32_t first_index, std::uint64_t hash);
  void remove_lone(std::uint32_t index);
  Connection& open_lone(std::uint32_t index);
  void end_lone(std::uint32_t index, CloseReason reason);
  void drop_lone(std::uint32_t index, CloseReason reason);
  void evict_lone(std::uint32_t index);
  [[nodiscard]] std::uint64_t lone_hash(std::uint32_t index) const {
    return is_syn(index) ? syns_.hash(index - first_syn()) : texts_.hash(index - first_text());
  }
  /// For one more connection or LoneSegment. Returns whether there is any.
  bool make_room() {
    if (memory_.pages.in_use() > pages_for_all_) [[unlikely]] relieve_pages();
    if (table_.wants_to_grow()) [[unlikely]] grow_table();
    return table_.size() < config_.max_flows || evict_one();
  }
  void grow_table();
  void prefetch_next_connection() const;
  void note_unconfirmed(Connection& c, const Segment& s, Direction d);
  static bool follows(Connection& c, const Segment& s, Direction d);
  void note_turn(Connection& c);
  /// When and as which packet one of either form began: a total order.
  struct Birth {
    Timestamp clock;
    std::uint64_t number;
    [[nodiscard]] bool is_before(const Birth& o) const {
      return clock != o.clock ? clock < o.clock : number < o.number;
    }
  };
  [[nodiscard]] Birth birth_of(std::uint32_t index) const {
    if (is_lone(index)) return {lone_at(index).clock(), lone_at(index).number()};
    return {connections_[index].start, connections_[index].first_packet};
  }
  /// Of two, or the one that there is.
  [[nodiscard]] std::uint32_t older(std::uint32_t a, std::uint32_t b) const {
    if (a == kNoIndex || b == kNoIndex) return std::min(a, b);
    return birth_of(a).is_before(birth_of(b)) ? a : b;
  }
  [[nodiscard]] std::uint32_t oldest_unconfirmed() const;
  void evict_unconfirmed(std::uint32_t index);
  bool evict_one();
  bool evict_of_sample();
  void evict(Connection& c, EvictionClass its);
  [[nodiscard]] bool give_up(Connection& c);
  void prefetch_victims();
  void relieve_pages();
  void hurry(Timestamp clock);
  void tell_evictions();
  [[nodiscard]] static bool roles_are_wrong(const Connection& c, const Segment& s, Direction d);
  void flip_roles(Connection& c);
  void watch(Connection& c, const Packet& packet, const Segment& s);
  void judge_contacts(Timestamp clock);
  void report_probe(Connection& c);
  [[nodiscard]] std::uint32_t place_of(const Connection& c) const {
    return connections_.index_of(c);
  }
  [[nodiscard]] FlowKey key_of(const Connection& c) const {
    return flow_key_of(c.key, ipv6_[place_of(c)]);
  }
  /// What its packets have as flow_hash.
  [[nodiscard]] std::uint64_t hash_in_table(const Connection& c) const {
    return hash_of(key_of(c), config_.seed);
  }
  [[nodiscard]] bool has_key(std::uint32_t index, const Packet& packet) const;
  void rearm(Connection& c);
  void expire(std::uint32_t index, Timestamp deadline);
  void end(Connection& c, CloseReason reason);
  void remove(Connection& c, CloseReason reason);
  [[nodiscard]] Timestamp deadline_of(const Connection& c) const;
  /// Of a connection that was last heard of at `clock`, until its handshake is complete. Never
  /// later than the idle time-out, so that the handshake's end only postpones the deadline.
  [[nodiscard]] Timestamp embryonic_deadline(Timestamp clock) const {
    return saturating_add(clock, std::min(config_.syn_timeout, config_.idle_timeout));
  }
  [[nodiscard]] Timestamp idle_deadline(Timestamp clock) const {
    return saturating_add(clock, config_.idle_timeout);
  }
  [[nodiscard]] bool embryonic(const Connection& c) const;
  [[nodiscard]] CloseReason reason_of(const Connection& c) const;
  void note_limits();

  const ShardConfig config_;
  SlabPool<Connection> connections_;
  // Parallel to the connections.
  ReservedArray<ConnectionHistory> histories_;
  ReservedArray<Ipv6Addresses> ipv6_;  // untouched where there is IPv4 only
  SlabPool<EncapsulationList> encapsulations_;
  // Without HoldFirst: no room.
  LoneQueue<LoneSyn> syns_;
  LoneQueue<LoneText> texts_;
  FlowTable<KeyOf> table_;
  TimerWheel wheel_;
  EvictionOrder order_;
  ProbeWatch watch_;
  TcpMemory memory_;
  Ledger ledger_;
  Delivery delivery_;
  TcpTracker<Delivery> tracker_;
  EvictionLog evictions_;
  std::uint32_t unconfirmed_ = 0;  // connections, without LoneSegments
  // Unconfirmed ones: those that are open in full, and those of both forms.
  std::uint32_t hold_texts_from_ = 0;
  std::uint32_t hold_syns_from_ = 0;
  std::uint32_t eviction_hand_ = 0;
  std::uint32_t pressure_begins_ = 0;  // connections in use
  std::uint32_t pressure_ends_ = 0;
  std::uint32_t pages_for_all_ = 0;
  std::uint64_t page_tries_ = 0;
  bool pressed_ = false;
  bool finishing_ = false;
};

}  // namespace flowloom
