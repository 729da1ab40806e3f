#include "pipeline/lone_syn.hpp"

#include "base/bytes.hpp"
#include "net/ip.hpp"
#include "net/tcp_header.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kIpv4PlainBytes = 20;
constexpr std::uint32_t kIpv6PlainBytes = 40;

std::uint32_t plain_ip_bytes(bool is_ipv6) { return is_ipv6 ? kIpv6PlainBytes : kIpv4PlainBytes; }

// Kinds and lengths of options (RFC 7323).
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kWindowScaleKind = 3;
constexpr std::uint8_t kWindowScaleLength = 3;
constexpr std::uint8_t kLargestShift = 14;

}  // namespace

bool LoneSyn::holds(const Packet& packet, const Segment& s, const TcpOptions& options) {
  constexpr std::uint8_t kOdd =
      packet_flags::kSnapped | packet_flags::kEncapsulated | packet_flags::kReassembled;
  constexpr std::uint32_t kIpVersion = 1;
  return !packet.has(kOdd) && packet.encapsulation <= kIpVersion && s.length == 0 &&
         s.stamp == s.clock && !options.has(TcpOptions::kSignature) &&
         options.window_scale <= kLargestShift &&
         s.ip_bytes == plain_ip_bytes(packet.has(packet_flags::kIpv6)) +
                           tcp_header_of(packet).header_bytes();
}

void LoneSyn::set(const FlowKey& key, const Packet& packet, const Segment& s,
                  const TcpOptions& options) {
  const bool scales = options.has(TcpOptions::kWindowScale);
  const bool stamps = options.has(TcpOptions::kTimestamps);
  const bool upper = !packet.has(packet_flags::kFromLower);
  ports_and_facts_ = key.rest | std::uint64_t{s.window} << kWindow |
                     std::uint64_t{scales ? options.window_scale + 1U : 0U} << kWindowScale |
                     std::uint64_t{tcp_header_of(packet).header_bytes() / 4} << kHeaderWords |
                     std::uint64_t{stamps} << kTimestamps | std::uint64_t{upper} << kFromUpper;
  lower_address_ = key.lower_address;
  upper_address_ = key.upper_address;
  clock_ = s.clock;
  number_ = s.number;
  seq_ = s.seq;
  timestamp_value_ = options.timestamp_value;
}

std::uint32_t LoneSyn::ip_bytes() const {
  return plain_ip_bytes(fact(kIpv6, 1) != 0) + 4 * fact(kHeaderWords, 4);
}

Segment LoneSyn::segment(OptionBytes& bytes) const {
  std::size_t size = 0;
  if (fact(kTimestamps, 1) != 0) {
    store_be32(bytes.data(), kAlignedTimestamps);
    store_be32(bytes.data() + 4, timestamp_value_);
    store_be32(bytes.data() + 8, 0);
    size = kAlignedTimestampsBytes;
  }
  if (const std::uint32_t scale = fact(kWindowScale, 4); scale > 0) {
    bytes[size++] = kNoOperation;
    bytes[size++] = kWindowScaleKind;
    bytes[size++] = kWindowScaleLength;
    bytes[size++] = static_cast<std::uint8_t>(scale - 1);
  }
  Segment s;
  s.seq = seq_;
  s.window = static_cast<std::uint16_t>(fact(kWindow, 16));
  s.flags = kSyn;
  s.options = {bytes.data(), size};
  s.ip_bytes = ip_bytes();
  s.clock = s.stamp = clock_;
  s.number = number_;
  return s;
}

}  // namespace flowloom
