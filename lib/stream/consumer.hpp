// What a consumer of reassembled streams is told, and in which order.
#pragma once

#include <compare>
#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "net/direction.hpp"
#include "stream/connection_record.hpp"
#include "stream/eviction.hpp"
#include "stream/packet_note.hpp"
#include "stream/probe.hpp"

namespace flowloom {

/// Places every event in the one total order of a run: the clock at which it was decided, the
/// number of the packet that decided it (for a time-out: its deadline and the number of the
/// connection's first packet), and a running number within that decision.
struct EventKey {
  Timestamp clock{kTimeMin};
  std::uint64_t number = 0;
  std::uint32_t sub = 0;
  friend auto operator<=>(const EventKey&, const EventKey&) = default;
};

/// What a consumer wants of a connection from now on.
enum class Interest : std::uint8_t {
  None,   ///< nothing more until on_close
  Events, ///< no bytes: gaps, ends and the close only
  Bytes   ///< everything
};

/// What a consumer wants of a connection that is evicted before it was confirmed.
enum class Farewell : std::uint8_t {
  Record,  ///< what is held, and on_close, as of any other
  Summary  ///< nothing more: it forgets what it was told, and a summary counts the connection
};

/// A consumer's own word per connection, kept for it by the tracker; 0 at on_open.
using ConsumerSlot = std::uint32_t;

/// Bytes that will probably be delivered next: guessed from a packet's hash alone, so that the slot
/// may be another connection's, or one that was given back.
struct ExpectedBytes {
  ConsumerSlot slot;
  Direction direction;
  std::uint32_t count;
};

/// Describes connections on request; the tracker builds a record only when somebody asks.
class ConnectionView {
 public:
  virtual ~ConnectionView() = default;
  /// Names the connection of the event until its on_close.
  [[nodiscard]] virtual std::uint32_t handle() const = 0;
  /// The connection of the event as it is at this moment.
  virtual void describe(ConnectionRecord& record) const = 0;
  /// Another open connection of the same shard, by its handle.
  virtual void describe_other(std::uint32_t handle, ConnectionRecord& record) const = 0;
};

/// Both versions of a conflict's bytes.
struct ConflictCopies {
  ByteView held;
  ByteView arrived;
};

/// Per connection, on one lcore: on_open, then for each direction independently
/// (on_data | on_gap)* on_end?, then on_close. Offsets are contiguous: each on_data or on_gap
/// starts where the one before it in that direction ended. Views die when the call returns.
class StreamConsumer {
 public:
  virtual ~StreamConsumer() = default;
  virtual Interest on_open(const EventKey&, const ConnectionView&, ConsumerSlot&) {
    return Interest::Bytes;
  }
  virtual void on_data(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction,
                       StreamOffset offset, ByteView bytes) = 0;
  /// Before a burst, where wants_expected_bytes() just then: a consumer that copies may ask for the
  /// memory to which.
  virtual void on_expected_bytes(std::span<const ExpectedBytes>) {}
  [[nodiscard]] virtual bool wants_expected_bytes() const { return false; }
  virtual void on_gap(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction,
                      const Gap&) {}
  /// An urgent byte that is not in the stream (`--urgent oob`); it stood before `offset`.
  virtual void on_urgent(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction,
                         StreamOffset offset, std::uint8_t byte) {
    (void)offset, (void)byte;
  }
  /// Held bytes, or bytes delivered lately, were contradicted. Comes at any time, also while it is
  /// not yet settled who is the originator, and is no part of a direction's sequence.
  virtual void on_conflict(const EventKey&, const ConnectionView&, ConsumerSlot&,
                           const Conflict&, const ConflictCopies&) {}
  /// A packet of the connection was tracked, or refused for its checksum; comes after what it
  /// caused. Only where ShardConfig::packets asks for it.
  virtual void on_packet(const EventKey&, const ConnectionView&, ConsumerSlot&,
                         const PacketNote&) {}
  /// The direction's FIN was reached: no byte follows.
  virtual void on_end(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction) {}
  /// With ReportProbes::Yes: the connection looks like a probe of a port scan. At most once, about
  /// two seconds of packet time after its first packet or when it ends, whichever comes first.
  virtual void on_probe(const EventKey&, const ConnectionView&, const Probe&) {}
  /// The connection ended; what it describes is final.
  virtual void on_close(const EventKey&, const ConnectionView&, ConsumerSlot&) = 0;
  /// An unconfirmed connection has to go, perhaps one of many: is a record wanted? See Farewell.
  virtual Farewell on_eviction(const ConnectionView&, ConsumerSlot&) { return Farewell::Record; }
  /// One ends that the consumer was not told of: its first segment, without payload unless it is
  /// evicted, was all (ShardConfig::hold_first). Summary: without on_open and on_close.
  virtual Farewell on_unopened_end(CloseReason) { return Farewell::Record; }
  /// Of all that were evicted with Farewell::Summary since the last one, about each second; an
  /// empty one at the end.
  virtual void on_summary(const EventKey&, const EvictionSummary&) {}
  /// Called after each burst: every event up to `watermark` has been delivered.
  virtual void on_watermark(const EventKey& watermark) { (void)watermark; }
};

}  // namespace flowloom
