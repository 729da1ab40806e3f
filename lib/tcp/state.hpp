// The TCP state of one end point as far as its segments tell (RFC 9293, section 3.3.2), as a
// table. The actions are in tracker.hpp; here is only what follows what.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flowloom {

/// States of an end point. Listen also stands for "nothing heard of it yet".
enum class State : std::uint8_t {
  Listen, SynSent, SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck,
  TimeWait, Closed
};
inline constexpr std::size_t kStateCount = 11;

/// As the RFC prints them.
inline constexpr std::array<std::string_view, kStateCount> kStateNames = {
    "LISTEN",     "SYN-SENT",   "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2",
    "CLOSE-WAIT", "CLOSING",    "LAST-ACK",     "TIME-WAIT",   "CLOSED"};

/// What a segment means for one end point: one event for its talker, one for its listener.
enum class Event : std::uint8_t {
  SendSyn,      ///< it sent a SYN without ACK
  SendSynAck,   ///< it sent a SYN with ACK
  ReceiveSyn,   ///< the peer sent a SYN without ACK
  ReceiveSynAck,
  SynAcked,     ///< the peer acknowledged its SYN
  Talk,         ///< it sent a segment that only a synchronised end point sends
  SendFin,      ///< its FIN was reached in order
  ReceiveFin,   ///< the peer's FIN was reached in order
  FinAcked,     ///< the peer acknowledged its FIN
  Reset         ///< a valid RST, sent or received
};
inline constexpr std::size_t kEventCount = 10;

inline constexpr std::array<std::string_view, kEventCount> kEventNames = {
    "send SYN",  "send SYN,ACK", "receive SYN", "receive SYN,ACK", "SYN acked",
    "talk",      "send FIN",     "receive FIN", "FIN acked",       "RST"};

namespace detail {
using enum State;
// clang-format off
// Rows are states, columns events, in the order of the enumerators. An observer that missed
// segments still moves: LISTEN x Talk is a connection picked up mid-stream.
inline constexpr std::array<std::array<State, kEventCount>, kStateCount> kTransitions = {{
    // SendSyn, SendSynAck, ReceiveSyn, ReceiveSynAck, SynAcked, Talk, SendFin, ReceiveFin, FinAcked, Reset
    /* Listen      */ {SynSent, SynReceived, Listen, SynSent, Listen, Established, FinWait1, CloseWait, Listen, Closed},
    /* SynSent     */ {SynSent, SynReceived, SynReceived, Established, SynSent, Established, FinWait1, CloseWait, SynSent, Closed},
    /* SynReceived */ {SynReceived, SynReceived, SynReceived, SynReceived, Established, SynReceived, FinWait1, CloseWait, SynReceived, Closed},
    /* Established */ {Established, Established, Established, Established, Established, Established, FinWait1, CloseWait, Established, Closed},
    /* FinWait1    */ {FinWait1, FinWait1, FinWait1, FinWait1, FinWait1, FinWait1, FinWait1, Closing, FinWait2, Closed},
    /* FinWait2    */ {FinWait2, FinWait2, FinWait2, FinWait2, FinWait2, FinWait2, FinWait2, TimeWait, FinWait2, Closed},
    /* CloseWait   */ {CloseWait, CloseWait, CloseWait, CloseWait, CloseWait, CloseWait, LastAck, CloseWait, CloseWait, Closed},
    /* Closing     */ {Closing, Closing, Closing, Closing, Closing, Closing, Closing, Closing, TimeWait, Closed},
    /* LastAck     */ {LastAck, LastAck, LastAck, LastAck, LastAck, LastAck, LastAck, LastAck, Closed, Closed},
    /* TimeWait    */ {TimeWait, TimeWait, TimeWait, TimeWait, TimeWait, TimeWait, TimeWait, TimeWait, TimeWait, Closed},
    /* Closed      */ {Closed, Closed, Closed, Closed, Closed, Closed, Closed, Closed, Closed, Closed},
}};
// clang-format on
}  // namespace detail

inline constexpr const auto& kTransitions = detail::kTransitions;

constexpr State next_state(State state, Event event) {
  return kTransitions[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

}  // namespace flowloom
