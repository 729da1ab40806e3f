// Joins what a mirror has tagged differently by direction: a SYN on one VLAN, its SYN/ACK on
// another or on none. A SYN/ACK that acknowledges a SYN of the same end points under other tags
// gives its side of the connection the identity of that SYN (docs/decisions/0011-tunnels.md).
// Works on packets in their order, before the flow's owner is known, so results do not depend on
// workers. Knows no connection; what it has forgotten stays a connection of its own, with all
// its bytes.
#pragma once

#include <array>
#include <cstdint>

#include "base/hash.hpp"
#include "base/memory.hpp"
#include "base/prefetch.hpp"
#include "net/five_tuple.hpp"
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

  /// join() will be called for it soon. A hint: right for packets without tags.
  void prefetch(const Packet& packet) const {
    prefetch_line<PrefetchFor::Write>(&pending_[packet.flow_hash % kPendingSets]);
  }

  /// Remembers a SYN, or gives a packet the identity that its side was joined to.
  /// Preconditions: hash_flow() was called; may call it again.
  void join(Packet& packet);

  [[nodiscard]] std::size_t reserved_bytes() const { return pending_.bytes() + joined_.bytes(); }

 private:
  /// A SYN that may be answered under other tags. Small, because every connection leaves one: four
  /// make a cache line, and all of them stay in the second level cache.
  struct Pending {
    std::uint32_t ends;           ///< part of the hash of its end points
    SeqNum first_ack;             ///< the least that acknowledges it
    std::uint32_t encapsulation;
    std::uint16_t payload_bytes;  ///< that it carried, which may be acknowledged, too
    bool from_lower;
    bool used;
  };
  static_assert(sizeof(Pending) == 16);
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
  using PendingSet = std::array<Pending, kWays>;
  using JoinedSet = std::array<Joined, kWays>;

  [[nodiscard]] std::uint64_t hash_of_ends(const Packet& packet) const;
  void remember(const Packet& syn, std::uint64_t ends);
  [[nodiscard]] const Pending* pending_elsewhere(const Packet& answer, std::uint64_t ends) const;
  [[nodiscard]] Joined* find(const Packet& packet, std::uint64_t ends);
  void add(const Packet& packet, std::uint64_t ends, std::uint32_t identity);

  HashSeed seed_;
  ReservedArray<PendingSet> pending_{kPendingSets};
  ReservedArray<JoinedSet> joined_{kJoinedSets};
  bool any_joined_ = false;
};

}  // namespace flowloom
