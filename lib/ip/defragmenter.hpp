// IP defragmentation for one shard: fragments in, in packet order, whole datagrams out. Owns the
// datagrams in progress and the memory of those completed; knows neither flows nor TCP, reads no
// clock and allocates nothing after start. What it decides follows from the packets alone, but for
// what its limits force it to drop, which is counted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "base/memory.hpp"
#include "base/slab_pool.hpp"
#include "base/time.hpp"
#include "ip/datagram_ring.hpp"
#include "ip/datagram_table.hpp"
#include "ip/fragment_header.hpp"
#include "ip/fragment_key.hpp"
#include "ip/fragment_map.hpp"
#include "ip/fragment_overlap.hpp"
#include "net/decode.hpp"
#include "net/packet.hpp"

namespace flowloom {

/// Whether the TCP checksum decides between the versions of an IPv4 datagram where the policy's is
/// wrong. ByPolicy belongs to runs that look at no checksum.
enum class VersionChoice : std::uint8_t { ByChecksum, ByPolicy };

/// memory_bytes covers everything: tables, bytes of datagrams in progress, and completed_bytes. It
/// is reserved at start and touched as it is used; less than kMinMemoryBytes is raised to it.
struct DefragmentSettings {
  std::uint32_t max_datagrams = 65536;  ///< in progress; fewer where memory_bytes is small
  std::size_t memory_bytes = std::size_t{32} << 20;
  std::size_t completed_bytes = std::size_t{2} << 20;  ///< completed and not yet released
  Duration ipv4_timeout = std::chrono::seconds{30};
  Duration ipv6_timeout = std::chrono::seconds{60};
  FragmentOverlap ipv4_overlap = FragmentOverlap::Bsd;  ///< IPv6 is always Discard (RFC 5722)
  VersionChoice choice = VersionChoice::ByChecksum;
  Ipv6HeaderChain ipv6_chain = Ipv6HeaderChain::Whole;
  HashSeed seed = {};
};

/// opened = reassembled + expired + evicted + discarded + those in progress.
struct DefragmentCounters {
  std::uint64_t fragments;  ///< handed to add()
  std::uint64_t opened;     ///< datagrams begun
  std::uint64_t reassembled;
  std::uint64_t expired;            ///< not complete in time, or at the end of input
  std::uint64_t evicted;            ///< dropped for a limit
  std::uint64_t discarded;          ///< dropped for what a fragment of theirs was rejected for
  std::uint64_t overlaps;           ///< fragments that brought bytes that were there already
  std::uint64_t overlap_conflicts;  ///< those of them whose bytes differed
  std::uint64_t decided_by_checksum;  ///< datagrams that are not what the policy makes of them
  std::array<std::uint64_t, kFragmentRejectCount> rejected;  ///< fragments, by FragmentReject
};

/// Kept; nothing to do yet.
struct FragmentHeld {};

/// A whole datagram, as if it had never been fragmented. In memory, what its last fragment was
/// wrapped in stands before it (write_reassembled_header()), so that it can be parsed like the
/// frame whose place it takes.
struct CompleteDatagram {
  ByteView bytes;               ///< from its IP header
  std::uint32_t link_bytes;     ///< before it; 0 for LinkType::Raw
  LinkType link;                ///< Raw, Reassembled or Contradicted
  DatagramRing::Handle handle;  ///< for release()
  std::uint32_t fragments;      ///< that it was made of, duplicates included
  std::uint32_t conflicts;      ///< of them, overlapped with other bytes or came out of such a one
};

/// The packet that takes the place of the datagram's last fragment: number, stamp, clock and input
/// are the fragment's, frame and lengths the datagram's, what decode() sets is cleared.
Packet packet_of(const CompleteDatagram& datagram, const Packet& last_fragment);

class Defragmenter {
 public:
  using Result = std::variant<FragmentHeld, FragmentReject, CompleteDatagram>;

  static constexpr std::size_t kMinMemoryBytes = std::size_t{2} << 20;
  static constexpr std::size_t kMaxCompletedBytes = kMaxReassembledHeaderBytes + kMaxDatagramBytes;

  explicit Defragmenter(const DefragmentSettings& settings);

  /// Takes one fragment; its bytes are copied. A datagram is complete with the fragment that fills
  /// its last hole, and forgotten at once: what still comes of it begins another one, which
  /// expires. Preconditions: decode() gave packet the verdict Fragment; clocks do not decrease.
  Result add(const Packet& packet);

  /// Drops the datagram in progress under this key, if there is one; it counts as discarded.
  void forget(const FragmentKey& key);

  /// Gives the memory of a completed datagram back; in any order.
  void release(DatagramRing::Handle handle) { completed_.release(handle); }

  /// Whether a datagram of any size could be completed now. A source that can wait should, while
  /// this is false: the fragment that completes a datagram is lost then (NoRoom).
  [[nodiscard]] bool can_complete() const { return completed_.has_room(kMaxCompletedBytes); }

  /// Housekeeping: drops what is due by `clock`, at most kExpireBatch datagrams a call. Results do
  /// not depend on when it is called, if ever: a lookup that meets a datagram past its time treats
  /// it as gone.
  void expire(Timestamp clock) { expire_due(clock, kExpireBatch); }

  /// End of input: what is in progress expires.
  void finish();

  [[nodiscard]] const DefragmentCounters& counters() const { return counters_; }
  /// Pieces that the last fragment lay over, in part or whole.
  [[nodiscard]] std::uint32_t overlapped_pieces() const { return overlapped_pieces_; }
  /// Datagrams in progress, discarded IPv6 ones that are still remembered included.
  [[nodiscard]] std::uint32_t open_datagrams() const { return datagrams_.in_use(); }
  [[nodiscard]] std::size_t reserved_bytes() const;
  /// Whether a limit has dropped anything.
  [[nodiscard]] bool reached_limit() const;

 private:
  static constexpr std::uint32_t kExpireBatch = 1024;

  /// Free must be 0: that is what untouched memory says. Discarded: an IPv6 datagram whose further
  /// fragments are refused until its time is over (RFC 5722, 4).
  enum class State : std::uint8_t { Free, Open, Discarded };

  struct Datagram {
    std::uint32_t younger;  // also the pool's free list, so State is elsewhere
    std::uint32_t older;
    Timestamp deadline;
    FragmentKey key;
    FragmentMap map;
    std::uint32_t data_bytes;  // once end_known
    std::uint32_t header;      // FragmentStore handle; 0: the first fragment is missing
    std::uint32_t losers;      // FragmentStore handle: contested bytes that the policy did not take
    std::uint16_t fragments;   // counted up to kMaxCount
    std::uint16_t conflicts;
    std::uint16_t header_bytes;
    std::uint16_t source;  // of holdings_
    std::uint16_t weight;  // what it adds there
    bool end_known;
    State state;
  };
  static_assert(sizeof(Datagram) == 96,
                "part of the memory that an attacker pays for with one packet");

  /// In order of age, which is the order of deadlines: one per IP version.
  struct AgeList {
    std::uint32_t oldest = kNoIndex;
    std::uint32_t youngest = kNoIndex;
  };

  struct Layout {
    std::size_t completed_bytes;
    std::uint32_t datagrams;
    std::uint32_t pages;
  };
  static Layout layout_of(const DefragmentSettings& settings);
  Defragmenter(const DefragmentSettings& settings, const Layout& layout);

  FragmentReject reject(FragmentReject reason);
  std::uint32_t find(const FragmentKey& key, std::uint64_t hash, Timestamp clock);
  std::uint32_t open(const Fragment& fragment, std::uint64_t hash, Timestamp clock);
  static std::optional<FragmentReject> note_end(Datagram& datagram, const Fragment& fragment);
  std::optional<FragmentReject> keep_data(std::uint32_t index, const Fragment& fragment,
                                          Timestamp clock);
  FragmentInsertion insert(Datagram& datagram, std::uint32_t first_unit, const Fragment& fragment);
  void choose_version(const Datagram& datagram, std::span<std::uint8_t> whole);
  void keep_header(std::uint32_t index, const Fragment& fragment, Timestamp clock);
  [[nodiscard]] static bool is_complete(const Datagram& datagram);
  Result complete(std::uint32_t index, const Packet& last);

  void make_room(FragmentStore::Need need, std::uint32_t spared, Timestamp clock);
  void evict_one(std::uint32_t spared);
  [[nodiscard]] std::uint32_t pick_victim(std::uint32_t spared);
  void evict(std::uint32_t index);
  void discard(std::uint32_t index);
  bool expire_due(Timestamp clock, std::uint32_t limit);
  void expire_one(std::uint32_t index);
  void drop_bytes(Datagram& datagram);
  void remove(std::uint32_t index);

  void weigh(Datagram& datagram);
  [[nodiscard]] std::uint16_t source_of(const FragmentKey& key) const;
  std::uint64_t random();
  AgeList& ages_of(const FragmentKey& key) { return ages_[key.version == 6 ? 1 : 0]; }
  void append(std::uint32_t index);
  void unlink(std::uint32_t index);

  const DefragmentSettings settings_;
  SlabPool<Datagram> datagrams_;
  DatagramTable table_;
  FragmentStore store_;
  DatagramRing completed_;
  // What each source holds, by a keyed hash of its address: two that share a slot are one source.
  ReservedArray<std::uint32_t> holdings_;
  std::array<AgeList, 2> ages_;
  std::uint64_t random_state_;
  DefragmentCounters counters_{};
  std::uint32_t overlapped_pieces_ = 0;  // by the last fragment
};

}  // namespace flowloom
