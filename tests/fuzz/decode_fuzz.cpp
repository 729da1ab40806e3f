// Any bytes as one frame of any link type. The fast path and the layer walk must agree, and what
// the decoder says of a frame must lie within it. The frame is a heap block of its own size, so
// that a sanitizer sees a read past it.
//
// Input: link type, bytes that were cut off when captured, then the frame.
#include <algorithm>
#include <cstdint>
#include <memory>

#include "base/check.hpp"
#include "fuzz/fuzz_bytes.hpp"
#include "net/decode.hpp"
#include "net/five_tuple.hpp"
#include "net/ip.hpp"
#include "net/tcp_checksum.hpp"
#include "net/tcp_header.hpp"
#include "net/tcp_options.hpp"

namespace flowloom {
namespace {

constexpr std::uint8_t kLinkTypes = 3  // Unknown, Reassembled and Contradicted
#define LINK(symbol, linktype, name) +1
#include "net/links.def"
#undef LINK
    ;
/// What a source may have set.
constexpr std::uint8_t kSourceFlags =
    packet_flags::kSnapped | packet_flags::kChecksumGood | packet_flags::kChecksumBad;

bool same(const Packet& a, const Packet& b) {
  return a.verdict == b.verdict && a.flags == b.flags && a.payload_length == b.payload_length &&
         a.encapsulation == b.encapsulation && a.ip_offset == b.ip_offset &&
         a.tcp_offset == b.tcp_offset;
}

void check_segment(const Packet& packet) {
  const TcpHeader tcp = tcp_header_of(packet);
  FLOWLOOM_CHECK(packet.ip_offset < packet.tcp_offset);
  FLOWLOOM_CHECK(packet.tcp_offset + kTcpMinHeaderBytes <= packet.captured);
  FLOWLOOM_CHECK(packet.tcp_offset + tcp.header_bytes() <= packet.captured ||
                 packet.has(packet_flags::kSnapped));
  const ByteView payload = captured_payload(packet);
  FLOWLOOM_CHECK(payload.size() <= packet.payload_length);
  FLOWLOOM_CHECK(payload.data() + payload.size() <= packet.frame + packet.captured);
  FLOWLOOM_CHECK(payload.size() == packet.payload_length ||
                 packet.has(packet_flags::kSnapped));
  const TcpOptions options = parse_tcp_options(captured_options(packet));
  FLOWLOOM_CHECK(options.sack_count <= kMaxSackBlocks);
  FLOWLOOM_CHECK(list_encapsulation(packet).count <= kMaxEncapsulationLayers);
  const ChecksumResult checksum = check_tcp_checksum(packet);
  FLOWLOOM_CHECK(checksum != ChecksumResult::NotCaptured || packet.has(packet_flags::kSnapped));
  static_cast<void>(ip_length_of(packet));
  Packet hashed = packet;
  hash_flow(hashed, HashSeed{});
  FLOWLOOM_CHECK(hash_of(flow_key_of(hashed), HashSeed{}) == hashed.flow_hash);
}

void run(const std::uint8_t* data, std::size_t size) {
  fuzz::FuzzBytes input(data, size);
  Packet packet{};
  packet.link = static_cast<LinkType>(input.u8() % kLinkTypes);
  const std::uint32_t not_captured = input.u8();
  packet.flags = not_captured % 2 == 0 ? std::uint8_t{0} : packet_flags::kChecksumGood;
  const ByteView bytes = input.take(size);
  const auto frame = std::make_unique<std::uint8_t[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), frame.get());
  packet.frame = frame.get();
  packet.captured = static_cast<std::uint32_t>(bytes.size());
  packet.wire_length = packet.captured + not_captured / 2;
  if (packet.wire_length > packet.captured) packet.flags |= packet_flags::kSnapped;
  packet.flags &= kSourceFlags;

  for (const HeaderChecksum mode : {HeaderChecksum::Auto, HeaderChecksum::Ignore}) {
    DecodeOptions options;
    options.header_checksum = mode;
    Packet fast = packet;
    Packet slow = packet;
    decode(fast, options);
    decode_by_layers(slow, options);
    FLOWLOOM_CHECK(same(fast, slow));
    if (fast.verdict == Verdict::Tcp) {
      check_segment(fast);
    } else {
      FLOWLOOM_CHECK(fast.payload_length == 0);
      FLOWLOOM_CHECK(fast.verdict == Verdict::Fragment || fast.tcp_offset == 0);
    }
  }
}

}  // namespace
}  // namespace flowloom

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flowloom::run(data, size);
  return 0;
}
