// A SYN that nobody has answered yet, in one cache line: as much of it as TCP looks at. What is
// made of it is the segment as it came (A SYN cache; Lemon, "Resisting SYN flood DoS attacks with
// a SYN cache", BSDCon 2002).
#pragma once

#include <array>
#include <cstdint>

#include "base/time.hpp"
#include "net/five_tuple.hpp"
#include "net/seq_num.hpp"
#include "net/tcp_options.hpp"
#include "tcp/segment.hpp"

namespace flowloom {

class alignas(64) LoneSyn {
 public:
  /// Where segment() writes the options.
  using OptionBytes = std::array<std::uint8_t, 16>;

  /// Written where it stays: a line that is written in words cannot be copied as one at once.
  /// Preconditions: holds(packet, s, options).
  void set(const FlowKey& key, const Packet& packet, const Segment& s, const TcpOptions& options);

  /// Whether nothing of the SYN would be lost: it carries no data, has no encapsulation, IP options
  /// or signature, and its stamp is the clock.
  static bool holds(const Packet& packet, const Segment& s, const TcpOptions& options);

  [[nodiscard]] FlowKey key() const {
    return {lower_address_, upper_address_, ports_and_facts_ & kKeyMask};
  }
  /// The SYN; its options live in `bytes`.
  [[nodiscard]] Segment segment(OptionBytes& bytes) const;
  [[nodiscard]] bool from_upper() const { return fact(kFromUpper, 1) != 0; }
  [[nodiscard]] const IpAddress& sender() const {
    return from_upper() ? upper_address_ : lower_address_;
  }
  [[nodiscard]] const IpAddress& receiver() const {
    return from_upper() ? lower_address_ : upper_address_;
  }
  [[nodiscard]] Timestamp clock() const { return clock_; }
  /// Of the packet.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] std::uint32_t ip_bytes() const;

 private:
  // Of the word that holds the ports, plain keys leave these bits free (FlowKey::rest).
  static constexpr unsigned kIpv6 = 32;
  static constexpr unsigned kWindow = 33;        // 16 bits
  static constexpr unsigned kWindowScale = 49;   // 4 bits: shift plus one; 0 = no option
  static constexpr unsigned kHeaderWords = 53;   // 4 bits
  static constexpr unsigned kTimestamps = 57;
  static constexpr unsigned kFromUpper = 58;
  static constexpr std::uint64_t kKeyMask = (std::uint64_t{1} << kWindow) - 1;

  [[nodiscard]] std::uint32_t fact(unsigned place, unsigned bits) const {
    return static_cast<std::uint32_t>(ports_and_facts_ >> place) & ((1U << bits) - 1);
  }

  IpAddress lower_address_;
  IpAddress upper_address_;
  std::uint64_t ports_and_facts_;
  Timestamp clock_;
  std::uint64_t number_;
  SeqNum seq_;
  std::uint32_t timestamp_value_;
};
static_assert(sizeof(LoneSyn) == 64, "one cache line");

}  // namespace flowloom
