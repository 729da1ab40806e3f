#include "perf/gen/tcp_bytes.hpp"

#include "perf/gen/bytes.hpp"
#include "perf/gen/content.hpp"

#include <arpa/inet.h>

#include <cstring>

namespace flowloom::gen {

namespace {

constexpr std::size_t kTcpBytes = 20;
constexpr std::uint8_t kNop = 1;
constexpr std::uint8_t kMss = 2;
constexpr std::uint8_t kWindowScale = 3;
constexpr std::uint8_t kTimestamps = 8;
constexpr std::size_t kStampBytes = 12;  // with two NOPs before, RFC 7323, appendix A

/// Returns the end of the options.
std::uint8_t* write_options(const Identity& identity, const Segment& segment, std::uint8_t* at) {
  const std::size_t from = index_of(segment.side);
  if (segment.has(tcp_bits::kSyn)) {
    at[0] = kMss;
    at[1] = 4;
    store16(at + 2, identity.mss[from]);
    at += 4;
    if (identity.window_scale[from] != Identity::kNoScale) {
      at[0] = kNop;
      at[1] = kWindowScale;
      at[2] = 3;
      at[3] = identity.window_scale[from];
      at += 4;
    }
  }
  if (segment.stamped) {
    at[0] = at[1] = kNop;
    at[2] = kTimestamps;
    at[3] = kStampBytes - 2;
    store32(at + 4, segment.stamp_value);
    store32(at + 8, segment.stamp_echo);
    at += kStampBytes;
  }
  return at;
}

}  // namespace

std::size_t write_tcp(const Identity& identity, const Segment& segment, std::uint8_t* tcp) {
  const std::size_t from = index_of(segment.side);
  const std::size_t to = index_of(other(segment.side));
  const bool syn = segment.has(tcp_bits::kSyn);
  std::memset(tcp, 0, kTcpBytes);
  store16(tcp, identity.ends[from].port);
  store16(tcp + 2, identity.ends[to].port);
  store32(tcp + 4, identity.iss[from] + (syn ? 0 : 1 + segment.offset));
  if (segment.has(tcp_bits::kAck)) store32(tcp + 8, identity.iss[to] + 1 + segment.acked);
  const auto header =
      static_cast<std::size_t>(write_options(identity, segment, tcp + kTcpBytes) - tcp);
  tcp[12] = static_cast<std::uint8_t>(header / 4 << 4);
  tcp[13] = segment.flags;
  store16(tcp + 14, segment.window);
  write_content(identity.content[from], segment.offset, tcp + header, segment.bytes);
  const std::size_t bytes = header + segment.bytes;

  const Family family = identity.family;
  const Address source = address_of(family, identity.ends[from].host);
  const Address destination = address_of(family, identity.ends[to].host);
  std::uint64_t sum = std::uint64_t{htons(kProtocolTcp)} + htons(static_cast<std::uint16_t>(bytes));
  sum = sum_of(wire_address(family, source), address_bytes(family), sum);
  sum = sum_of(wire_address(family, destination), address_bytes(family), sum);
  store_checksum(tcp + 16, sum_of(tcp, bytes, sum));
  return bytes;
}

}  // namespace flowloom::gen
