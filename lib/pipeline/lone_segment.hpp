// The first segment of a connection that nothing has followed yet, in one or two cache lines: as
// much of it as TCP looks at. What is made of it is the segment as it came. (For SYNs this is a SYN
// cache; Lemon, "Resisting SYN flood DoS attacks with a SYN cache", BSDCon 2002.)
#pragma once

#include <array>
#include <cstdint>

#include "base/time.hpp"
#include "net/direction.hpp"
#include "net/five_tuple.hpp"
#include "net/ip.hpp"
#include "net/seq_num.hpp"
#include "net/tcp_options.hpp"
#include "stream/connection_record.hpp"
#include "tcp/segment.hpp"

namespace flowloom {

/// What both kinds have: who, when, and what counts as one packet.
class alignas(64) LoneSegment {
 public:
  /// Options, then payload.
  static constexpr std::size_t kTextBytes = 64;
  /// Where segment() writes them.
  using Text = std::array<std::uint8_t, kTextBytes>;

  [[nodiscard]] FlowKey key() const {
    return {addresses_[0], addresses_[1], ports_and_facts_ & kKeyMask};
  }
  [[nodiscard]] KeySide sender() const {
    return fact(kFromUpper, 1) != 0 ? KeySide::Upper : KeySide::Lower;
  }
  // By arithmetic: which of them is the lower one follows no pattern.
  [[nodiscard]] const IpAddress& source() const { return addresses_[fact(kFromUpper, 1)]; }
  [[nodiscard]] const IpAddress& destination() const {
    return addresses_[1 - fact(kFromUpper, 1)];
  }
  /// Who of the connection sent it, as far as one segment tells.
  [[nodiscard]] Direction direction() const {
    return static_cast<Direction>(fact(kByResponder, 1));
  }
  [[nodiscard]] Timestamp clock() const { return clock_; }
  /// Of the packet.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] std::uint32_t ip_bytes() const {
    return plain_ip_bytes(fact(kIpv6, 1) != 0) + 4 * fact(kHeaderWords, 4) + payload_bytes();
  }
  /// Nobody waits here any more, until set() is called again.
  void leave() { number_ = kNoNumber; }
  [[nodiscard]] bool has_left() const { return number_ == kNoNumber; }
  [[nodiscard]] std::uint32_t payload_bytes() const {
    return fact(kIsText, 1) != 0 ? fact(kLength, kLengthBits) : 0;
  }

 protected:
  // Of the word that holds the ports, plain keys leave these bits free (FlowKey::rest).
  static constexpr unsigned kIpv6 = 32;
  static constexpr unsigned kWindow = 33;        // 16 bits
  static constexpr unsigned kHeaderWords = 49;   // 4 bits
  static constexpr unsigned kFromUpper = 53;
  static constexpr unsigned kByResponder = 54;
  static constexpr unsigned kIsText = 55;
  // What follows depends on it.
  static constexpr unsigned kWindowScale = 56;   // 4 bits: shift plus one; 0 = no option
  static constexpr unsigned kTimestamps = 60;
  static constexpr unsigned kLength = 56;        // 7 bits
  static constexpr unsigned kLengthBits = 7;
  static constexpr unsigned kPushed = 63;
  static constexpr std::uint64_t kKeyMask = (std::uint64_t{1} << kWindow) - 1;

  /// Whether its layers below TCP are told by its key and lengths: no encapsulation, IP options or
  /// missing bytes, and its stamp is the clock.
  static bool is_plain(const Packet& packet, const Segment& s);
  /// Of an IP header without options.
  static std::uint32_t plain_ip_bytes(bool is_ipv6) {
    return is_ipv6 ? kIpv6HeaderBytes : kIpv4MinHeaderBytes;
  }
  /// `last` is the word that the kinds have to themselves. Written where it stays: a line that is
  /// written in words cannot be copied as one at once.
  void set(const FlowKey& key, const Packet& packet, const Segment& s, Direction d,
           std::uint64_t facts, std::uint32_t last);
  /// What both kinds know of the segment.
  [[nodiscard]] Segment common_part() const;
  [[nodiscard]] std::uint32_t fact(unsigned place, unsigned bits) const {
    return static_cast<std::uint32_t>(ports_and_facts_ >> place) & ((1U << bits) - 1);
  }
  [[nodiscard]] std::uint32_t last() const { return last_; }

 private:
  static constexpr std::uint64_t kNoNumber = 0; // packets count from 1

  std::array<IpAddress, 2> addresses_; // lower, upper
  std::uint64_t ports_and_facts_;
  Timestamp clock_;
  std::uint64_t number_;
  SeqNum seq_;
  std::uint32_t last_;
};
static_assert(sizeof(LoneSegment) == 64, "one cache line");

/// A SYN that nobody has answered.
class LoneSyn : public LoneSegment {
 public:
  /// Whether nothing of it would be lost: it is a SYN and nothing else, without data or signature.
  static bool holds(const Packet& packet, const Segment& s, const TcpOptions& options);
  /// Preconditions: holds(packet, s, options).
  void set(const FlowKey& key, const Packet& packet, const Segment& s, const TcpOptions& options);
  /// Its options live in `text`.
  [[nodiscard]] Segment segment(Text& text) const;
};

/// A segment out of the middle of a connection: ACK, perhaps PSH, and a little payload or none.
class LoneText : public LoneSegment {
 public:
  static bool holds(const Packet& packet, const Segment& s);
  /// Preconditions: holds(packet, s).
  void set(const FlowKey& key, const Packet& packet, const Segment& s, Direction d);
  /// Its options and payload live in `text`.
  [[nodiscard]] Segment segment(Text& text) const;

 private:
  Text text_;
};
static_assert(sizeof(LoneText) == 128, "two cache lines");

}  // namespace flowloom
