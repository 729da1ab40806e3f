// Turns a SegmentPlan into a frame: Ethernet, IPv4, TCP and the first payload bytes, with valid
// checksums. All payload beyond a small stamp is one constant byte that is already in the buffer,
// so a 1514-byte frame costs as little to write as a 60-byte one, and its sum is a multiplication.
#pragma once

#include "perf/traffic/segment_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace flowloom::traffic {

inline constexpr std::size_t kEthernetBytes = 14;
inline constexpr std::size_t kIpBytes = 20;
inline constexpr std::size_t kTcpBytes = 20;
inline constexpr std::size_t kHeaderBytes = kEthernetBytes + kIpBytes + kTcpBytes;
inline constexpr std::size_t kSmallestFrame = 60;  ///< 64 on the wire; the FCS is not captured
inline constexpr std::size_t kStampBytes = 6;      ///< payload that tells segments apart
inline constexpr std::uint8_t kPayloadByte = 0x5a;
inline constexpr std::uint16_t kWindow = 0xffff;
/// IP payload of a first fragment: the TCP header and some data; a multiple of 8 (RFC 791).
inline constexpr std::uint32_t kFirstFragmentBytes = 40;

/// Fills what never changes. Every frame buffer must go through this once.
inline void prepare_frame_buffer(std::uint8_t* frame, std::size_t bytes) {
  static constexpr std::uint8_t kEthernet[kEthernetBytes] = {0x02, 0, 0, 0, 0,    0x02, 0x02,
                                                             0,    0, 0, 0, 0x01, 0x08, 0x00};
  std::memset(frame, kPayloadByte, bytes);
  std::memcpy(frame, kEthernet, kEthernetBytes);
}

namespace detail {

inline void store_be16(std::uint8_t* p, std::uint64_t v) {
  const std::uint16_t swapped = __builtin_bswap16(static_cast<std::uint16_t>(v));
  std::memcpy(p, &swapped, sizeof swapped);
}
inline void store_be32(std::uint8_t* p, std::uint64_t v) {
  const std::uint32_t swapped = __builtin_bswap32(static_cast<std::uint32_t>(v));
  std::memcpy(p, &swapped, sizeof swapped);
}
inline void store_be64(std::uint8_t* p, std::uint64_t v) {
  const std::uint64_t swapped = __builtin_bswap64(v);
  std::memcpy(p, &swapped, sizeof swapped);
}

/// The internet checksum of a sum of 16- or 32-bit big-endian words (RFC 1071: 2^16 = 1 there).
inline std::uint16_t checksum_of(std::uint64_t sum) {
  sum = (sum & 0xffff'ffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

/// Sum of `payload` bytes that begin with the stamp (as 32 and 16 bits) and are constant after it.
inline std::uint64_t payload_sum(std::uint32_t stamp_high, std::uint32_t stamp_low,
                                 std::uint64_t payload) {
  if (payload == 0) return 0;
  const std::uint64_t rest = payload - kStampBytes;
  constexpr std::uint64_t kWord = kPayloadByte * 0x0101U;
  const std::uint64_t odd_byte = (rest & 1) * (std::uint64_t{kPayloadByte} << 8);
  return std::uint64_t{stamp_high} + stamp_low + (rest / 2) * kWord + odd_byte;
}

/// What differs between a datagram and its fragments.
struct IpShape {
  std::uint64_t payload;         ///< IP payload bytes
  std::uint64_t fragment_field;  ///< flags and offset
};

inline void write_ip(std::uint8_t* ip, const SegmentPlan& plan, IpShape shape) {
  constexpr std::uint64_t kVersionAndLength = 0x4500;
  constexpr std::uint64_t kTtlAndProtocol = 0x4006;
  const std::uint64_t total = kIpBytes + shape.payload;
  const std::uint64_t id = (plan.seq ^ (plan.seq >> 16)) & 0xffff;
  const std::uint64_t sum = kVersionAndLength + total + id + shape.fragment_field +
                            kTtlAndProtocol + plan.source + plan.destination;
  store_be64(ip, kVersionAndLength << 48 | total << 32 | id << 16 | shape.fragment_field);
  store_be32(ip + 8, kTtlAndProtocol << 16 | checksum_of(sum));
  store_be64(ip + 12, std::uint64_t{plan.source} << 32 | plan.destination);
}

inline void write_tcp(std::uint8_t* tcp, const SegmentPlan& plan) {
  constexpr std::uint64_t kDataOffset = std::uint64_t{kTcpBytes / 4} << 12;
  constexpr std::uint64_t kProtocol = 6;
  const std::uint64_t offset_flags_window = (kDataOffset | plan.flags) << 16 | kWindow;
  const std::uint32_t stamp_low = plan.ports & 0xffff'0000;  // the sender's port
  const std::uint64_t sum = std::uint64_t{plan.source} + plan.destination + kProtocol + kTcpBytes +
                            plan.payload + plan.ports + plan.seq + plan.ack + offset_flags_window +
                            payload_sum(plan.seq, stamp_low, plan.payload);
  store_be32(tcp, plan.ports);
  store_be64(tcp + 4, std::uint64_t{plan.seq} << 32 | plan.ack);
  store_be64(tcp + 12, offset_flags_window << 32 | std::uint64_t{checksum_of(sum)} << 16);
  store_be32(tcp + kTcpBytes, plan.seq);  // the stamp; as padding where there is no payload
  store_be16(tcp + kTcpBytes + 4, stamp_low >> 16);
}

}  // namespace detail

/// Writes the frame and returns its length without FCS. Preconditions: the buffer was prepared and
/// holds the segment; plan.payload is 0 or at least kStampBytes, of a fragmented segment more than
/// kFirstFragmentBytes.
inline std::uint32_t write_frame(std::uint8_t* frame, const SegmentPlan& plan) {
  constexpr std::uint64_t kDontFragment = 0x4000;
  constexpr std::uint64_t kMoreFragments = 0x2000;
  const std::uint64_t segment = kTcpBytes + plan.payload;
  detail::IpShape shape{.payload = segment, .fragment_field = kDontFragment};
  std::uint8_t* const ip = frame + kEthernetBytes;
  if (plan.part == Part::LastFragment) [[unlikely]] {
    shape = {.payload = segment - kFirstFragmentBytes, .fragment_field = kFirstFragmentBytes / 8};
    // Restore the constant payload where other frames have their TCP header and stamp.
    std::memset(ip + kIpBytes, kPayloadByte, kTcpBytes + kStampBytes);
  } else {
    if (plan.part == Part::FirstFragment) [[unlikely]] {
      shape = {.payload = kFirstFragmentBytes, .fragment_field = kMoreFragments};
    }
    detail::write_tcp(ip + kIpBytes, plan);
  }
  detail::write_ip(ip, plan, shape);
  const std::uint64_t bytes = kEthernetBytes + kIpBytes + shape.payload;
  return static_cast<std::uint32_t>(bytes < kSmallestFrame ? kSmallestFrame : bytes);
}

}  // namespace flowloom::traffic
