// The meaning of one made packet, and the arithmetic that derives it from a connection's number
// alone: addresses, ports, initial sequence numbers and visiting order. Keeps nothing per
// connection, so that the generator's own memory traffic never hides the engine's.
#pragma once

#include <bit>
#include <cstdint>

namespace flowloom::traffic {

/// Bits of the TCP flags octet (RFC 9293, 3.1).
namespace tcp_bits {
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kPush = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
}  // namespace tcp_bits

/// A datagram as a whole, or one of its two fragments.
enum class Part : std::uint8_t { Whole, FirstFragment, LastFragment };

/// Everything that decides a frame's bytes.
struct SegmentPlan {
  std::uint32_t source;  ///< IPv4 addresses, host order
  std::uint32_t destination;
  std::uint32_t ports;  ///< source << 16 | destination
  std::uint32_t seq;
  std::uint32_t ack;
  std::uint16_t payload;  ///< of the whole segment, also for its fragments
  std::uint8_t flags;
  Part part;
};

/// Multiplies and xor-shifts: every input bit reaches every output bit (a bijection of 64 bits).
constexpr std::uint64_t scatter(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93;
  x ^= x >> 29;
  x *= 0xa0761d6478bd642f;
  return x ^ (x >> 32);
}

/// Both ends of a made connection and where their sequence numbers start.
struct Conversation {
  std::uint32_t client;
  std::uint32_t server;
  std::uint32_t client_to_server;  ///< ports, as SegmentPlan::ports
  std::uint32_t client_iss;
  std::uint32_t server_iss;
};

/// Client addresses 10.0.0.0/8, each with 2^15 ports: 2^39 connections before a tuple repeats.
inline constexpr unsigned kPortBits = 15;
inline constexpr std::uint32_t kFirstPort = 10'000;
inline constexpr std::uint32_t kClientNet = 0x0a00'0000;
inline constexpr std::uint32_t kServerNet = 0xac10'0000;
inline constexpr std::uint32_t kServerPort = 443;

constexpr Conversation conversation_of(std::uint64_t connection, std::uint64_t seed) {
  const std::uint64_t port = kFirstPort + (connection & ((1U << kPortBits) - 1));
  const std::uint64_t host = (connection >> kPortBits) & 0x00ff'ffff;
  const std::uint64_t iss = scatter(connection ^ seed);
  return {.client = kClientNet | static_cast<std::uint32_t>(host),
          .server = kServerNet | static_cast<std::uint32_t>((connection ^ host) & 0xff),
          .client_to_server = static_cast<std::uint32_t>(port << 16) | kServerPort,
          .client_iss = static_cast<std::uint32_t>(iss),
          .server_iss = static_cast<std::uint32_t>(iss >> 32)};
}

/// Sequence-number progress of the two sides, SYN and FIN counted.
struct Progress {
  std::uint32_t client;
  std::uint32_t server;
};

constexpr SegmentPlan from_client(const Conversation& c, Progress at, std::uint32_t payload,
                                  std::uint8_t flags) {
  return {.source = c.client,
          .destination = c.server,
          .ports = c.client_to_server,
          .seq = c.client_iss + at.client,
          .ack = (flags & tcp_bits::kAck) != 0 ? c.server_iss + at.server : 0,
          .payload = static_cast<std::uint16_t>(payload),
          .flags = flags,
          .part = Part::Whole};
}

constexpr SegmentPlan from_server(const Conversation& c, Progress at, std::uint32_t payload,
                                  std::uint8_t flags) {
  return {.source = c.server,
          .destination = c.client,
          .ports = std::rotl(c.client_to_server, 16),
          .seq = c.server_iss + at.server,
          .ack = c.client_iss + at.client,
          .payload = static_cast<std::uint16_t>(payload),
          .flags = flags,
          .part = Part::Whole};
}

/// Visits [0, count) in a pseudo-random order, another one each lap, remembering only where it
/// stands: a bijection of the next power of two, whose values beyond `count` are skipped.
class VisitingOrder {
 public:
  VisitingOrder(std::uint32_t count, std::uint64_t seed)
      : count_(count),
        mask_((std::uint64_t{1} << std::bit_width(count - 1U)) - 1),
        shift_(half_width(count)),
        seed_(seed) {
    start_lap();
  }

  /// The next index; lap() is the lap that it belongs to.
  std::uint32_t next() {
    if (visited_ == count_) {
      ++lap_;
      start_lap();
    }
    ++visited_;
    std::uint64_t index = 0;
    do {
      index = permuted(position_++);
    } while (index >= count_);
    return static_cast<std::uint32_t>(index);
  }
  [[nodiscard]] std::uint64_t lap() const { return lap_; }

 private:
  static unsigned half_width(std::uint32_t count) {
    return static_cast<unsigned>(std::bit_width(count - 1U)) / 2 + 1;
  }
  void start_lap() {
    key_ = scatter(seed_ + lap_);
    position_ = 0;
    visited_ = 0;
  }
  [[nodiscard]] std::uint64_t permuted(std::uint64_t x) const {
    x = ((x ^ key_) * 0x9e3779b1U) & mask_;  // odd factors and right shifts: each step a bijection
    x ^= x >> shift_;
    x = (x * 0x85ebca6bU + (key_ >> 32)) & mask_;
    return x ^ (x >> shift_);
  }

  std::uint64_t count_;
  std::uint64_t mask_;
  unsigned shift_;
  std::uint64_t seed_;
  std::uint64_t key_ = 0;
  std::uint64_t lap_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t visited_ = 0;
};

}  // namespace flowloom::traffic
