// Fragments of a few datagrams, in any order, with any overlap and at any time, under any policy;
// against a list model of each system's queue. Every fragment must be held, refused for the same
// reason, or complete the same bytes as in the model.
//
// Input: policy, then steps; see take_step(). No limit is reached: what one drops is chance.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/check.hpp"
#include "fuzz/fuzz_bytes.hpp"
#include "ip/defragmenter.hpp"
#include "net/decode.hpp"
#include "unit/ip/overlap_model.hpp"
#include "unit/net/frame_bytes.hpp"

namespace flowloom::fuzz {
namespace {

using test::Bytes;
using test::Chunk;

constexpr int kStepsMax = 250;
constexpr int kUnit = 8;            // bytes
constexpr int kIpLengthMax = 65535;
constexpr int kIpv4HeaderBytes = 20;
constexpr int kIpv4TimeoutSeconds = 30;
constexpr int kIpv6TimeoutSeconds = 60;

/// Control byte of a step.
constexpr std::uint8_t kIpv6 = 1 << 0;
constexpr std::uint8_t kLast = 1 << 1;
constexpr std::uint8_t kFar = 1 << 2;        // offset in larger units
constexpr std::uint8_t kLong = 1 << 3;       // length in larger units
constexpr std::uint8_t kLater = 1 << 4;      // a byte follows: seconds since the step before
constexpr unsigned kIdShift = 5;             // one bit: which datagram
constexpr unsigned kVersionShift = 6;        // two bits: which of four versions of the bytes
constexpr int kFarUnits = 32;
constexpr int kLongUnits = 4;

struct Piece {
  Chunk units;   ///< what it covers
  int begin;     ///< in bytes
  int end;
  int version;   ///< of the bytes
  bool last;
};

std::uint8_t byte_of(int version, int at) {
  return static_cast<std::uint8_t>(version * 61 + at % 251);
}

Bytes bytes_of(const Piece& piece) {
  Bytes bytes;
  for (int at = piece.begin; at < piece.end; ++at) bytes.push_back(byte_of(piece.version, at));
  return bytes;
}

enum class IpVersion : std::uint8_t { V4, V6 };

/// What should become of a fragment: held, a reason, or the datagram's data.
using Wanted = std::variant<FragmentHeld, FragmentReject, Bytes>;

/// One datagram in progress, by the rules of lib/ip/README.md.
class ModelDatagram {
 public:
  ModelDatagram(const std::string& policy, std::int64_t deadline)
      : policy_(policy), queue_(policy), deadline_(deadline) {}

  [[nodiscard]] std::int64_t deadline() const { return deadline_; }
  [[nodiscard]] bool discarded() const { return discarded_; }
  void discard() { discarded_ = true; }

  Wanted add(const Piece& piece) {
    if (piece.last) {
      const bool contradicts = end_ ? piece.end != *end_ : piece.end < furthest_ * kUnit;
      if (contradicts) return FragmentReject::InconsistentEnd;
      end_ = piece.end;
    } else if (end_ && piece.end > *end_) {
      return FragmentReject::BeyondEnd;
    }
    if (piece.begin == 0) first_seen_ = true;
    if (piece.begin < piece.end && !is_exact_duplicate(piece)) {
      queue_.add(piece.units, piece.version);
      if (queue_.discarded()) return FragmentReject::Overlap;
      furthest_ = std::max(furthest_, piece.units.end);
      pieces_.push_back(piece);
    }
    return whole();
  }

 private:
  /// Which RFC 8200, 4.5 tolerates, and the policy named after it.
  [[nodiscard]] bool is_exact_duplicate(const Piece& piece) const {
    return policy_ == "discard" &&
           std::any_of(pieces_.begin(), pieces_.end(), [&](const Piece& other) {
             return other.begin == piece.begin && other.end == piece.end &&
                    other.version == piece.version;
           });
  }

  [[nodiscard]] Wanted whole() const {
    if (!end_ || !first_seen_) return FragmentHeld{};
    const int units = std::max(furthest_, (*end_ + kUnit - 1) / kUnit);
    const std::vector<int> owners = *queue_.owners(units);
    if (std::count(owners.begin(), owners.end(), -1) > 0) return FragmentHeld{};
    Bytes data;
    for (int at = 0; at < *end_; ++at) {
      data.push_back(byte_of(owners[static_cast<std::size_t>(at / kUnit)], at));
    }
    return data;
  }

  std::string policy_;
  test::OverlapModel queue_;
  std::int64_t deadline_;
  std::vector<Piece> pieces_;
  std::optional<int> end_;
  int furthest_ = 0;
  bool first_seen_ = false;
  bool discarded_ = false;
};

class Fragments {
 public:
  explicit Fragments(FuzzBytes& input)
      : policy_(kFragmentOverlapNames[input.u8() % kPolicies].name), defragmenter_(settings()) {}

  void take_step(FuzzBytes& input) {
    const std::uint8_t control = input.u8();
    const int begin = input.u8() * ((control & kFar) != 0 ? kFarUnits : 1);
    const std::uint8_t size = input.u8();
    const int units = size % 16 * ((control & kLong) != 0 ? kLongUnits : 1);
    const int odd = (control & kLast) != 0 ? size / 16 % kUnit : 0;
    if ((control & kLater) != 0) now_ += input.u8();
    const Piece piece{{begin, begin + units + (odd > 0 ? 1 : 0)},
                      begin * kUnit,
                      (begin + units) * kUnit + odd,
                      control >> kVersionShift,
                      (control & kLast) != 0};
    const IpVersion version = (control & kIpv6) != 0 ? IpVersion::V6 : IpVersion::V4;
    const auto id = static_cast<std::uint16_t>(1 + (control >> kIdShift) % 2);
    if (begin == 0 && piece.last) return; // a whole datagram
    expect(version, id, piece, version == IpVersion::V6 ? frame6(piece, id) : frame4(piece, id));
  }

  void finish() {
    defragmenter_.finish();
    const DefragmentCounters& c = defragmenter_.counters();
    FLOWLOOM_CHECK(defragmenter_.open_datagrams() == 0);
    FLOWLOOM_CHECK(c.opened == c.reassembled + c.expired + c.evicted + c.discarded);
    FLOWLOOM_CHECK(c.evicted == 0);
  }

 private:
  static constexpr std::size_t kPolicies = 9;

  [[nodiscard]] DefragmentSettings settings() const {
    DefragmentSettings settings;
    settings.max_datagrams = 16;
    settings.memory_bytes = Defragmenter::kMinMemoryBytes;
    settings.ipv4_overlap = *fragment_overlap_from_name(policy_);
    settings.ipv6_chain = Ipv6HeaderChain::Any;
    return settings;
  }

  static Bytes frame4(const Piece& piece, std::uint16_t id) {
    const int field = piece.begin / kUnit | (piece.last ? 0 : 0x2000);
    Bytes frame = test::ipv4(bytes_of(piece), {.fragment = static_cast<std::uint16_t>(field)});
    test::put16(frame, 4, id);
    test::fix_ipv4_checksum(frame);
    return frame;
  }

  static Bytes frame6(const Piece& piece, std::uint16_t id) {
    const auto field = static_cast<std::uint32_t>(piece.begin) | (piece.last ? 0U : 1U);
    return test::ipv6(
        test::join({{6, 0}, test::be16(field), test::be32(id), bytes_of(piece)}), 44);
  }

  static Bytes whole4(const Bytes& data, std::uint16_t id) {
    Bytes frame = test::ipv4(data, {.fragment = 0});
    test::put16(frame, 4, id);
    test::fix_ipv4_checksum(frame);
    return frame;
  }

  void expect(IpVersion version, std::uint16_t id, const Piece& piece, const Bytes& frame) {
    Packet packet{};
    packet.frame = frame.data();
    packet.captured = packet.wire_length = static_cast<std::uint32_t>(frame.size());
    packet.link = LinkType::Raw;
    packet.clock = Timestamp{std::chrono::seconds{now_}};
    decode(packet, {});
    FLOWLOOM_CHECK(packet.verdict == Verdict::Fragment);
    const Wanted wanted = model(version, id, piece);
    const Defragmenter::Result found = defragmenter_.add(packet);
    if (wanted.index() != found.index()) {
      std::fprintf(stderr, "%s: [%d, %d) wanted %zu found %zu\n", policy_.c_str(), piece.begin,
                   piece.end, wanted.index(), found.index());
    }
    FLOWLOOM_CHECK(wanted.index() == found.index());
    if (const auto* reason = std::get_if<FragmentReject>(&wanted)) {
      FLOWLOOM_CHECK(*reason == std::get<FragmentReject>(found));
    }
    if (const auto* data = std::get_if<Bytes>(&wanted)) {
      const CompleteDatagram& datagram = std::get<CompleteDatagram>(found);
      const Bytes bytes(datagram.bytes.begin(), datagram.bytes.end());
      FLOWLOOM_CHECK(bytes == (version == IpVersion::V6 ? test::ipv6(*data) : whole4(*data, id)));
      defragmenter_.release(datagram.handle);
    }
  }

  Wanted model(IpVersion version, std::uint16_t id, const Piece& piece) {
    const bool ipv6 = version == IpVersion::V6;
    if (!piece.last && piece.begin == piece.end) return FragmentReject::Empty;
    if (piece.end > kIpLengthMax) return FragmentReject::TooLarge;
    std::optional<ModelDatagram>& slot = open_[ipv6 ? 1 : 0][id % 2];
    if (slot && slot->deadline() <= now_) slot.reset();
    if (slot && slot->discarded()) return FragmentReject::OfDiscarded;
    if (!slot) {
      const int timeout = ipv6 ? kIpv6TimeoutSeconds : kIpv4TimeoutSeconds;
      slot.emplace(ipv6 ? "discard" : policy_, now_ + timeout);
    }
    Wanted wanted = slot->add(piece);
    const auto* data = std::get_if<Bytes>(&wanted);
    if (data != nullptr && !ipv6 && kIpv4HeaderBytes + data->size() > kIpLengthMax) {
      wanted = FragmentReject::TooLarge;
    }
    if (std::holds_alternative<FragmentHeld>(wanted)) return wanted;
    // A refused IPv6 datagram is remembered (RFC 5722).
    if (ipv6 && std::holds_alternative<FragmentReject>(wanted)) {
      slot->discard();
    } else {
      slot.reset();
    }
    return wanted;
  }

  std::string policy_;
  Defragmenter defragmenter_;
  std::int64_t now_ = 1;
  std::array<std::array<std::optional<ModelDatagram>, 2>, 2> open_;
};

}  // namespace
}  // namespace flowloom::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flowloom::fuzz::FuzzBytes input(data, size);
  flowloom::fuzz::Fragments fragments(input);
  for (int i = 0; i < flowloom::fuzz::kStepsMax && !input.empty(); ++i) {
    fragments.take_step(input);
  }
  fragments.finish();
  return 0;
}
