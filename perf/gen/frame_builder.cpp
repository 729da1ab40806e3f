#include "perf/gen/frame_builder.hpp"

#include "perf/gen/bytes.hpp"
#include "perf/gen/tcp_bytes.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace flowloom::gen {

namespace {

constexpr std::size_t kEthernetBytes = 14;
constexpr std::size_t kSmallestFrame = 60;
constexpr std::uint8_t kPaddingByte = 0xaa;
constexpr std::size_t kIpv4Bytes = 20;
constexpr std::size_t kIpv6Bytes = 40;
constexpr std::size_t kFragmentHeaderBytes = 8;
constexpr std::uint8_t kProtocolFragment = 44;
constexpr std::uint8_t kHopLimit = 64;

}  // namespace

Address address_of(Family family, std::uint32_t host) {
  Address a{};
  if (family == Family::V6) {
    a = {0x20, 0x01, 0x0d, 0xb8};
    a[7] = static_cast<std::uint8_t>(host >> 24);
    store32(a.data() + 12, host & 0x00ff'ffff);
  } else {
    store32(a.data() + 12, host);
  }
  return a;
}

std::string to_string(Family family, const Endpoint& end) {
  const Address address = address_of(family, end.host);
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int af = family == Family::V4 ? AF_INET : AF_INET6;
  inet_ntop(af, wire_address(family, address), text.data(), text.size());
  return family == Family::V4 ? fmt::format("{}:{}", text.data(), end.port)
                              : fmt::format("[{}]:{}", text.data(), end.port);
}

/// The IP header (and IPv6 fragment header) for that part of the segment; returns its bytes.
std::size_t FrameBuilder::write_ip(const Identity& identity, Side sender, Slice slice) {
  const Family family = identity.family;
  const bool is_fragment = slice.bytes < segment_bytes_;
  const std::size_t more = slice.offset + slice.bytes < segment_bytes_ ? 1 : 0;
  const Address source = address_of(family, identity.ends[index_of(sender)].host);
  const Address destination = address_of(family, identity.ends[index_of(other(sender))].host);
  std::uint8_t* const ip = frame_.data() + kEthernetBytes;
  if (family == Family::V4) {
    constexpr std::size_t kDontFragment = 0x4000;
    std::memset(ip, 0, kIpv4Bytes);
    ip[0] = 0x45;
    store16(ip + 2, kIpv4Bytes + slice.bytes);
    store16(ip + 4, id_);
    store16(ip + 6, is_fragment ? more << 13 | slice.offset / 8 : kDontFragment);
    ip[8] = kHopLimit;
    ip[9] = kProtocolTcp;
    std::memcpy(ip + 12, wire_address(family, source), 4);
    std::memcpy(ip + 16, wire_address(family, destination), 4);
    store_checksum(ip + 10, sum_of(ip, kIpv4Bytes));
    return kIpv4Bytes;
  }
  const std::size_t extension = is_fragment ? kFragmentHeaderBytes : 0;
  std::memset(ip, 0, kIpv6Bytes + extension);
  ip[0] = 0x60;
  store16(ip + 4, extension + slice.bytes);
  ip[6] = is_fragment ? kProtocolFragment : kProtocolTcp;
  ip[7] = kHopLimit;
  std::memcpy(ip + 8, source.data(), 16);
  std::memcpy(ip + 24, destination.data(), 16);
  if (is_fragment) {
    ip[kIpv6Bytes] = kProtocolTcp;
    store16(ip + kIpv6Bytes + 2, slice.offset | more);  // offset in 8-byte units, shifted by 3
    store32(ip + kIpv6Bytes + 4, id_);
  }
  return kIpv6Bytes + extension;
}

FrameBuilder::Frame FrameBuilder::finish(std::size_t ip_bytes, Slice slice) {
  const bool v4 = (frame_[kEthernetBytes] >> 4) == 4;
  std::memset(frame_.data(), 0x02, 12);
  store16(frame_.data() + 12, v4 ? 0x0800 : 0x86dd);
  const std::size_t header = kEthernetBytes + ip_bytes;
  std::memcpy(frame_.data() + header, segment_.data() + slice.offset, slice.bytes);
  std::size_t bytes = header + slice.bytes;
  if (padding_ == Padding::Ethernet && bytes < kSmallestFrame) {
    std::memset(frame_.data() + bytes, kPaddingByte, kSmallestFrame - bytes);
    bytes = kSmallestFrame;
  }
  return {frame_.data(), bytes};
}

FrameBuilder::Frame FrameBuilder::whole(const Identity& identity, const Segment& segment) {
  id_ = next_id_++;
  segment_bytes_ = write_tcp(identity, segment, segment_.data());
  const Slice all{.offset = 0, .bytes = segment_bytes_};
  return finish(write_ip(identity, segment.side, all), all);
}

std::size_t FrameBuilder::split(const Identity& identity, const Segment& segment,
                                std::size_t piece_bytes) {
  id_ = next_id_++;
  segment_bytes_ = write_tcp(identity, segment, segment_.data());
  split_identity_ = identity;
  split_side_ = segment.side;
  piece_bytes_ = std::max<std::size_t>(piece_bytes / 8 * 8, 8);
  return (segment_bytes_ + piece_bytes_ - 1) / piece_bytes_;
}

FrameBuilder::Frame FrameBuilder::fragment(std::size_t i) {
  const std::size_t offset = i * piece_bytes_;
  const Slice piece{.offset = offset, .bytes = std::min(piece_bytes_, segment_bytes_ - offset)};
  return finish(write_ip(split_identity_, split_side_, piece), piece);
}

}  // namespace flowloom::gen
