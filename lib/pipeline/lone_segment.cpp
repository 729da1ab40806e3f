#include "pipeline/lone_segment.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "net/tcp_header.hpp"

namespace flowloom {

[[gnu::always_inline]]
inline bool LoneSegment::is_plain(const Packet& packet, const Segment& s) {
  constexpr std::uint8_t kOdd =
      packet_flags::kSnapped | packet_flags::kEncapsulated | packet_flags::kReassembled;
  constexpr std::uint32_t kIpVersion = 1;
  return !packet.has(kOdd) && packet.encapsulation <= kIpVersion && s.stamp == s.clock &&
         s.ip_bytes == plain_ip_bytes(packet.has(packet_flags::kIpv6)) +
                           tcp_header_of(packet).header_bytes() + s.length;
}

[[gnu::always_inline]]
inline void LoneSegment::set(const FlowKey& key, const Packet& packet, const Segment& s,
                             Direction d, std::uint64_t facts, std::uint32_t last) {
  const bool upper = !packet.has(packet_flags::kFromLower);
  ports_and_facts_ = key.rest | std::uint64_t{s.window} << kWindow |
                     std::uint64_t{tcp_header_of(packet).header_bytes() / 4} << kHeaderWords |
                     std::uint64_t{upper} << kFromUpper |
                     std::uint64_t{index_of(d)} << kByResponder | facts;
  addresses_ = {key.lower_address, key.upper_address};
  clock_ = s.clock;
  number_ = s.number;
  seq_ = s.seq;
  last_ = last;
}

Segment LoneSegment::common_part() const {
  Segment s;
  s.seq = seq_;
  s.window = static_cast<std::uint16_t>(fact(kWindow, 16));
  s.ip_bytes = ip_bytes();
  s.clock = s.stamp = clock_;
  s.number = number_;
  return s;
}

bool LoneSyn::holds(const Packet& packet, const Segment& s, const TcpOptions& options) {
  return is_plain(packet, s) && s.length == 0 && !options.has(TcpOptions::kSignature) &&
         options.window_scale <= kMaxWindowScale;
}

void LoneSyn::set(const FlowKey& key, const Packet& packet, const Segment& s,
                  const TcpOptions& options) {
  const bool scales = options.has(TcpOptions::kWindowScale);
  const bool stamps = options.has(TcpOptions::kTimestamps);
  LoneSegment::set(key, packet, s, Direction::OriginatorToResponder,
                   std::uint64_t{scales ? options.window_scale + 1U : 0U} << kWindowScale |
                       std::uint64_t{stamps} << kTimestamps,
                   options.timestamp_value);
}

Segment LoneSyn::segment(Text& text) const {
  std::size_t size = 0;
  if (fact(kTimestamps, 1) != 0) {
    store_be32(text.data(), kAlignedTimestamps);
    store_be32(text.data() + 4, last());
    store_be32(text.data() + 8, 0);
    size = kAlignedTimestampsBytes;
  }
  if (const std::uint32_t scale = fact(kWindowScale, 4); scale > 0) {
    text[size++] = tcp_option::kNoOperation;
    text[size++] = tcp_option::kWindowScaleKind;
    text[size++] = tcp_option::kWindowScaleBytes;
    text[size++] = static_cast<std::uint8_t>(scale - 1);
  }
  Segment s = common_part();
  s.flags = kSyn;
  s.options = ByteView(text).first(size);
  return s;
}

bool LoneText::holds(const Packet& packet, const Segment& s) {
  return (s.flags == kAck || s.flags == (kAck | kPsh)) &&
         s.options.size() + s.length <= kTextBytes && is_plain(packet, s);
}

void LoneText::set(const FlowKey& key, const Packet& packet, const Segment& s, Direction d) {
  const bool pushed = s.flags.has_any(kPsh);
  LoneSegment::set(key, packet, s, d,
                   std::uint64_t{1} << kIsText | std::uint64_t{s.length} << kLength |
                       std::uint64_t{pushed} << kPushed,
                   s.ack.value());
  std::ranges::copy(s.payload, std::ranges::copy(s.options, text_.begin()).out);
}

Segment LoneText::segment(Text& text) const {
  text = text_;
  const std::size_t options = std::size_t{4} * fact(kHeaderWords, 4) - kTcpMinHeaderBytes;
  Segment s = common_part();
  s.ack = SeqNum{last()};
  s.length = payload_bytes();
  s.flags = fact(kPushed, 1) != 0 ? kAck | kPsh : kAck;
  s.options = ByteView(text).first(options);
  s.payload = ByteView(text).subspan(options, s.length);
  return s;
}

}  // namespace flowloom
