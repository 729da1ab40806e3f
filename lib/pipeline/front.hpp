// The front half of the data path, in packet order on the thread that receives: find the TCP
// segment, put fragments together, hash the flow. Everything that must be settled before a packet
// can be steered to the owner of its flow.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>

#include "ip/defragmenter.hpp"
#include "net/decode.hpp"
#include "net/packet.hpp"
#include "pipeline/tag_joiner.hpp"

namespace flowloom {

struct FrontSettings {
  DecodeOptions decode;
  DefragmentSettings defragment;
};

class Front {
 public:
  explicit Front(const FrontSettings& settings);

  /// Decodes every packet of the burst that is not marked Verdict::Filtered. A datagram that its
  /// last fragment completes takes that fragment's place, with packet_flags::kReassembled.
  void run(Burst& burst);

  // The same in parts, for packets that several fronts see (docs/decisions/0016-hand-over.md):

  /// Decodes every packet that is not marked Verdict::Filtered; fragments stay fragments.
  void decode_all(Burst& burst) const;
  /// Takes a fragment. Where it completes one or several datagrams that end in a TCP segment, that
  /// takes its place, as with run(), to be released by `ticket`; tickets do not decrease.
  [[nodiscard]] bool reassemble(Packet& packet, std::uint64_t ticket);
  /// Housekeeping among the fragments.
  void expire(Timestamp clock) { defragmenter_.expire(clock); }
  /// Hashes every TCP packet's flow and joins directions that are tagged differently.
  void identify(Burst& burst);

  /// The datagrams that took the place of packets up to `ticket` are not needed any more.
  void release(std::uint64_t ticket);

  /// Whether so much of the room for completed datagrams is in use that a caller who can wait for
  /// a release() should, before the next burst.
  [[nodiscard]] bool crowded() const { return lent_bytes_ > kLentBytesMax; }

  /// End of input: fragments that wait for others expire.
  void finish() { defragmenter_.finish(); }

  [[nodiscard]] const DefragmentCounters& datagrams() const { return defragmenter_.counters(); }
  [[nodiscard]] bool reached_limit() const { return defragmenter_.reached_limit(); }
  [[nodiscard]] std::size_t reserved_bytes() const {
    return defragmenter_.reserved_bytes() + joiner_.reserved_bytes();
  }

 private:
  /// Room for completed datagrams: a crowded front can still take a burst of the largest, one of
  /// which is being made of fragments that lie in another.
  static constexpr std::size_t kCompletedBytes = std::size_t{8} << 20;
  static constexpr std::size_t kLentBytesMax =
      kCompletedBytes - (kBurstMax + 1) * Defragmenter::kMaxCompletedBytes;

  /// A completed datagram that took the place of packet `ticket`.
  struct Lent {
    std::uint64_t ticket;
    std::size_t bytes;
    DatagramRing::Handle handle;
  };
  /// Bit i: packet i of a burst.
  using PacketSet = std::uint32_t;
  static_assert(kBurstMax <= std::numeric_limits<PacketSet>::digits);
  [[nodiscard]] PacketSet hash_one(Packet& packet, std::uint32_t place) const;
  void join_tags(Burst& burst, PacketSet concerned);
  void defragment(Packet& packet, std::uint64_t ticket);
  void give_back_last();

  const DecodeOptions decode_options_;
  Defragmenter defragmenter_;
  TagJoiner joiner_;
  std::deque<Lent> lent_;
  std::size_t lent_bytes_ = 0;
};

}  // namespace flowloom
