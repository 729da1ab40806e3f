#include "inspect/probe_judge.hpp"

namespace flowloom {

namespace {

/// Without what congestion control says with two of the bits.
constexpr std::uint8_t kControlBits = 0x3f;

TcpFlags control_bits(TcpFlags flags) {
  return TcpFlags{static_cast<std::uint8_t>(flags.bits() & kControlBits)};
}

/// Ports below this are servers'; a crafted probe may come from any port.
constexpr std::uint16_t kFirstClientPort = 1024;

bool is_towards_server(PortPair ports) {
  return ports.to < ports.from || ports.to < kFirstClientPort;
}

/// An ACK probe is sent once, and perhaps once more. Whoever says more is in a connection.
constexpr std::uint64_t kAckProbePackets = 2;

std::optional<Probe> probe(ScanKind kind, ProbeAnswer answer) {
  Probe found;
  found.kind = kind;
  found.answer = answer;
  return found;
}

std::optional<Probe> judge_syn(const ContactFacts& facts) {
  const SideFacts& sender = facts.sender;
  const SideFacts& target = facts.target;
  const ScanKind by_form = facts.bare_syn ? ScanKind::Syn : ScanKind::Connect;
  if (target.syn_ack) {
    if (target.payload_bytes > kBannerBytesMax) return std::nullopt;
    // The handshake is not completed: by a host, only if it did not ask.
    if (!sender.ack && !sender.fin) return probe(ScanKind::Syn, ProbeAnswer::Accepted);
    if (!facts.sender_ended_first) return std::nullopt;
    return probe(ScanKind::Connect, ProbeAnswer::Accepted);
  }
  // He goes on, so he was answered and it was not captured.
  if (sender.ack || sender.fin || target.payload_bytes > 0) return std::nullopt;
  if (target.rst) return probe(by_form, ProbeAnswer::Refused);
  if (target.packets == 0) return probe(by_form, ProbeAnswer::Silence);
  return std::nullopt;
}

std::optional<Probe> judge_flags(const ContactFacts& facts, ScanKind kind) {
  if (facts.target.payload_bytes > 0) return std::nullopt;
  if (facts.target.rst) return probe(kind, ProbeAnswer::Refused);
  if (facts.target.packets == 0) return probe(kind, ProbeAnswer::Silence);
  return std::nullopt;
}

}  // namespace

std::optional<ScanKind> scan_kind_of(TcpFlags flags) {
  const TcpFlags control = control_bits(flags);
  if (control.has_any(kRst)) return std::nullopt;
  if (control.has_any(kSyn)) {
    if (control.has_any(kAck)) return std::nullopt;
    return control.has_any(kFin) ? ScanKind::Odd : ScanKind::Syn;
  }
  if (control.has_any(kFin)) {
    if (control.has_any(kAck)) return ScanKind::Maimon;
    return control.has_any(kUrg) ? ScanKind::Xmas : ScanKind::Fin;
  }
  if (control.has_any(kAck)) return ScanKind::Ack;
  return control == TcpFlags{} ? ScanKind::Null : ScanKind::Odd;
}

bool may_be_probe(TcpFlags flags, PortPair ports, std::uint32_t payload_length) {
  const std::optional<ScanKind> kind = scan_kind_of(flags);
  if (!kind || payload_length > 0) return false;
  switch (*kind) {
    case ScanKind::Syn:
    case ScanKind::Connect:
    case ScanKind::Fin:
    case ScanKind::Null:
    case ScanKind::Xmas:
    case ScanKind::Odd:
      return true;
    case ScanKind::Maimon:
      return is_towards_server(ports);
    case ScanKind::Ack:
      return is_towards_server(ports) && control_bits(flags) == kAck;
  }
  return false;
}

std::optional<Probe> judge_contact(const ContactFacts& facts) {
  const std::optional<ScanKind> kind = scan_kind_of(facts.first_flags);
  if (!kind || facts.sender.payload_bytes > 0) return std::nullopt;
  switch (*kind) {
    case ScanKind::Syn:
    case ScanKind::Connect:
      return judge_syn(facts);
    case ScanKind::Fin:
    case ScanKind::Null:
    case ScanKind::Xmas:
    case ScanKind::Odd:
      return judge_flags(facts, *kind);
    case ScanKind::Maimon:
    case ScanKind::Ack:
      if (facts.sender.packets > kAckProbePackets) return std::nullopt;
      return judge_flags(facts, *kind);
  }
  return std::nullopt;
}

}  // namespace flowloom
