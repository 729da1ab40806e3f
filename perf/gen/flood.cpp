#include "perf/gen/flood.hpp"

namespace flowloom::gen {

namespace {

// Invented sources: 28 bits of address and 15 of a port that no server has. An odd factor makes
// every number of that many bits once, in no order that one would see.
constexpr unsigned kPortBits = 15;
constexpr unsigned kSourceBits = 28 + kPortBits;
constexpr std::uint64_t kScatter = 0x9e3779b97f4a7c15;
constexpr std::uint32_t kSources = 0x5000'0000;  // no client of a transfer
constexpr std::uint32_t kFirstPort = 1U << kPortBits;

std::uint8_t flags_of(FloodKind kind) {
  switch (kind) {
    case FloodKind::None: break;
    case FloodKind::Syn: return tcp_bits::kSyn;
    case FloodKind::Ack: return tcp_bits::kAck;
    case FloodKind::Push: return tcp_bits::kAck | tcp_bits::kPush;
  }
  return 0;
}

}  // namespace

Flood::Packet Flood::next(const Endpoint& server) {
  const std::uint64_t source = count_++ * kScatter & ((std::uint64_t{1} << kSourceBits) - 1);
  Packet packet;
  packet.identity.family = family_;
  packet.identity.ends[0] = {
      kSources | static_cast<std::uint32_t>(source >> kPortBits),
      static_cast<std::uint16_t>(kFirstPort | (source & (kFirstPort - 1)))};
  packet.identity.ends[1] = server;
  packet.identity.iss = {static_cast<std::uint32_t>(random_.next()),
                         static_cast<std::uint32_t>(random_.next())};
  packet.identity.content[0] = source;
  packet.segment.flags = flags_of(kind_);
  packet.segment.bytes = kind_ == FloodKind::Push ? 1 : 0;
  return packet;
}

}  // namespace flowloom::gen
