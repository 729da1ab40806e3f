// Which worker owns a flow where every worker polls a queue of its own: a pure function of the end
// points inside all tunnels, the same for both directions and whatever tags or tunnels are around.
// It agrees with a NIC that spreads by the symmetric key, so that what such a NIC delivers is at
// its owner already.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "net/ip.hpp"
#include "net/packet.hpp"

namespace flowloom {

/// The Toeplitz hash under a key that repeats every 16 bits depends on nothing but the sum (without
/// carry) of the 16-bit words of addresses and ports: one table of all sums says what a NIC does.
class FlowOwners {
 public:
  static constexpr std::size_t kSums = std::size_t{1} << 16;

  /// Evenly, as nobody can tell who does not know the seed.
  FlowOwners(unsigned workers, const HashSeed& seed);
  /// As a NIC does with this key and redirection table, queue q being polled by worker q modulo
  /// `workers`. Preconditions: rss_repeats(key); the table is not empty.
  FlowOwners(unsigned workers, ByteView key, std::span<const std::uint16_t> redirection);

  /// Preconditions: decode() gave packet the verdict Tcp.
  [[nodiscard]] unsigned owner_of(const Packet& packet) const { return owners_[sum_of(packet)]; }

  [[nodiscard]] unsigned workers() const { return workers_; }

 private:
  /// In the machine's byte order, which the table is laid out for.
  static std::uint16_t sum_of(const Packet& packet);

  unsigned workers_;
  std::vector<std::uint16_t> owners_;
};

/// Whether the symmetric hash under this key is what FlowOwners takes it for.
[[nodiscard]] bool rss_repeats(ByteView key);

inline std::uint16_t FlowOwners::sum_of(const Packet& packet) {
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  const auto word = [ip](std::uint32_t at) { return load_native<std::uint64_t>(ip + at); };
  constexpr std::uint32_t kWord = sizeof(std::uint64_t);
  // Both addresses stand side by side.
  std::uint64_t sum = load_native<std::uint32_t>(packet.frame + packet.tcp_offset);
  if (packet.has(packet_flags::kIpv6)) {
    sum ^= word(kIpv6SourceOffset) ^ word(kIpv6SourceOffset + kWord);
    sum ^= word(kIpv6DestinationOffset) ^ word(kIpv6DestinationOffset + kWord);
  } else {
    sum ^= word(kIpv4SourceOffset);
  }
  sum ^= sum >> 32;
  return static_cast<std::uint16_t>(sum ^ sum >> 16);
}

}  // namespace flowloom
