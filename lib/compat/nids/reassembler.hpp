// Order within one direction of a connection, by libnids' rules: what is in order is shown at once,
// what is early waits sorted by sequence number. Knows neither handshake nor windows.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "compat/nids/half_buffer.hpp"
#include "compat/nids/listeners.hpp"
#include "compat/nids/rules.hpp"
#include "compat/nids/segment_store.hpp"
#include "compat/nids/stream_timers.hpp"

namespace flowloom::nids {

/// One direction of a connection: who sends, and the half that shows it.
struct Direction {
  Stream& stream;
  half_stream& from;
  half_stream& to;
};

struct Piece {
  std::uint32_t seq;
  ByteView bytes;
  std::uint8_t flags;            ///< of the TCP header
  std::uint16_t urgent_pointer;  ///< as it stands there

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(bytes.size()); }
  [[nodiscard]] bool has_fin() const { return (flags & TH_FIN) != 0; }
  /// Behind the last byte, or the FIN.
  [[nodiscard]] std::uint32_t end() const { return seq + size() + (has_fin() ? 1 : 0); }
};

/// Circular comparisons, for points less than 2^31 apart.
inline bool is_before(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}
inline bool is_after(std::uint32_t a, std::uint32_t b) {
  return is_before(b, a);
}

/// The sequence number of the next byte in order.
inline std::uint32_t expected_seq(const Direction& way) {
  return way.from.first_data_seq + static_cast<std::uint32_t>(way.to.count) +
         static_cast<std::uint32_t>(way.to.urg_count);
}

class Reassembler {
 public:
  Reassembler(Listeners& listeners, StreamTimers& timers)
      : listeners_(listeners), timers_(timers) {}

  /// In order, in part at least: shows it, and what waited for it. A callback may have freed the
  /// stream afterwards (Stream::doomed).
  void take(const Direction& way, const Piece& piece, std::int64_t seconds);

  /// Keeps an early one, charged with `truesize`.
  void keep(const Direction& way, const Piece& piece, std::uint32_t truesize, std::int64_t seconds);

  /// Shows what waited and is in order now.
  void resume(const Direction& way, std::int64_t seconds);

  /// Throws all early ones away.
  void purge(half_stream& half);

  /// Exact rules: what is missing before the first early one is skipped; what is early and in order
  /// then is shown. Preconditions: something waits.
  void skip_hole(const Direction& way, std::int64_t seconds);

  /// Skips every hole.
  void flush(const Direction& way, std::int64_t seconds);

  /// The stream ends.
  void release(Stream& stream);

 private:
  void show(const Direction& way, const Piece& piece, std::int64_t seconds);
  void show_bytes(const Direction& way, ByteView bytes);
  void show_urgent(const Direction& way, std::uint8_t byte);
  void notify_data(const Direction& way);
  void start_closing(Stream& stream, std::int64_t seconds);
  void unlink(half_stream& half, skbuff* segment);

  Listeners& listeners_;
  StreamTimers& timers_;
  SegmentStore store_;
  HalfBuffer buffer_;
};

}  // namespace flowloom::nids
