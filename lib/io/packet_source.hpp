// Where packets come from: the one interface between a worker and files, kernel, NIC or memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "net/packet.hpp"

namespace flowloom {

/// What a receive() call found.
enum class SourceState : std::uint8_t {
  Packets,  ///< burst.size > 0
  Idle,     ///< nothing now; more may come
  End       ///< nothing now and nothing will come
};

/// What one of a source's interfaces had.
struct InterfaceCount {
  std::string name;
  std::uint64_t received = 0;  ///< handed over
  std::uint64_t missed = 0;    ///< as in SourceStats
};

/// What became of packets that were never handed over.
struct SourceStats {
  std::uint64_t missed = 0;          ///< lost before flowloom could read them (NIC, kernel)
  std::uint64_t bad_timestamps = 0;  ///< stamps that the clock did not follow
  std::vector<InterfaceCount> inputs{};  ///< where a source counts its interfaces one by one

  SourceStats& operator+=(const SourceStats& other) {
    missed += other.missed;
    bad_timestamps += other.bad_timestamps;
    inputs.insert(inputs.end(), other.inputs.begin(), other.inputs.end());
    return *this;
  }
};

/// No memory of which frames can be kept is larger.
inline constexpr std::size_t kKeptMemoryMax = (std::size_t{1} << 31) - 1;

/// Who reads frames after their release; see PacketSource::keep_released().
class FrameKeeper {
 public:
  virtual ~FrameKeeper() = default;

  /// `memory` is about to be used again.
  virtual void before_reuse(ByteView memory) = 0;
};

/// Hands over frames in bursts. The frames of a burst stay valid until release(); bursts are
/// released in the order in which they were received. The virtual call is once per burst.
class PacketSource {
 public:
  virtual ~PacketSource() = default;

  /// Fills burst.packets[0, size) with at most burst.limit packets: frame, stamp, clock, number,
  /// captured, wire_length, link, input, and flags (checksum results; kSnapped).
  /// `clock` never decreases; `number` increases by one from 1.
  virtual SourceState receive(Burst& burst) = 0;

  /// After receive() was Idle: the clock has come so far without packets, and none that follows
  /// has an earlier one. Only where packets are stamped as they come, and only now and then; a
  /// capture has no other time than that of its packets.
  virtual std::optional<Timestamp> idle_clock() { return std::nullopt; }

  /// Gives the frames of a received burst back.
  virtual void release(Burst& burst) = 0;

  /// Frames that lie in the memory returned can be read until `packets` more have been released, or
  /// until `keeper` was told otherwise, by a call from receive(). Empty: a source without such.
  virtual ByteView keep_released(std::uint64_t /*packets*/, FrameKeeper& /*keeper*/) { return {}; }

  [[nodiscard]] virtual SourceStats stats() const = 0;
};

}  // namespace flowloom
