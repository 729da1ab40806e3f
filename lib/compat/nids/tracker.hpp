// Follows TCP connections by libnids' rules: handshake, windows, timestamps, ends. Gets whole IP
// datagrams, calls the program. The exact rules are those of docs/libnids.md.
#pragma once

#include <cstdint>

#include "base/hash.hpp"
#include "compat/nids/ip_rules.hpp"
#include "compat/nids/listeners.hpp"
#include "compat/nids/reassembler.hpp"
#include "compat/nids/rules.hpp"
#include "compat/nids/scan_log.hpp"
#include "compat/nids/stream_table.hpp"
#include "compat/nids/stream_timers.hpp"
#include "compat/nids/tcp_segment.hpp"

namespace flowloom::nids {

/// Whether a hash was made when the packet was read ahead.
enum class Hashed : std::uint8_t { No, Yes };

/// A whole IPv4 datagram whose header was found good; all `bytes` are readable.
struct Datagram {
  std::uint8_t* ip;
  std::uint32_t header_bytes;
  std::uint32_t bytes;     ///< from its header on
  std::uint32_t truesize;  ///< what libnids would charge for it
  std::uint64_t hash;      ///< of its end points, where hashed says so
  Hashed hashed;
};

/// End points of a TCP packet. Preconditions: the ports are captured.
inline tuple4 ends_of(const std::uint8_t* ip, const std::uint8_t* tcp) {
  return {load_be16(tcp), load_be16(tcp + 2), load_native<std::uint32_t>(ip + kIpv4SourceOffset),
          load_native<std::uint32_t>(ip + kIpv4DestinationOffset)};
}

class Tracker {
 public:
  struct Settings {
    std::uint32_t streams;  ///< that may be followed at once; 0: none are
    HashSeed seed;
    Rules rules;
    ScanLog::Settings scans;
  };

  Tracker(const Settings& settings, const CallbackList& callbacks,
          const ChecksumControl& checksums);

  [[nodiscard]] const StreamTable& table() const { return table_; }

  void take_tcp(const Datagram& datagram, Timestamp stamp);
  void take_icmp(const Datagram& datagram);
  void check_timeouts(Timestamp stamp) {
    if (!timers_.empty()) [[unlikely]]
      end_due(stamp);
  }

  /// Tells every connection that this is the end.
  void exit_all();

  tcp_stream* find(const tuple4& ends) const;
  /// Without a word; also out of its own callback.
  void free_stream(Stream& stream);

 private:
  [[nodiscard]] bool is_readable(const Datagram& datagram, Segment& segment, Timestamp stamp);
  void look_for_scan(const Segment& segment);
  void begin(const Segment& segment, std::uint64_t hash);
  void make_room(const Segment& segment);
  void take_syn(const Segment& segment, const Found& found, std::uint64_t hash);
  void take_syn_ack(const Segment& segment, Stream& stream);
  void take_segment(const Segment& segment, const Found& found);
  [[nodiscard]] static bool in_window(const Segment& segment, const half_stream& to);
  [[nodiscard]] static bool is_too_old(const Segment& segment, const Direction& way);
  void establish(Stream& stream);
  [[nodiscard]] bool take_ack(const Segment& segment, const Direction& way);
  void take_data(const Segment& segment, const Direction& way);
  void reset(Stream& stream);
  void end(Stream& stream, char state);
  void end_due(Timestamp stamp);
  void remove(Stream& stream);

  // Exact rules, in tracker_exact.cpp.
  void begin_midstream(const Segment& segment, std::uint64_t hash);
  void establish_unanswered(const Segment& segment, Stream& stream);
  void keep_syn_data(const Segment& segment, Stream& stream);
  static bool accepts_syn_data(const Segment& segment, const Stream& stream);
  void take_other_syn(const Segment& segment, Stream& stream, std::uint64_t hash);
  [[nodiscard]] static bool confirms_waiting(const Segment& segment, const Stream& stream);
  Stream& replace(Stream& stream, std::uint64_t hash);
  void skip_acknowledged(const Direction& way);
  void flush_closed(const Direction& way);
  void flush(Stream& stream);

  Rules rules_;
  std::uint32_t streams_max_;
  const CallbackList& callbacks_;
  const ChecksumControl& checksums_;
  StreamTable table_;
  StreamTimers timers_;
  Listeners listeners_;
  Reassembler reassembler_;
  ScanLog scans_;
  std::int64_t seconds_ = 0;  ///< of the packet at hand
};

}  // namespace flowloom::nids
