// One end of a TCP connection as RFC 9293 describes it, small but honest: handshake (fast and
// simultaneous open included), windows, delayed acknowledgements, retransmission, timestamps,
// probes, FIN and RST. It makes traffic that a strict observer has no reason to doubt. No I/O: what
// it sends is taken from it, and it is told the time.
#pragma once

#include "perf/gen/content.hpp"
#include "perf/gen/segment.hpp"
#include "perf/gen/truth.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace flowloom::gen {

inline constexpr std::int64_t kMicrosecond = 1'000;
inline constexpr std::int64_t kMillisecond = 1'000'000;
inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

/// One message of the conversation; its sender waits for all earlier ones, then for the pause.
struct Turn {
  Side side;
  std::uint64_t bytes;
  std::int64_t pause_ns;
};

enum class Opening : std::uint8_t { Passive, Active };
/// How an end leaves: FIN when all is said by both; FIN when it has said all itself (half-close);
/// RST when all is said; no end at all.
enum class Leaving : std::uint8_t { Fin, HalfClose, Reset, Stay };
enum class FinStyle : std::uint8_t { Alone, WithData };

/// How one end behaves.
struct PeerPlan {
  Opening opening = Opening::Passive;
  Leaving leaving = Leaving::Fin;
  FinStyle fin_style = FinStyle::Alone;
  bool timestamps = false;         ///< of both ends, or of none
  std::uint32_t clock_base = 0;    ///< of its timestamps
  std::uint32_t mss = 1460;        ///< of what it sends, without options
  std::uint32_t buffer_bytes = 65'535;
  std::uint8_t window_scale = 0;
  std::uint8_t peer_window_scale = 0;
  std::uint64_t flight_bytes = 10 * 1460;  ///< most that is under way
  std::uint32_t syn_bytes = 0;     ///< data on the SYN (RFC 7413)
  bool takes_syn_data = false;
  std::uint64_t stall_at = 0;      ///< the application stops reading here once; 0: never
  std::int64_t stall_ns = 0;
  std::uint64_t reset_at = 0;      ///< received this much, it aborts with a RST; 0: never
  bool reset_acknowledges = true;  ///< the RST carries an acknowledgement
  std::int64_t keep_alive_ns = 0;  ///< idle time before a keep-alive; 0: none
  std::uint32_t keep_alive_bytes = 0;
};

class Peer {
 public:
  Peer(Side side, const PeerPlan& plan, const std::vector<Turn>& turns, std::uint64_t seed);

  /// An active end sends its SYN.
  void open(std::int64_t now);
  void receive(const Segment& segment, std::int64_t now);
  [[nodiscard]] std::int64_t next_timer() const;
  void run_timers(std::int64_t now);
  /// What was sent since the last call.
  std::vector<Segment> take_sent() { return std::exchange(sent_, {}); }

 private:
  enum class State : std::uint8_t { Listen, SynSent, SynReceived, Established, Reset, GivenUp };
  enum Timer : std::size_t { kRetransmit, kAcknowledge, kApplication, kPersist, kKeepAlive };
  static constexpr std::size_t kTimers = 5;

  // Receiving.
  void on_listen(const Segment& segment, std::int64_t now);
  void on_syn_sent(const Segment& segment, std::int64_t now);
  void on_synchronised(const Segment& segment, std::int64_t now);
  bool on_reset(const Segment& segment);
  [[nodiscard]] bool acceptable(const Segment& segment) const;
  void note_stamp(const Segment& segment);
  void on_ack(const Segment& segment, std::int64_t now);
  void on_text(const Segment& segment, std::int64_t now);
  void establish(std::int64_t now);

  // The application.
  void advance_turns(std::int64_t now);
  void read(std::int64_t now);
  [[nodiscard]] bool wants_to_leave() const;
  void leave(std::int64_t now);
  void abort(std::int64_t now);

  // Sending.
  void pump(std::int64_t now);
  void send_syn(std::uint32_t bytes, std::int64_t now);
  void send_ack(std::int64_t now);
  void send(Segment segment, std::int64_t now);
  void retransmit(std::int64_t now);
  void on_retransmit_timer(std::int64_t now);
  void probe(std::int64_t now);
  void arm_idle_timers(std::int64_t now);
  [[nodiscard]] std::uint32_t piece(std::uint64_t most);
  [[nodiscard]] std::uint32_t largest_payload() const;
  [[nodiscard]] std::uint16_t window_field(const Segment& segment);
  [[nodiscard]] bool outstanding() const { return snd_una_ != snd_nxt_; }

  Side side_;
  PeerPlan plan_;
  std::vector<Turn> turns_;
  Random random_;
  State state_ = State::Listen;
  std::array<std::int64_t, kTimers> timers_;
  std::vector<Segment> sent_;

  // Positions count stream bytes; a FIN takes the one behind the last byte.
  std::uint64_t snd_una_ = 0;
  std::uint64_t snd_nxt_ = 0;
  std::uint64_t snd_edge_ = 0;   ///< furthest position that the other end allows, exclusive
  std::uint64_t recover_ = 0;    ///< retransmission goes on until this is acknowledged
  std::uint64_t writable_ = 0;   ///< what the application has said so far
  std::uint32_t duplicate_acks_ = 0;
  std::uint32_t backoff_ = 0;
  std::uint32_t probes_ = 0;
  std::uint32_t keep_alives_ = 0;
  bool fin_sent_ = false;
  bool syn_acked_ = false;

  Coverage received_;
  std::uint64_t rcv_nxt_ = 0;
  std::uint64_t rcv_edge_ = 0;   ///< furthest position offered, exclusive; never moves back
  std::uint64_t read_ = 0;
  std::uint64_t last_ack_sent_ = 0;
  std::uint64_t fin_at_ = std::numeric_limits<std::uint64_t>::max();
  std::uint32_t unacked_segments_ = 0;
  std::uint32_t stamp_recent_ = 0;
  std::int64_t stalled_until_ = 0;

  std::size_t turn_ = 0;
  std::uint64_t turn_bytes_ = 0;   ///< of the other end, up to the current turn
  std::int64_t turn_starts_ = kNever;
};

}  // namespace flowloom::gen
