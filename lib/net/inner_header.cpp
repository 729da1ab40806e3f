#include "net/inner_header.hpp"

#include "net/ip.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kVlanTagBytes = 4;
constexpr std::uint32_t kLabelBytes = 4;
constexpr std::uint32_t kControlWordBytes = 4;
constexpr std::uint16_t kTransparentBridging = 0x6558;

bool ipv4_stands_at(const InnerBytes& inner, std::uint32_t at) {
  if (!inner.has(at, kIpv4MinHeaderBytes)) return false;
  const std::uint32_t header_bytes = (inner.u8(at) & 0x0fU) * 4;
  const std::uint32_t total = inner.u16(at + 2);
  if (header_bytes < kIpv4MinHeaderBytes) return false;
  if (total == 0) return true;  // segmentation offload
  return total >= header_bytes && (inner.cut || total <= inner.end - at);
}

bool ipv6_stands_at(const InnerBytes& inner, std::uint32_t at) {
  if (!inner.has(at, kIpv6HeaderBytes)) return false;
  const std::uint32_t payload = inner.u16(at + 4);
  return inner.cut || payload <= inner.end - at - kIpv6HeaderBytes;
}

}  // namespace

bool ip_stands_at(const InnerBytes& inner, std::uint32_t at) {
  if (!inner.has(at, 1)) return false;
  switch (inner.u8(at) >> 4) {
    case 4:
      return ipv4_stands_at(inner, at);
    case 6:
      return ipv6_stands_at(inner, at);
    default:
      return false;
  }
}

bool payload_stands_at(const InnerBytes& inner, std::uint32_t at, std::uint16_t ether_type) {
  for (std::uint32_t i = 0; i < kMaxTags; ++i) {
    switch (layer_of_ether_type(ether_type)) {
      case Layer::Ipv4:
      case Layer::Ipv6:
        return ip_stands_at(inner, at);
      case Layer::Vlan:
        if (!inner.has(at, kVlanTagBytes)) return false;
        ether_type = inner.u16(at + 2);
        at += kVlanTagBytes;
        break;
      case Layer::Ethernet:
        if (!inner.has(at, kEthernetHeaderBytes)) return false;
        ether_type = inner.u16(at + kEthernetTypeOffset);
        at += kEthernetHeaderBytes;
        break;
      case Layer::Done:
        return false;
      default:
        return inner.has(at, 1);
    }
  }
  return false;
}

bool ethernet_stands_at(const InnerBytes& inner, std::uint32_t at) {
  return payload_stands_at(inner, at, kTransparentBridging);
}

bool labels_stand_at(const InnerBytes& inner, std::uint32_t at) {
  constexpr std::uint32_t kBottomOfStack = 0x100;
  for (std::uint32_t i = 0; i < kMaxTags; ++i) {
    if (!inner.has(at, kLabelBytes)) return false;
    const bool bottom = (inner.u32(at) & kBottomOfStack) != 0;
    at += kLabelBytes;
    if (!bottom) continue;
    return ip_stands_at(inner, at) || ethernet_stands_at(inner, at + kControlWordBytes) ||
           ethernet_stands_at(inner, at);
  }
  return false;
}

}  // namespace flowloom
