// The worker's end of the way to the writer core: gathers a connection's bytes in blocks and
// posts messages. A connection that fits its blocks is one message, posted when it ends.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/slab_pool.hpp"
#include "export/export_memory.hpp"
#include "export/shed_counts.hpp"
#include "export/spsc_ring.hpp"
#include "export/stream_message.hpp"
#include "export/watermark.hpp"
#include "stream/consumer.hpp"

namespace flowloom {

/// What becomes of news for which the writer has left no room.
enum class WhenFull : std::uint8_t {
  Wait,  ///< the worker waits: nothing is lost
  Shed   ///< the worker never waits: bytes are cut out of their stream, and its record says so
};

struct ExporterConfig {
  std::uint16_t worker = 0;
  std::uint32_t max_flows = 1'000'000;
  std::uint64_t memory = std::uint64_t{64} << 20;  ///< for blocks
  /// As much as is gathered stays in the caches until its next bytes come, or the writer: half of a
  /// last cache of 32 MiB. What is more is copied past them.
  std::uint64_t cached = std::uint64_t{16} << 20;
  /// On their way at most; with WhenFull::Shed, the last ones of long connections come on top.
  std::uint32_t messages = 8192;
  WhenFull when_full = WhenFull::Wait;
  bool bytes_wanted = true;                        ///< false: records only
  KeepEvidence evidence = KeepEvidence::No;
  PacketsWanted packets = PacketsWanted::None;
  EarlyBytes early_bytes = EarlyBytes::No;
  /// Of unconfirmed connections that are evicted before the writer has heard of them.
  Farewell farewell = Farewell::Record;
};

/// What is on its way to the writer, and could be.
struct ExporterLevels {
  std::uint64_t bytes = 0;  ///< room of the blocks in use
  std::uint64_t bytes_max = 0;
  std::uint32_t messages = 0;  ///< posted, and not yet received
  std::uint32_t messages_max = 0;
};

/// Runs on the worker's thread, but for return_message(), finished-flag and watermark reads of
/// the writer. When memory is short it first posts what is gathered, then waits for the writer or
/// sheds, as WhenFull says.
class Exporter final : public StreamConsumer {
 public:
  /// With WhenFull::Wait so many bytes are on their way to the writer at most: what fits a core's
  /// cache. More would only walk through memory that nobody has touched yet, since the writer sets
  /// the pace.
  static constexpr std::uint64_t kOnTheWayMax = std::uint64_t{1} << 20;

  explicit Exporter(const ExporterConfig& config);
  ~Exporter() override;

  Interest on_open(const EventKey&, const ConnectionView&, ConsumerSlot&) override;
  void on_data(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction, StreamOffset,
               ByteView) override;
  void on_expected_bytes(std::span<const ExpectedBytes> expected) override;
  [[nodiscard]] bool wants_expected_bytes() const override { return gathers_much(); }
  void on_gap(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction,
              const Gap&) override;
  void on_conflict(const EventKey&, const ConnectionView&, ConsumerSlot&, const Conflict&,
                   const ConflictCopies&) override;
  void on_probe(const EventKey&, const ConnectionView&, const Probe&) override;
  void on_packet(const EventKey&, const ConnectionView&, ConsumerSlot&,
                 const PacketNote&) override;
  void on_end(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction) override;
  Farewell on_eviction(const ConnectionView&, ConsumerSlot&) override;
  Farewell on_unopened_end(CloseReason reason) override {
    return reason == CloseReason::Evicted ? config_.farewell : Farewell::Record;
  }
  void on_summary(const EventKey&, const EvictionSummary&) override;
  void on_close(const EventKey&, const ConnectionView&, ConsumerSlot&) override;
  void on_watermark(const EventKey&) override;

  /// No packet waits for this worker any more, so from now on nothing is shed.
  void end_of_input() { when_full_ = WhenFull::Wait; }
  /// Everything has been posted; nothing follows.
  void finish();

  // For the writer's thread.
  std::uint32_t receive(StreamMessage** messages, std::uint32_t count);
  void return_message(StreamMessage* message);
  [[nodiscard]] EventKey watermark() const { return watermark_.read(); }
  [[nodiscard]] bool finished() const { return finished_.load(std::memory_order_acquire); }

  /// Whether export memory ever ran short, so that message borders depended on it.
  [[nodiscard]] bool was_pressed() const { return was_pressed_; }
  /// Times that the worker had to wait for the writer.
  [[nodiscard]] std::uint64_t waits() const { return waits_; }
  [[nodiscard]] const ShedCounts& shed() const { return shed_; }
  /// Bytes reserved for slots, messages and rings, and for blocks.
  [[nodiscard]] std::size_t reserved_bytes() const;
  [[nodiscard]] ExporterLevels levels() const {
    return {memory_.in_use(), memory_.capacity(), to_writer_.size(), config_.messages};
  }

 private:
  /// What only connections with more to say than their bytes need.
  struct OddPart {
    BlockChain gaps[2];
    std::int64_t gap_lengths[2];   // of those in `gaps`
    BlockChain conflicts;
    BlockChain packets;
    std::uint32_t listed[2];       // conflicts by KeySide, in all messages
    std::uint32_t evidence_bytes;  // the same
    std::uint32_t gaps_since_packet[2];
    // Of each direction, with WhenFull::Shed. A cut that may yet grow is no entry of `gaps` yet.
    StreamOffset cut_begin[2];
    StreamOffset cut_end[2];       // equal to the begin: none
    std::uint64_t shed_bytes[2];
    std::int64_t more_gaps[2];     // cuts that are entries, minus gaps that cuts have swallowed

    [[nodiscard]] bool is_cutting(unsigned i) const { return cut_begin[i] != cut_end[i]; }
  };
  /// What a connection has gathered since its last message. The first line is what bytes in order
  /// need, and none of the others is touched for them but the second, once: thousands of
  /// connections take turns, and each line of a slot is a miss.
  struct alignas(64) Slot {
    BlockChain data[2];
    std::uint32_t older;  // list of gathering slots by age, as indices plus one
    std::uint32_t newer;
    std::uint32_t handle;
    std::uint8_t last_class[2];  // size class of the last block of `data`
    std::uint8_t ended : 2;      // a bit for each direction
    bool gathering : 1;   // holds bytes, gaps or conflicts, so it is in the list
    bool posted : 1;      // a Progress message went out
    bool is_odd : 1;      // `odd` is in use; it is not even zeroed before
    // second line
    StreamOffset data_offset[2]; // of what is gathered; where nothing is, of what comes next
    std::uint32_t ticket;        // of the Bytes message that went out; 0: none
    OddPart odd;

    [[nodiscard]] bool is_cutting(unsigned i) const { return is_odd && odd.is_cutting(i); }
    [[nodiscard]] bool has_gaps(unsigned i) const { return is_odd && odd.gaps[i].bytes > 0; }
    [[nodiscard]] bool is_empty() const {
      if (data[0].first != nullptr || data[1].first != nullptr) return false;
      return !is_odd || (odd.gaps[0].first == nullptr && odd.gaps[1].first == nullptr &&
                         odd.conflicts.first == nullptr && odd.packets.first == nullptr);
    }
  };
  /// In ConsumerSlot: what follows is not a Slot, but a ticket.
  static constexpr ConsumerSlot kTicketBit = ConsumerSlot{1} << 31;
  /// What a message is for; the more it matters, the later it is refused.
  enum class Purpose : std::uint8_t { Progress, Whole, Promised };

  Slot& slot_of(const ConnectionView& view, ConsumerSlot& slot);
  Slot* find_slot(ConsumerSlot slot);
  [[nodiscard]] std::uint32_t ticket_of(ConsumerSlot slot) const;
  static OddPart& odd_of(Slot& slot);
  [[nodiscard]] static bool may_go_early(const Slot& slot);
  void post_bytes(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot);
  [[nodiscard]] bool gathers_much() const { return gathered_ > config_.cached; }
  static void begin_at(Slot& slot, unsigned i, StreamOffset offset);
  void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) const;
  void append(const EventKey& key, const ConnectionView& view, std::uint32_t slot, unsigned i,
              StreamOffset offset, ByteView bytes);
  ExportBlock* wait_for_block(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                              std::size_t wanted);
  BlockChain wait_for_room(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                           std::size_t wanted);
  [[nodiscard]] bool make_room(const EventKey& key, const ConnectionView& view,
                               std::uint32_t slot, BlockChain& chain, std::size_t size);
  [[nodiscard]] bool make_data_room(const EventKey& key, const ConnectionView& view,
                                    std::uint32_t slot, unsigned i, std::size_t wanted);
  [[nodiscard]] bool put_gap(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                             unsigned i, const Gap& gap);
  [[nodiscard]] bool settle_cut(const EventKey& key, const ConnectionView& view,
                                std::uint32_t slot, unsigned i);
  void settle_cut_for_good(Slot& slot, unsigned i);
  void append_gap(Slot& slot, unsigned i, const Gap& gap);
  static void extend_cut(Slot& slot, unsigned i, StreamOffset offset, std::int64_t length);
  void shed_connection(ConsumerSlot& slot);
  void forget(ConsumerSlot& slot);
  static void describe_cuts(const Slot& slot, ConnectionRecord& record);
  void unlink_if_empty(std::uint32_t slot);
  void after_growth(const EventKey& key, const ConnectionView& view);
  [[nodiscard]] std::size_t evidence_room(std::uint32_t slot) const;
  void post_progress(const EventKey& key, const ConnectionView& view, std::uint32_t slot);
  [[nodiscard]] bool mostly_gathered() const;
  [[nodiscard]] StreamMessage* take_message(Purpose purpose, StreamMessage::Kind kind,
                                            const EventKey& key);
  [[nodiscard]] std::uint32_t messages_for(Purpose purpose) const;
  [[nodiscard]] bool more_on_the_way_than(std::uint64_t bytes) const {
    return memory_.in_use() > gathered_ + bytes;
  }
  void let_writer_catch_up();
  void move_to_message(Slot& slot, StreamMessage& message);
  void post(StreamMessage* message);
  bool reclaim();
  void unlink(std::uint32_t slot);
  void link_newest(std::uint32_t slot);

  const ExporterConfig config_;
  WhenFull when_full_;
  const std::uint32_t messages_max_; // that there can ever be
  ExportMemory memory_;
  SlabPool<Slot, offsetof(Slot, odd)> slots_;
  SlabPool<std::uint32_t> tickets_;
  std::uint64_t gathered_ = 0;  // room of the blocks that slots hold
  std::uint32_t oldest_ = 0;
  std::uint32_t newest_ = 0;
  ReservedMemory message_memory_;
  StreamMessage* free_messages_ = nullptr; // chained through data[0].first
  std::uint32_t fresh_messages_ = 0;       // that were ever handed out
  std::uint32_t messages_out_ = 0;
  SpscRing to_writer_;
  SpscRing from_writer_;
  EvictionSummary unsent_; // for which there was no message
  bool was_pressed_ = false;
  std::uint64_t waits_ = 0;
  ShedCounts shed_;
  Watermark watermark_;
  alignas(64) std::atomic<bool> finished_{false};
};

}  // namespace flowloom
