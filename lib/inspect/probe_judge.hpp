// Whether a connection, as far as it has come, is a probe of a port scan or ordinary traffic. Pure
// functions of a few facts: they look up nothing and remember nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "net/tcp_header.hpp"
#include "stream/probe.hpp"

namespace flowloom {

/// What a packet's flags ask for if it belongs to no connection; nothing where it does not ask
/// (answers, RSTs). What an inline detector without connections has to go by.
std::optional<ScanKind> scan_kind_of(TcpFlags flags);

/// Ports of a packet: the one that it comes from and the one that it is sent to.
struct PortPair {
  std::uint16_t from = 0;
  std::uint16_t to = 0;
};

/// Whether a connection that begins with such a packet is worth watching. Bare ACKs and FINs also
/// come from connections that began before the capture did: those count only if sent towards the
/// lower port, or one that is a server's, so that a server's own are never taken for a scan of its
/// clients.
bool may_be_probe(TcpFlags flags, PortPair ports, std::uint32_t payload_length);

/// What one side of a connection did until it was judged.
struct SideFacts {
  std::uint64_t packets = 0;
  std::uint64_t payload_bytes = 0;
  bool syn_ack = false;
  bool ack = false;  ///< an ACK without SYN, FIN or RST
  bool fin = false;
  bool rst = false;
};

/// A connection, seen from the sender of its first packet.
struct ContactFacts {
  TcpFlags first_flags;
  bool bare_syn = false;            ///< the first packet has no options but a segment size
  bool sender_ended_first = false;  ///< his FIN or RST came before the target's
  SideFacts sender;
  SideFacts target;
};

/// A TCP header up to this size has no options, or the segment size only: a host's own SYN has
/// more, those of scanners do not.
inline constexpr std::uint32_t kBareSynHeaderBytes = kTcpMinHeaderBytes + 4;

/// Bytes that a server may say unasked before a connection counts as used: a banner.
inline constexpr std::uint64_t kBannerBytesMax = 512;

/// What kind of probe it was and what became of it; nothing for ordinary traffic.
/// `Probe::sender` and `Probe::flags` are left to the caller.
std::optional<Probe> judge_contact(const ContactFacts& facts);

}  // namespace flowloom
