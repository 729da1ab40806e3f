#include "ip/fragment_header.hpp"

#include <cstring>

#include "ip/fragment_overlap.hpp"
#include "net/checksum.hpp"
#include "net/ip.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kMaxLengthField = 0xffff;

// IPv4 (RFC 791, 3.1).
constexpr std::uint32_t kIpv4LengthOffset = 2;
constexpr std::uint32_t kIpv4IdOffset = 4;
constexpr std::uint32_t kIpv4FlagsOffset = 6;
constexpr std::uint32_t kIpv4ProtocolOffset = 9;
constexpr std::uint32_t kIpv4ChecksumOffset = 10;
constexpr std::uint16_t kIpv4MoreFragments = 0x2000;
constexpr std::uint16_t kIpv4OffsetMask = 0x1fff;

// IPv6 (RFC 8200, 3 and 4.5).
constexpr std::uint32_t kIpv6LengthOffset = 4;
constexpr std::uint32_t kIpv6NextOffset = 6;
constexpr std::uint32_t kFragmentHeaderBytes = 8;
constexpr std::uint16_t kIpv6MoreFragments = 0x0001;
constexpr std::uint16_t kIpv6OffsetMask = 0xfff8;

// decode() follows fewer extension headers than this; a second bound on the same chain.
constexpr std::uint32_t kMaxExtensionHeaders = 16;
constexpr std::uint32_t kShortestExtension = 8;

enum Protocol : std::uint8_t {
  kHopByHop = 0,
  kIcmp = 1,
  kTcp = 6,
  kUdp = 17,
  kRouting = 43,
  kFragmentHeader = 44,
  kAuthentication = 51,
  kIcmpv6 = 58,
  kDestinationOptions = 60,
  kMobility = 135,
  kHostIdentity = 139,
  kShim6 = 140,
};

bool is_extension(std::uint8_t number) {
  switch (number) {
    case kHopByHop:
    case kRouting:
    case kFragmentHeader:
    case kAuthentication:
    case kDestinationOptions:
    case kMobility:
    case kHostIdentity:
    case kShim6:
      return true;
    default:
      return false;
  }
}

std::uint32_t extension_bytes(std::uint8_t number, std::uint8_t length_field) {
  if (number == kFragmentHeader) return kFragmentHeaderBytes;
  if (number == kAuthentication) return (std::uint32_t{length_field} + 2) * 4;  // RFC 4302, 2.2
  return (std::uint32_t{length_field} + 1) * 8;
}

// What of an upper-layer header has to be there; any other protocol may be of any length.
std::uint32_t upper_header_bytes(std::uint8_t number) {
  switch (number) {
    case kTcp:
      return 20;
    case kUdp:
    case kIcmp:
    case kIcmpv6:
      return 8;
    default:
      return 0;
  }
}

bool header_chain_is_whole(std::uint8_t next, ByteView data) {
  for (std::uint32_t i = 0; i < kMaxExtensionHeaders && is_extension(next); ++i) {
    if (data.size() < kShortestExtension) return false;
    const std::uint32_t bytes = extension_bytes(next, data[1]);
    if (bytes > data.size()) return false;
    next = data[0];
    data = data.subspan(bytes);
  }
  return !is_extension(next) && data.size() >= upper_header_bytes(next);
}

// Where in the header the number of the fragment header stands.
std::uint32_t find_next_header_field(ByteView header) {
  std::uint32_t field = kIpv6NextOffset;
  std::uint32_t at = kIpv6HeaderBytes;
  for (std::uint32_t i = 0; i < kMaxExtensionHeaders; ++i) {
    if (at + kShortestExtension > header.size()) break;
    const std::uint32_t bytes = extension_bytes(header[field], header[at + 1]);
    field = at;
    at += bytes;
  }
  return field;
}

std::optional<FragmentReject> read_ipv4(const Packet& packet, Fragment& fragment) {
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  const std::uint32_t total = load_be16(ip + kIpv4LengthOffset);
  const auto header_bytes = static_cast<std::uint32_t>(packet.tcp_offset - packet.ip_offset);
  if (total < header_bytes) return FragmentReject::NoLength;
  if (packet.ip_offset + total > packet.captured) return FragmentReject::NotCaptured;
  const std::uint16_t flags = load_be16(ip + kIpv4FlagsOffset);
  fragment.header = {ip, header_bytes};
  fragment.data = {ip + header_bytes, total - header_bytes};
  fragment.offset = (flags & kIpv4OffsetMask) * kUnitBytes;
  fragment.place =
      (flags & kIpv4MoreFragments) != 0 ? FragmentPlace::MoreFollow : FragmentPlace::Last;
  fragment.key.identification = load_be16(ip + kIpv4IdOffset);
  fragment.key.version = 4;
  fragment.key.protocol = ip[kIpv4ProtocolOffset];
  return std::nullopt;
}

std::optional<FragmentReject> read_ipv6(const Packet& packet, Fragment& fragment) {
  const std::uint8_t* ip = packet.frame + packet.ip_offset;
  const std::uint8_t* fragment_header = packet.frame + packet.tcp_offset;
  const std::uint32_t total = kIpv6HeaderBytes + load_be16(ip + kIpv6LengthOffset);
  const auto header_bytes = static_cast<std::uint32_t>(packet.tcp_offset - packet.ip_offset);
  // A jumbogram is never fragmented (RFC 2675, 4), so a length of 0 is none.
  if (total < header_bytes + kFragmentHeaderBytes) return FragmentReject::NoLength;
  if (packet.ip_offset + total > packet.captured) return FragmentReject::NotCaptured;
  if (header_bytes > kMaxFragmentHeaderBytes) return FragmentReject::HeaderTooLong;
  const std::uint16_t flags = load_be16(fragment_header + 2);
  fragment.header = {ip, header_bytes};
  fragment.data = {fragment_header + kFragmentHeaderBytes,
                   total - header_bytes - kFragmentHeaderBytes};
  fragment.offset = flags & kIpv6OffsetMask;
  fragment.place =
      (flags & kIpv6MoreFragments) != 0 ? FragmentPlace::MoreFollow : FragmentPlace::Last;
  fragment.next_header = *fragment_header;
  fragment.next_header_field = find_next_header_field(fragment.header);
  fragment.key.identification = load_be32(fragment_header + 4);
  fragment.key.version = 6;
  return std::nullopt;
}

std::optional<FragmentReject> judge(const Fragment& fragment, Ipv6HeaderChain chain) {
  if (fragment.place == FragmentPlace::MoreFollow) {
    if (fragment.data.empty()) return FragmentReject::Empty;
    if (fragment.data.size() % kUnitBytes != 0) return FragmentReject::Unaligned;
  }
  if (!datagram_fits(fragment.key.version, fragment.header.size(), fragment.end())) {
    return FragmentReject::TooLarge;
  }
  if (fragment.key.version == 6 && fragment.offset == 0 && chain == Ipv6HeaderChain::Whole &&
      !header_chain_is_whole(fragment.next_header, fragment.data)) {
    return FragmentReject::IncompleteChain;
  }
  return std::nullopt;
}

void put_be16(std::uint8_t* p, std::uint32_t value) {
  p[0] = static_cast<std::uint8_t>(value >> 8);
  p[1] = static_cast<std::uint8_t>(value);
}

}  // namespace

std::optional<FragmentReject> read_fragment(const Packet& packet, Ipv6HeaderChain chain,
                                            Fragment& fragment) {
  fragment = {};
  const std::optional<FragmentReject> unreadable =
      packet.has(packet_flags::kIpv6) ? read_ipv6(packet, fragment) : read_ipv4(packet, fragment);
  if (unreadable) return unreadable;
  fragment.key.source = source_address(packet);
  fragment.key.destination = destination_address(packet);
  fragment.key.encapsulation = packet.encapsulation;
  return judge(fragment, chain);
}

bool datagram_fits(std::uint8_t version, std::size_t header_bytes, std::size_t data_bytes) {
  const std::size_t uncounted = version == 6 ? kIpv6HeaderBytes : 0;
  return header_bytes + data_bytes <= kMaxLengthField + uncounted;
}

void copy_header(const Fragment& fragment, std::uint8_t* to) {
  std::memcpy(to, fragment.header.data(), fragment.header.size());
  if (fragment.key.version == 6) to[fragment.next_header_field] = fragment.next_header;
}

void finish_header(std::span<std::uint8_t> header, std::uint32_t data_bytes) {
  std::uint8_t* ip = header.data();
  const auto header_bytes = static_cast<std::uint32_t>(header.size());
  if (ip[0] >> 4 == 6) {
    put_be16(ip + kIpv6LengthOffset, header_bytes - kIpv6HeaderBytes + data_bytes);
    return;
  }
  put_be16(ip + kIpv4LengthOffset, header_bytes + data_bytes);
  constexpr std::uint16_t kFragmentBits = kIpv4MoreFragments | kIpv4OffsetMask;
  put_be16(ip + kIpv4FlagsOffset, load_be16(ip + kIpv4FlagsOffset) & ~std::uint32_t{kFragmentBits});
  put_be16(ip + kIpv4ChecksumOffset, 0);
  const auto sum = static_cast<std::uint16_t>(~checksum_fold(checksum_sum(header)));
  std::memcpy(ip + kIpv4ChecksumOffset, &sum, sizeof sum);  // as it lies in memory
}

}  // namespace flowloom
