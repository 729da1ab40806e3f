// See pack_entry.hpp.
#include "sinks/pack_entry.hpp"

#include "sinks/chain_reader.hpp"
#include "sinks/ids.hpp"

#include <algorithm>
#include <cstring>

namespace flowloom {
namespace {

constexpr std::size_t kVarintMax = 10;
constexpr std::uint8_t kMore = 0x80;
constexpr std::size_t kV4Bytes = 4;
constexpr std::size_t kV6Bytes = 16;
constexpr std::int64_t kFurthest = std::int64_t{1} << 61;
constexpr std::size_t kV4Begin = kV6Bytes - kV4Bytes;  // an IPv4 address ends the 16 bytes

/// Bits of an entry's first field.
namespace entry_flags {
constexpr std::uint64_t kClose = 1 << 0;
constexpr std::uint64_t kFirst = 1 << 1;
constexpr std::uint64_t kIpv6 = 1 << 2;
constexpr std::uint64_t kMidstream = 1 << 3;
constexpr std::uint64_t kEstablished = 1 << 4;
constexpr std::uint64_t kOriginatorIsUpper = 1 << 5;
constexpr std::uint64_t kEnd = 1 << 6;
}  // namespace entry_flags

std::uint64_t flags_of(const StreamMessage& message) {
  const ConnectionRecord& r = message.record;
  return (message.kind == StreamMessage::Kind::Close ? entry_flags::kClose : 0) |
         (message.first ? entry_flags::kFirst : 0) | (r.ipv6 ? entry_flags::kIpv6 : 0) |
         (r.midstream ? entry_flags::kMidstream : 0) |
         (r.established ? entry_flags::kEstablished : 0) |
         (r.originator == KeySide::Upper ? entry_flags::kOriginatorIsUpper : 0);
}

/// The counters of a side in the order in which they are written.
template <class Side, class Visit>
void for_each_count(Side& side, Visit&& visit) {
  visit(side.packets);
  visit(side.ip_bytes);
  visit(side.payload_bytes);
  visit(side.stream_bytes);
  visit(side.gap_bytes);
  visit(side.gap_count);
  visit(side.duplicate_bytes);
  visit(side.overlap_conflicts);
  visit(side.conflict_count);
  visit(side.out_of_order);
  visit(side.retransmissions);
  visit(side.urgent_bytes);
}

/// Takes values off the front; after the first that is not there nothing more comes.
class Decoder {
 public:
  explicit Decoder(ByteView bytes) : bytes_(bytes) {}
  [[nodiscard]] bool good() const { return good_; }
  void fail() { good_ = false; }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t b = byte();
      value |= (b & (kMore - 1)) << shift;
      if ((b & kMore) == 0) return value;
    }
    good_ = false;
    return 0;
  }
  std::int64_t zigzag() {
    const std::uint64_t value = varint();
    return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }
  /// A place in a stream. Within these bounds differences of two, and sums with a length, fit.
  std::int64_t position() {
    const std::int64_t value = zigzag();
    if (value < -kFurthest || value > kFurthest) good_ = false;
    return good_ ? value : 0;
  }
  std::int64_t length() {
    const std::int64_t value = zigzag();
    if (value <= 0 || value > kFurthest) good_ = false;
    return good_ ? value : 0;
  }
  std::uint8_t byte() {
    std::uint8_t value = 0;
    raw(&value, 1);
    return value;
  }
  void raw(void* to, std::size_t count) {
    if (!good_ || bytes_.size() < count) {
      good_ = false;
      std::memset(to, 0, count);
      return;
    }
    std::memcpy(to, bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
  }
  std::string_view text(std::size_t count) {
    if (!good_ || bytes_.size() < count) {
      good_ = false;
      return {};
    }
    const std::string_view view(reinterpret_cast<const char*>(bytes_.data()), count);
    bytes_ = bytes_.subspan(count);
    return view;
  }
  /// A number of things that take at least `bytes_each`: more than fit are no number.
  std::size_t count(std::size_t bytes_each, std::size_t limit = SIZE_MAX) {
    const std::uint64_t value = varint();
    if (value > bytes_.size() / bytes_each || value > limit) {
      good_ = false;
      return 0;
    }
    return static_cast<std::size_t>(value);
  }
  template <class Enum>
  Enum named(std::size_t names) {
    const std::uint8_t value = byte();
    if (value >= names) good_ = false;
    return good_ ? static_cast<Enum>(value) : Enum{};
  }

 private:
  ByteView bytes_;
  bool good_ = true;
};

void decode_side(Decoder& in, bool ipv6, SideRecord& side) {
  std::array<std::uint8_t, kV6Bytes> address{};
  if (ipv6) {
    in.raw(address.data(), kV6Bytes);
    side.endpoint.address = IpAddress::v6(address.data());
  } else {
    in.raw(address.data(), kV4Bytes);
    side.endpoint.address = IpAddress::v4(address.data());
  }
  in.raw(&side.endpoint.port, sizeof side.endpoint.port);
  for_each_count(side, [&in](std::uint64_t& count) { count = in.varint(); });
  side.origin = in.position();
  const auto urgent = std::min<std::uint64_t>(side.urgent_bytes, kUrgentOffsetsMax);
  for (std::size_t i = 0; i < urgent; ++i) side.urgent_offsets[i] = in.zigzag();
}

void decode_anomalies(Decoder& in, ConnectionRecord& record) {
  const std::size_t anomalies = in.count(2);
  for (std::size_t i = 0; i < anomalies && in.good(); ++i) {
    const std::string_view name = in.text(in.count(1));
    const std::uint64_t count = in.varint();
    const auto at = std::find(kAnomalyNames.begin(), kAnomalyNames.end(), name);
    // A name of a later version says something that this one cannot print.
    if (at == kAnomalyNames.end()) continue;
    record.anomalies[static_cast<std::size_t>(at - kAnomalyNames.begin())] =
        static_cast<std::uint32_t>(count);
  }
}

void decode_record(Decoder& in, std::uint64_t flags, PackEntry& entry) {
  ConnectionRecord& record = entry.record;
  record = ConnectionRecord{};
  record.ipv6 = (flags & entry_flags::kIpv6) != 0;
  record.midstream = (flags & entry_flags::kMidstream) != 0;
  record.established = (flags & entry_flags::kEstablished) != 0;
  record.originator =
      (flags & entry_flags::kOriginatorIsUpper) != 0 ? KeySide::Upper : KeySide::Lower;
  record.first_packet = in.varint();
  entry.uid = in.text(kUidLength);
  std::uint32_t sequence = 0;
  in.raw(&sequence, sizeof sequence);
  record.first_sequence = SeqNum(sequence);
  record.reuse = static_cast<std::uint32_t>(in.varint());
  std::array<std::int64_t, 2> stamps{};
  in.raw(stamps.data(), sizeof stamps);
  record.start = from_nanoseconds(stamps[0]);
  record.end = from_nanoseconds(stamps[1]);
  record.close = in.named<CloseReason>(kCloseReasonNames.size());
  record.state = in.named<ConnState>(kConnStateNames.size());
  record.history_length = static_cast<std::uint8_t>(in.count(1, kHistoryMax));
  in.raw(record.history.data(), record.history_length);
  record.encapsulation.count = static_cast<std::uint32_t>(in.count(2, kMaxEncapsulationLayers));
  for (std::size_t i = 0; i < record.encapsulation.count; ++i) {
    EncapsulationLayer& layer = record.encapsulation.layers[i];
    layer.kind = in.named<EncapsulationLayer::Kind>(kEncapsulationKinds.size());
    layer.id = static_cast<std::uint32_t>(in.varint());
  }
  for (SideRecord& side : record.sides) decode_side(in, record.ipv6, side);
  decode_anomalies(in, record);
}

void decode_data(Decoder& in, PackEntry& entry) {
  for (unsigned d = 0; d < 2; ++d) {
    entry.data_offset[d] = in.position();
    entry.data[d].at = in.varint();
    entry.data[d].bytes = in.varint();
    entry.gaps[d].resize(in.count(3));
    for (Gap& gap : entry.gaps[d]) {
      gap.offset = in.position();
      gap.length = in.length();
      gap.cause = in.named<GapCause>(kGapCauseNames.size());
    }
  }
  entry.conflicts.resize(in.count(3));
  for (Conflict& conflict : entry.conflicts) {
    conflict.position = in.position();
    conflict.length = in.length();
    const std::uint8_t who = in.byte();
    if (who > 3) in.fail();
    conflict.winner = (who & 1) != 0 ? Conflict::Winner::Arrived : Conflict::Winner::Held;
    conflict.sender = (who & 2) != 0 ? KeySide::Upper : KeySide::Lower;
  }
}

}  // namespace

void PackEncoder::grow(std::size_t bytes) {
  buffer_.resize(std::max(2 * buffer_.size(), size_ + bytes));
}

void PackEncoder::varint(std::uint64_t value) {
  room(kVarintMax);
  while (value >= kMore) {
    buffer_[size_++] = static_cast<std::uint8_t>(value | kMore);
    value >>= 7;
  }
  buffer_[size_++] = static_cast<std::uint8_t>(value);
}

void PackEncoder::raw(const void* bytes, std::size_t count) {
  room(count);
  std::memcpy(buffer_.data() + size_, bytes, count);
  size_ += count;
}

/// Leaves room for the length, which finish() fills in.
std::size_t PackEncoder::begin() {
  const std::size_t begin = size_;
  room(sizeof(std::uint32_t));
  size_ += sizeof(std::uint32_t);
  return begin;
}

std::size_t PackEncoder::finish(std::size_t begin) {
  const auto length = static_cast<std::uint32_t>(size_ - begin - sizeof(std::uint32_t));
  std::memcpy(buffer_.data() + begin, &length, sizeof length);
  return size_ - begin;
}

std::size_t PackEncoder::add(const StreamMessage& message, std::string_view uid,
                             const PackData& data) {
  const std::size_t start = begin();
  varint(flags_of(message));
  varint(message.record.first_packet);
  raw(uid.data(), kUidLength);
  record(message.record);
  for (unsigned d = 0; d < 2; ++d) side_data(message.gaps[d], data.offset[d], data.extent[d]);
  conflicts(message.conflicts);
  return finish(start);
}

std::size_t PackEncoder::add_end() {
  const std::size_t start = begin();
  varint(entry_flags::kEnd);
  return finish(start);
}

void PackEncoder::record(const ConnectionRecord& r) {
  const std::uint32_t sequence = r.first_sequence.value();
  raw(&sequence, sizeof sequence);
  varint(r.reuse);
  const std::array<std::int64_t, 2> stamps = {to_nanoseconds(r.start), to_nanoseconds(r.end)};
  raw(stamps.data(), sizeof stamps);
  byte(static_cast<std::uint8_t>(r.close));
  byte(static_cast<std::uint8_t>(r.state));
  varint(r.history_length);
  raw(r.history.data(), r.history_length);
  varint(r.encapsulation.count);
  for (std::size_t i = 0; i < r.encapsulation.count; ++i) {
    byte(static_cast<std::uint8_t>(r.encapsulation.layers[i].kind));
    varint(r.encapsulation.layers[i].id);
  }
  for (const SideRecord& one : r.sides) side(one, r.ipv6);
  varint(static_cast<std::uint64_t>(
      std::count_if(r.anomalies.begin(), r.anomalies.end(), [](auto n) { return n > 0; })));
  for (std::size_t i = 0; i < kAnomalyCount; ++i) {
    if (r.anomalies[i] == 0) continue;
    varint(kAnomalyNames[i].size());
    raw(kAnomalyNames[i].data(), kAnomalyNames[i].size());
    varint(r.anomalies[i]);
  }
}

void PackEncoder::side(const SideRecord& one, bool ipv6) {
  const std::uint8_t* address = one.endpoint.address.bytes.data();
  ipv6 ? raw(address, kV6Bytes) : raw(address + kV4Begin, kV4Bytes);
  raw(&one.endpoint.port, sizeof one.endpoint.port);
  for_each_count(one, [this](std::uint64_t count) { varint(count); });
  zigzag(one.origin);
  const auto urgent = std::min<std::uint64_t>(one.urgent_bytes, kUrgentOffsetsMax);
  for (std::size_t i = 0; i < urgent; ++i) zigzag(one.urgent_offsets[i]);
}

void PackEncoder::side_data(const BlockChain& gaps, StreamOffset offset, const PackExtent& data) {
  zigzag(offset);
  varint(data.at);
  varint(data.bytes);
  varint(gaps.bytes / sizeof(Gap));
  Gap gap;
  for (GapReader reader(gaps); reader.next(gap);) {
    zigzag(gap.offset);
    zigzag(gap.length);
    byte(static_cast<std::uint8_t>(gap.cause));
  }
}

void PackEncoder::conflicts(const BlockChain& chain) {
  ConflictEntry entry;
  std::uint64_t count = 0;
  for (ConflictReader reader(chain); reader.next(entry);) ++count;
  varint(count);
  for (ConflictReader reader(chain); reader.next(entry);) {
    zigzag(entry.conflict.position);
    zigzag(entry.conflict.length);
    byte(static_cast<std::uint8_t>((entry.conflict.winner == Conflict::Winner::Arrived ? 1 : 0) |
                                   (entry.conflict.sender == KeySide::Upper ? 2 : 0)));
  }
}

void PackEncoder::drop_front(std::size_t count) { drop(0, count); }

void PackEncoder::drop(std::size_t begin, std::size_t end) {
  std::memmove(buffer_.data() + begin, buffer_.data() + end, size_ - end);
  size_ -= end - begin;
}

bool decode_pack_entry(ByteView& bytes, PackEntry& entry) {
  std::uint32_t length = 0;
  if (bytes.size() < sizeof length) return false;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (bytes.size() - sizeof length < length) return false;
  Decoder in(bytes.subspan(sizeof length, length));
  bytes = bytes.subspan(sizeof length + length);
  const std::uint64_t flags = in.varint();
  entry.first = (flags & entry_flags::kFirst) != 0;
  if ((flags & entry_flags::kEnd) != 0) {
    entry.kind = PackEntry::Kind::End;
    return in.good();
  }
  entry.kind =
      (flags & entry_flags::kClose) != 0 ? PackEntry::Kind::Close : PackEntry::Kind::Progress;
  decode_record(in, flags, entry);
  decode_data(in, entry);
  return in.good();
}

}  // namespace flowloom
