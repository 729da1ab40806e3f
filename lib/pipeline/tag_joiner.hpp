// Joins what a mirror has tagged differently by direction: a SYN on one VLAN, its SYN/ACK on
// another or on none. A SYN/ACK that acknowledges a SYN of the same end points under other tags
// gives its side of the connection the identity of that SYN (docs/decisions/0011-tunnels.md).
// Works on packets in their order, before the flow's owner is known, so results do not depend on
// workers. Knows no connection; what it has forgotten stays a connection of its own, with all
// its bytes.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "base/memory.hpp"
#include "base/prefetch.hpp"
#include "net/five_tuple.hpp"
#include "net/ip.hpp"
#include "net/packet.hpp"
#include "net/tcp_header.hpp"

namespace flowloom {

class TagJoiner {
 public:
  explicit TagJoiner(const HashSeed& seed) : seed_(seed) {}

  /// Whether join() may have anything to do: for a packet in a run without differing tags, whether
  /// it is a SYN. Preconditions: packet.verdict == Verdict::Tcp.
  [[nodiscard]] bool concerns(const Packet& packet) const {
    return any_joined_ || tcp_header_of(packet).flags().has_any(kSyn);
  }

  /// Whether any packet so far was given another identity.
  [[nodiscard]] bool any_joined() const { return any_joined_; }

  /// join() will be called for it soon.
  void prefetch(const Packet& packet) const {
    if (any_tagged_) prefetch_line<PrefetchFor::Write>(&pending_[place_of(packet) % kPendingSets]);
  }

  /// Remembers a SYN, or gives a packet the identity that its side was joined to.
  /// Preconditions: hash_flow() was called; may call it again.
  void join(Packet& packet);

  [[nodiscard]] std::size_t reserved_bytes() const {
    return untagged_.bytes() + pending_.bytes() + joined_.bytes();
  }

 private:
  /// Seen twice: under other tags stood the same SYN. That stays known when the other one is
  /// forgotten, so that its late answer is not taken for this one's.
  enum class PendingState : std::uint8_t { Free, Waiting, SeenTwice };
  /// A SYN that may be answered under other tags. Small, because every connection leaves one: four
  /// make a cache line, and all of them stay in the second level cache.
  struct Pending {
    std::uint32_t ends;           ///< part of the hash of its end points
    SeqNum first_ack;             ///< the least that acknowledges it
    std::uint32_t encapsulation;
    std::uint16_t payload_bytes;  ///< that it carried, which may be acknowledged, too
    bool from_lower;
    PendingState state;
  };
  static_assert(sizeof(Pending) == 16);
  /// An untagged SYN before any handshake had tags. Nobody asks for it yet, so it only takes its
  /// turn in a ring; remember() gets the latest of them when it begins to matter.
  struct Untagged {
    std::uint32_t ends;
    SeqNum first_ack;
    std::uint32_t place;
    std::uint16_t payload_bytes;
    bool from_lower;
    bool ipv6;
  };
  static_assert(sizeof(Untagged) == 16);
  /// One side of a connection: its packets under key.encapsulation belong to `identity`.
  struct Joined {
    FlowKey key;
    std::uint32_t identity;
    bool from_lower;
    bool used;
  };
  /// A SYN waits for one round trip; that many others may come meanwhile.
  static constexpr std::uint32_t kPendingSets = 1 << 12;
  static constexpr std::uint32_t kJoinedSets = 1 << 16;
  static constexpr std::uint32_t kWays = 4;
  static constexpr std::uint32_t kUntagged = kPendingSets * kWays;
  using PendingSet = std::array<Pending, kWays>;
  using JoinedSet = std::array<Joined, kWays>;

  /// Where packets between its end points are remembered. No keyed hash: what makes room for what
  /// must be the same in every run, and who aims at a set gains nothing but that it is forgotten.
  [[nodiscard]] static std::uint32_t place_of(const Packet& packet);
  [[nodiscard]] std::uint32_t part_of_hash(const Packet& packet) const;
  /// Whether the tables are in use: from the first handshake with tags on.
  bool is_in_use_for(const Packet& packet);
  void note_untagged(const Packet& syn);
  void remember_untagged();
  void remember(const Packet& syn);
  void remember(Pending pending, std::uint32_t place);
  [[nodiscard]] const Pending* pending_elsewhere(const Packet& answer) const;
  [[nodiscard]] Joined* find(const Packet& packet);
  void add(const Packet& packet, std::uint32_t identity);

  HashSeed seed_;
  ReservedArray<Untagged> untagged_{kUntagged};
  std::uint64_t untagged_count_ = 0;
  bool any_tagged_ = false;
  ReservedArray<PendingSet> pending_{kPendingSets};
  ReservedArray<JoinedSet> joined_{kJoinedSets};
  bool any_joined_ = false;
};

inline std::uint32_t TagJoiner::place_of(const Packet& packet) {
  constexpr std::uint64_t kOdd = 0x9e37'79b9'7f4a'7c15; // 2^64 over the golden ratio
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  const std::uint8_t* tcp = packet.frame + packet.tcp_offset;
  std::uint64_t sum = std::uint64_t{load_be16(tcp)} + load_be16(tcp + 2);
  if (packet.has(packet_flags::kIpv6)) {
    for (const std::uint32_t at : {kIpv6SourceOffset, kIpv6DestinationOffset}) {
      sum += load_be64(ip + at) + load_be64(ip + at + sizeof(std::uint64_t));
    }
  } else {
    const std::uint64_t addresses = std::uint64_t{load_be32(ip + kIpv4SourceOffset)} +
                                    load_be32(ip + kIpv4DestinationOffset);
    sum += addresses << 16;
  }
  return static_cast<std::uint32_t>((sum * kOdd) >> 32);
}

}  // namespace flowloom
