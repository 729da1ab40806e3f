#include "compat/nids/link_rules.hpp"

#include <pcap/dlt.h>

#include "base/bytes.hpp"

namespace flowloom::nids {

namespace {

constexpr std::uint16_t kTypeIpv4 = 0x0800;
constexpr std::uint16_t kTypeVlan = 0x8100;

constexpr std::uint32_t kEthernetBytes = 14;
constexpr std::uint32_t kEthernetType = 12;
constexpr std::uint32_t kVlanTagBytes = 4;
constexpr std::uint32_t kTokenRingBytes = 22;
constexpr std::uint32_t kFddiBytes = 21;
constexpr std::uint32_t kPppBytes = 4;
constexpr std::uint32_t kNullBytes = 4;
constexpr std::uint32_t kSllBytes = 16;
constexpr std::uint32_t kPrismBytes = 144;

std::optional<std::uint32_t> behind_ethernet(const FrameBytes& frame) {
  if (frame.captured < kEthernetBytes) return std::nullopt;
  const std::uint16_t type = load_be16(frame.data + kEthernetType);
  if (type == kTypeIpv4) return kEthernetBytes;
  // One tag; what it says comes next is not looked at.
  if (type == kTypeVlan) return kEthernetBytes + kVlanTagBytes;
  return std::nullopt;
}

// A data frame of IEEE 802.11 that is not encrypted, with an LLC header that names IPv4.
std::optional<std::uint32_t> behind_80211(const FrameBytes& frame, std::uint32_t at) {
  constexpr std::uint32_t kHeaderBytes = 24;
  constexpr std::uint32_t kFourAddressBytes = 30;
  constexpr std::uint32_t kQosBytes = 2;
  constexpr std::uint32_t kLlcBytes = 8;
  constexpr std::uint32_t kLlcType = 6;
  constexpr unsigned kTypeShift = 2;
  constexpr unsigned kTypeMask = 3;
  constexpr unsigned kTypeData = 2;
  constexpr unsigned kQosSubtype = 0x80;
  constexpr unsigned kToDs = 1;
  constexpr unsigned kFromDs = 2;
  constexpr unsigned kProtected = 0x40;

  if (std::uint64_t{at} + 2 > frame.captured) return std::nullopt;
  const unsigned control = frame.data[at];
  const unsigned flags = frame.data[at + 1];
  if ((control >> kTypeShift & kTypeMask) != kTypeData || (flags & kProtected) != 0) {
    return std::nullopt;
  }
  const bool four = (flags & (kToDs | kFromDs)) == (kToDs | kFromDs);
  std::uint32_t offset = at + (four ? kFourAddressBytes : kHeaderBytes);
  if ((control & kQosSubtype) != 0) offset += kQosBytes;
  if (offset + kLlcBytes > frame.captured) return std::nullopt;
  if (load_be16(frame.data + offset + kLlcType) != kTypeIpv4) return std::nullopt;
  return offset + kLlcBytes;
}

std::optional<std::uint32_t> behind_radiotap(const FrameBytes& frame) {
  constexpr std::uint32_t kLengthField = 2;
  constexpr std::uint32_t kFixedBytes = 8;
  if (frame.captured < kFixedBytes) return std::nullopt;
  const unsigned low = frame.data[kLengthField];
  const unsigned high = frame.data[kLengthField + 1];
  constexpr unsigned kByteBits = 8;
  return behind_80211(frame, low | high << kByteBits);
}

}  // namespace

bool link_type_is_known(int link_type) {
  switch (link_type) {
    case DLT_EN10MB:
    case DLT_NULL:
    case DLT_PPP:
    case DLT_PPP_SERIAL:
    case DLT_IEEE802:
    case DLT_FDDI:
    case DLT_RAW:
    case DLT_SLIP:
    case DLT_LINUX_SLL:
    case DLT_IEEE802_11:
    case DLT_PRISM_HEADER:
    case DLT_IEEE802_11_RADIO:
      return true;
    default:
      return false;
  }
}

int device_addon(int link_type) {
  constexpr int kEthernetAddon = 16;
  return link_type == DLT_EN10MB ? kEthernetAddon : 0;
}

std::optional<std::uint32_t> find_ip_header(int link_type, const FrameBytes& frame) {
  switch (link_type) {
    case DLT_EN10MB:
      return behind_ethernet(frame);
    case DLT_NULL:
      return kNullBytes;
    case DLT_PPP:
    case DLT_PPP_SERIAL:
      return kPppBytes;
    case DLT_IEEE802:
      return kTokenRingBytes;
    case DLT_FDDI:
      return kFddiBytes;
    case DLT_LINUX_SLL:
      return kSllBytes;
    case DLT_IEEE802_11:
      return behind_80211(frame, 0);
    case DLT_PRISM_HEADER:
      return behind_80211(frame, kPrismBytes);
    case DLT_IEEE802_11_RADIO:
      return behind_radiotap(frame);
    default:
      return 0;
  }
}

}  // namespace flowloom::nids
