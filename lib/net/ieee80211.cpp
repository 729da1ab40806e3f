// The 802.11 MAC header (IEEE 802.11, 9.2 and 9.3.2) and the capture headers before it: radiotap,
// Prism and AVS.
#include "net/ieee80211.hpp"

#include <algorithm>

#include "net/link_layer.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kFcsBytes = 4;

constexpr std::uint32_t align_up(std::uint32_t n, std::uint32_t alignment) {
  return (n + alignment - 1) & ~(alignment - 1);
}

std::uint16_t load_le16(const std::uint8_t* p) {
  return __builtin_bswap16(load_be16(p));
}
std::uint32_t load_le32(const std::uint8_t* p) {
  return __builtin_bswap32(load_be32(p));
}

// What a MAC header turned out to be.
enum class MacBody : std::uint8_t { None, Encrypted, Truncated, Msdu, Amsdu };

struct MacHeader {
  MacBody body;
  std::uint32_t bytes = 0;
};

bool is_msdu_start(const std::uint8_t* mac) {
  constexpr std::uint8_t kVersionAndTypeMask = 0x0f;
  constexpr std::uint8_t kDataFrame = 0x08;  // type 2 in bits 2 and 3, version 0
  constexpr std::uint8_t kNoData = 0x40;     // of the subtype: Null and its relatives
  return (mac[0] & kVersionAndTypeMask) == kDataFrame && (mac[0] & kNoData) == 0;
}

MacHeader read_mac_header(const FrameWalk& walk) {
  constexpr std::uint32_t kBaseBytes = 24;
  constexpr std::uint32_t kFourthAddressBytes = 6;
  constexpr std::uint32_t kQosBytes = 2;
  constexpr std::uint32_t kHtControlBytes = 4;
  constexpr std::uint32_t kSequenceControlOffset = 22;
  constexpr std::uint8_t kQos = 0x80;           // of the subtype
  constexpr std::uint8_t kBothDs = 0x03;        // from and to a distribution system
  constexpr std::uint8_t kProtected = 0x40;     // second byte
  constexpr std::uint8_t kHasHtControl = 0x80;  // second byte; in QoS frames
  constexpr std::uint8_t kAmsduPresent = 0x80;  // of the QoS control
  constexpr std::uint8_t kFragmentMask = 0x0f;  // of the sequence control

  if (walk.left() < 2) return {MacBody::Truncated};
  const std::uint8_t* mac = walk.here();
  if (!is_msdu_start(mac)) return {MacBody::None};
  if ((mac[1] & kProtected) != 0) return {MacBody::Encrypted};
  if (walk.left() < kBaseBytes) return {MacBody::Truncated};
  // Only the first fragment of an MSDU starts with a header.
  if ((mac[kSequenceControlOffset] & kFragmentMask) != 0) return {MacBody::None};
  std::uint32_t bytes = kBaseBytes;
  if ((mac[1] & kBothDs) == kBothDs) bytes += kFourthAddressBytes;
  bool aggregate = false;
  if ((mac[0] & kQos) != 0) {
    if (walk.left() < bytes + kQosBytes) return {MacBody::Truncated};
    aggregate = (mac[bytes] & kAmsduPresent) != 0;
    bytes += kQosBytes;
    if ((mac[1] & kHasHtControl) != 0) bytes += kHtControlBytes;
  }
  if (walk.padded_mac_header) bytes = align_up(bytes, 4);
  if (walk.left() < bytes) return {MacBody::Truncated};
  return {aggregate ? MacBody::Amsdu : MacBody::Msdu, bytes};
}

// Length of a Prism or AVS header. Prism is written in the byte order of the capturing machine
// and names itself by a message code; its size never changed.
std::uint32_t prism_header_bytes(const std::uint8_t* p) {
  constexpr std::uint32_t kAvsMagicMask = 0xfffff000;
  constexpr std::uint32_t kAvsMagic = 0x80211000;
  constexpr std::uint32_t kPrismBytes = 144;
  if ((load_be32(p) & kAvsMagicMask) == kAvsMagic) return load_be32(p + 4);
  const std::uint32_t little = load_le32(p + 4);
  if (little == kPrismBytes || load_be32(p + 4) == kPrismBytes) return kPrismBytes;
  constexpr std::uint32_t kPlausibleEnd = 1024;
  return little >= 8 && little < kPlausibleEnd ? little : kPrismBytes;
}

}  // namespace

template <>
Layer parse_link<LinkType::Ieee80211>(FrameWalk&) {
  return Layer::Ieee80211;
}

template <>
Layer parse_link<LinkType::Prism>(FrameWalk& walk) {
  constexpr std::uint32_t kCodeAndLengthBytes = 8;
  if (walk.left() < kCodeAndLengthBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint32_t bytes = prism_header_bytes(walk.here());
  if (walk.left() < bytes) return walk.stop(Verdict::TruncatedLink);
  return walk.skip(bytes, Layer::Ieee80211);
}

// Version 0, pad, length, presence words (the top bit says that another follows), then the fields
// in the order of their bits, each aligned to its size. Only the flags are of interest: the second
// field, behind a timestamp of 8 bytes.
template <>
Layer parse_link<LinkType::Radiotap>(FrameWalk& walk) {
  constexpr std::uint32_t kFixedBytes = 8;
  constexpr std::uint32_t kTsftPresent = 1 << 0;
  constexpr std::uint32_t kFlagsPresent = 1 << 1;
  constexpr std::uint32_t kMorePresent = 1U << 31;
  constexpr std::uint32_t kTsftBytes = 8;
  constexpr std::uint8_t kFcsAtEnd = 0x10;
  constexpr std::uint8_t kDataPadded = 0x20;
  if (walk.left() < kFixedBytes) return walk.stop(Verdict::TruncatedLink);
  const std::uint8_t* p = walk.here();
  const std::uint32_t length = load_le16(p + 2);
  if (p[0] != 0 || length < kFixedBytes) return walk.stop(Verdict::NotIp);
  if (walk.left() < length) return walk.stop(Verdict::TruncatedLink);
  const std::uint32_t present = load_le32(p + 4);
  std::uint32_t field = kFixedBytes;
  for (std::uint32_t word = present; (word & kMorePresent) != 0; field += 4) {
    if (field + 4 > length) return walk.stop(Verdict::TruncatedLink);
    word = load_le32(p + field);
  }
  if ((present & kTsftPresent) != 0) field = align_up(field, kTsftBytes) + kTsftBytes;
  if ((present & kFlagsPresent) != 0 && field < length) {
    if ((p[field] & kFcsAtEnd) != 0) walk.trailer = kFcsBytes;
    walk.padded_mac_header = (p[field] & kDataPadded) != 0;
  }
  return walk.skip(length, Layer::Ieee80211);
}

Layer ieee80211_layer(FrameWalk& walk) {
  const MacHeader header = read_mac_header(walk);
  switch (header.body) {
    case MacBody::None:
      break;
    case MacBody::Encrypted:
      return walk.stop(Verdict::EncryptedLink);
    case MacBody::Truncated:
      return walk.stop(Verdict::TruncatedLink);
    case MacBody::Msdu:
      return walk.skip(header.bytes, Layer::Llc);
    case MacBody::Amsdu:
      // A subframe is destination, source, length and LLC: an Ethernet frame with a length.
      return walk.skip(header.bytes, Layer::Ethernet);
  }
  return walk.stop(Verdict::NotIp);
}

std::uint32_t split_amsdu(const Packet& packet, std::span<Packet> parts) {
  FrameWalk walk(packet, HeaderChecksum::Auto);
  if (link_layer(walk, packet.link) != Layer::Ieee80211) return 0;
  const MacHeader header = read_mac_header(walk);
  if (header.body != MacBody::Amsdu) return 0;
  walk.offset += header.bytes;
  const std::size_t count_max = std::min<std::size_t>(parts.size(), kMaxAmsduSubframes);
  std::uint32_t count = 0;
  while (count < count_max && walk.left() >= kEthernetHeaderBytes) {
    const std::uint32_t bytes = kEthernetHeaderBytes + load_be16(walk.here() + kEthernetTypeOffset);
    Packet& part = parts[count++];
    part = packet;
    part.frame = walk.here();
    part.captured = std::min(bytes, walk.left());
    part.wire_length = bytes;
    part.link = LinkType::Ethernet;
    const std::uint32_t next = align_up(bytes, 4);
    if (next >= walk.left()) break;
    walk.offset += next;
  }
  return count;
}

}  // namespace flowloom
