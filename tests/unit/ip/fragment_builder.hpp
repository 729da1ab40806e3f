// Fragments as frames in memory, written out byte by byte, and a defragmenter that is fed with
// them and gives every completed datagram back at once as bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "ip/defragmenter.hpp"
#include "net/decode.hpp"
#include "unit/net/frame_bytes.hpp"

namespace flowloom::test {

enum class More : std::uint8_t { No, Yes };

/// Where a fragment's data stands in the datagram's, and whether more follows.
struct Span {
  std::uint32_t offset;
  std::uint32_t length;
  More more;
};

inline Bytes slice(const Bytes& bytes, std::size_t from, std::size_t count) {
  return {bytes.begin() + static_cast<std::ptrdiff_t>(from),
          bytes.begin() + static_cast<std::ptrdiff_t>(from + count)};
}

struct Ipv4FragmentSpec {
  std::uint16_t id = 7;
  std::uint8_t protocol = 6;
  Bytes source = kAddressA4;
  Bytes options{};
  std::uint16_t flags = 0;  ///< 0x4000: DF
};

inline Bytes ipv4_fragment(const Bytes& data, std::uint32_t offset, More more,
                           const Ipv4FragmentSpec& spec = {}) {
  const std::uint32_t field = spec.flags | offset / 8 | (more == More::Yes ? 0x2000U : 0U);
  Bytes datagram = ipv4(data, {.source = spec.source,
                               .options = spec.options,
                               .fragment = static_cast<std::uint16_t>(field),
                               .protocol = spec.protocol});
  put16(datagram, 4, spec.id);
  fix_ipv4_checksum(datagram);
  return datagram;
}

/// An IPv6 fragment header in front of the data; `next` is what it names.
inline Bytes fragment_header6(std::uint32_t offset, More more, std::uint32_t id,
                              std::uint8_t next = 6) {
  return join({{next, 0}, be16(offset | (more == More::Yes ? 1U : 0U)), be32(id)});
}

inline Bytes ipv6_fragment(const Bytes& data, std::uint32_t offset, More more,
                           std::uint32_t id = 7) {
  return ipv6(join({fragment_header6(offset, more, id), data}), 44);
}

inline Timestamp at_seconds(double seconds) {
  return Timestamp{std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds))};
}

struct Outcome {
  std::optional<Bytes> datagram;
  std::optional<FragmentReject> reject;
  std::uint32_t conflicts = 0;

  [[nodiscard]] bool held() const { return !datagram && !reject; }
};

/// Feeds raw IP fragments. The frame is a copy of its own size, so ASan sees reads beyond it.
class Feeder {
 public:
  explicit Feeder(const DefragmentSettings& settings = {}) : defragmenter(settings) {}

  Outcome add(const Bytes& datagram, Timestamp clock = at_seconds(0)) {
    return add_frame(datagram, LinkType::Raw, clock);
  }

  Outcome add_frame(const Bytes& bytes, LinkType link, Timestamp clock = at_seconds(0)) {
    const Bytes frame(bytes.begin(), bytes.end());
    Packet packet = packet_of(frame, link);
    packet.clock = clock;
    decode(packet, {});
    EXPECT_EQ(packet.verdict, Verdict::Fragment);
    return take(packet);
  }

  /// Preconditions: packet.verdict == Verdict::Fragment.
  Outcome take(const Packet& packet) {
    const Defragmenter::Result result = defragmenter.add(packet);
    Outcome outcome;
    if (const auto* reject = std::get_if<FragmentReject>(&result)) outcome.reject = *reject;
    if (const auto* whole = std::get_if<CompleteDatagram>(&result)) {
      outcome.datagram = Bytes(whole->bytes.begin(), whole->bytes.end());
      outcome.conflicts = whole->conflicts;
      last_packet = flowloom::packet_of(*whole, packet);
      last_frame.assign(last_packet.frame, last_packet.frame + last_packet.captured);
      last_packet.frame = last_frame.data();
      defragmenter.release(whole->handle);
    }
    return outcome;
  }

  [[nodiscard]] std::uint64_t rejected(FragmentReject reason) const {
    return defragmenter.counters().rejected[static_cast<std::size_t>(reason)];
  }

  /// opened = reassembled + expired + evicted + discarded + in progress, where no discarded IPv6
  /// datagram is remembered.
  [[nodiscard]] bool balances() const {
    const DefragmentCounters& c = defragmenter.counters();
    return c.opened ==
           c.reassembled + c.expired + c.evicted + c.discarded + defragmenter.open_datagrams();
  }

  Defragmenter defragmenter;
  Packet last_packet{};  ///< of the last completed datagram, not yet decoded
  Bytes last_frame;
};

}  // namespace flowloom::test
