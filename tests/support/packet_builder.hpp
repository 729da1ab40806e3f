// Builds Ethernet frames with TCP over IPv4 or IPv6, for tests: fluent, valid checksums unless told
// otherwise. Shares no code with the decoder, so that the two check each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "net/five_tuple.hpp"

namespace flowloom::test {

/// One captured frame.
struct Frame {
  Timestamp stamp;
  std::vector<std::uint8_t> bytes;
  std::uint32_t wire_length = 0;  ///< 0: as long as `bytes`
};

/// "10.0.0.<host>" and "2001:db8::<host>".
Endpoint endpoint4(std::uint8_t host, std::uint16_t port);
Endpoint endpoint6(std::uint8_t host, std::uint16_t port);

class PacketBuilder {
 public:
  enum class Checksum : std::uint8_t {
    Good,
    Bad,
    Offloaded  ///< the sum of the pseudo-header, as an offloading sender leaves it
  };

  PacketBuilder& from(const Endpoint& sender) { return sender_ = sender, *this; }
  PacketBuilder& to(const Endpoint& receiver) { return receiver_ = receiver, *this; }
  PacketBuilder& seq(std::uint32_t value) { return seq_ = value, *this; }
  PacketBuilder& ack(std::uint32_t value) { return ack_ = value, *this; }
  /// Letters as packetdrill writes them: S F R P . U E W; "-" for none.
  PacketBuilder& flags(std::string_view letters);
  PacketBuilder& window(std::uint16_t value) { return window_ = value, *this; }
  PacketBuilder& hop_limit(std::uint8_t value) { return hop_limit_ = value, *this; }
  PacketBuilder& urgent(std::uint16_t pointer) { return urgent_ = pointer, *this; }
  PacketBuilder& payload(std::string_view bytes) { return payload_ = bytes, *this; }

  PacketBuilder& mss(std::uint16_t value);
  PacketBuilder& window_scale(std::uint8_t shift);
  PacketBuilder& sack_permitted() { return option({4, 2}); }
  PacketBuilder& timestamps(std::uint32_t value, std::uint32_t echo);
  /// Bytes of one option as they are, right or wrong.
  PacketBuilder& option(const std::vector<std::uint8_t>& bytes);

  /// One more 802.1Q tag, outermost first.
  PacketBuilder& vlan(std::uint16_t id) { return vlans_.push_back(id), *this; }
  /// Ethernet padding up to this frame length.
  PacketBuilder& pad_to(std::size_t bytes) { return pad_to_ = bytes, *this; }
  /// What the IP header says its length is (IPv6: the payload length).
  PacketBuilder& ip_length(std::uint16_t value) { return ip_length_ = value, *this; }
  PacketBuilder& checksum(Checksum mode) { return checksum_ = mode, *this; }
  /// The capture keeps this many bytes of the frame.
  PacketBuilder& snap(std::size_t bytes) { return snap_ = bytes, *this; }

  [[nodiscard]] Frame build(Timestamp stamp) const;
  /// For messages of failing tests: "10.0.0.1:40000 > 10.0.0.2:80 S. seq 7 ack 9 len 5".
  [[nodiscard]] std::string describe() const;

 private:
  [[nodiscard]] std::vector<std::uint8_t> segment() const;
  [[nodiscard]] std::vector<std::uint8_t> datagram() const;

  static constexpr int kTrue = -1;

  Endpoint sender_ = endpoint4(1, 40000);
  Endpoint receiver_ = endpoint4(2, 80);
  std::uint32_t seq_ = 0;
  std::uint32_t ack_ = 0;
  std::uint8_t flags_ = 0x10;
  std::uint16_t window_ = 64000;
  std::uint16_t urgent_ = 0;
  std::uint8_t hop_limit_ = 64;
  std::string payload_;
  std::vector<std::uint8_t> options_;
  std::vector<std::uint16_t> vlans_;
  std::size_t pad_to_ = 0;
  int ip_length_ = kTrue;
  Checksum checksum_ = Checksum::Good;
  std::size_t snap_ = 0;
};

}  // namespace flowloom::test
