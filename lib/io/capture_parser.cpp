#include "io/capture_parser.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace flowloom {

namespace {

constexpr std::size_t kMagicBytes = 4;

// pcap: file header magic(4) major(2) minor(2) zone(4) accuracy(4) snaplen(4) linktype(4); record
// header seconds(4) fraction(4) captured(4) wire(4), and 8 more in Kuznetzov's modified format.
constexpr std::uint32_t kMagicMicro = 0xa1b2c3d4;
constexpr std::uint32_t kMagicNano = 0xa1b23c4d;
constexpr std::uint32_t kMagicModified = 0xa1b2cd34;
constexpr std::size_t kFileHeaderBytes = 24;
constexpr std::uint32_t kRecordHeaderBytes = 16;
constexpr std::uint32_t kModifiedRecordHeaderBytes = 24;
constexpr std::uint32_t kLinkTypeMask = 0xffff;  // above it: length of the frame check sequence
constexpr std::uint16_t kVersionMajor = 2;
constexpr std::uint16_t kVersionMinorSwappedLengths = 3;  // 2.3 exchanged the lengths, not always
constexpr std::uint16_t kVersionMajorDgUx = 543;
constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

// Link types without IP may have enormous records (USB, D-Bus); libpcap's limit for those.
constexpr std::uint32_t kForeignFrameBytesMax = 128 << 20;

// pcapng: type(4) length(4) body length(4).
constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kObsoletePacket = 2;
constexpr std::uint32_t kSimplePacket = 3;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint16_t kSectionVersionMajor = 1;
constexpr std::size_t kBlockFrameBytes = 12;  // head and trailer
constexpr std::size_t kBlockHeadBytes = 8;
constexpr std::size_t kBlockTrailerBytes = 4;
constexpr std::size_t kSectionHeadBytes = 16;
constexpr std::uint32_t kBlockAlignment = 4;
constexpr std::size_t kInterfaceFixedBytes = 8;
constexpr std::size_t kPacketFixedBytes = 20;
constexpr std::size_t kSimpleFixedBytes = 4;
constexpr std::uint64_t kBlockBytesMax = 256 << 20;
// Of a longer block only this much is looked at; its trailer is not checked.
constexpr std::size_t kBlockBytesKept = CaptureParser::kFrameBytesMax + (64 << 10);
constexpr std::size_t kInterfacesMax = 1 << 16;
constexpr std::uint16_t kOptionEnd = 0;
constexpr std::uint16_t kOptionResolution = 9;
constexpr std::uint16_t kOptionOffset = 14;
constexpr std::size_t kOptionHeadBytes = 4;

constexpr std::uint64_t round_up_to_block(std::uint64_t bytes) {
  return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
}

struct Lengths {
  std::uint32_t captured;
  std::uint32_t wire;
};

void fill(Packet& packet, const std::uint8_t* frame, Lengths lengths, Timestamp stamp,
          LinkType link) {
  packet.frame = frame;
  packet.stamp = stamp;
  packet.captured = lengths.captured;
  packet.wire_length = std::max(lengths.captured, lengths.wire);
  packet.flags = lengths.captured < lengths.wire ? packet_flags::kSnapped : std::uint8_t{0};
  packet.link = link;
}

}  // namespace

void CaptureParser::damaged(std::string what) {
  state_ = State::Damaged;
  damage_ = std::move(what);
}

CaptureParser::Step CaptureParser::parse(ByteView window, std::span<Packet> out) {
  Step step;
  do {
    if (skip_ != 0) {
      const std::size_t skipped = std::min<std::uint64_t>(skip_, window.size() - step.consumed);
      step.consumed += skipped;
      skip_ -= skipped;
      if (skip_ != 0) {
        step.needed = 1;
        return step;
      }
    }
    if (state_ == State::Unidentified) identify(window, step);
    if (state_ == State::Pcap) parse_pcap(window, out, step);
    if (state_ == State::Pcapng) parse_pcapng(window, out, step);
  } while (skip_ != 0 && step.packets < out.size());
  return step;
}

void CaptureParser::identify(ByteView window, Step& step) {
  if (window.size() < kMagicBytes) {
    step.needed = kMagicBytes;
    return;
  }
  const auto native = load_native<std::uint32_t>(window.data());
  const std::uint32_t other = __builtin_bswap32(native);
  if (native == kSectionHeader) {
    state_ = State::Pcapng;
    return;
  }
  for (const std::uint32_t magic : {kMagicMicro, kMagicNano, kMagicModified}) {
    if (native != magic && other != magic) continue;
    state_ = State::Pcap;
    swapped_ = native != magic;
    record_header_bytes_ =
        magic == kMagicModified ? kModifiedRecordHeaderBytes : kRecordHeaderBytes;
    fraction_ns_ = magic == kMagicNano ? 1 : 1000;
    return;
  }
  state_ = State::NotCapture;
}

bool CaptureParser::read_file_header(ByteView window, Step& step) {
  if (window.size() < kFileHeaderBytes) {
    step.needed = kFileHeaderBytes;
    return false;
  }
  const std::uint8_t* p = window.data();
  const std::uint16_t major = u16(p + 4);
  const std::uint16_t minor = u16(p + 6);
  if (major == kVersionMajorDgUx ||
      (major == kVersionMajor && minor < kVersionMinorSwappedLengths)) {
    order_ = LengthOrder::WireFirst;
  } else if (major == kVersionMajor && minor == kVersionMinorSwappedLengths) {
    order_ = LengthOrder::Doubtful;
  }
  link_ = link_type_from_number(u32(p + 20) & kLinkTypeMask);
  header_read_ = true;
  step.consumed = kFileHeaderBytes;
  return true;
}

// A frame above the limit belongs to a link type without IP, or the length is damaged.
bool CaptureParser::frame_is_plausible(LinkType link, std::uint32_t captured) {
  if (link == LinkType::Unknown && captured <= kForeignFrameBytesMax) return true;
  damaged(fmt::format("a record claims {} captured bytes", captured));
  return false;
}

void CaptureParser::parse_pcap(ByteView window, std::span<Packet> out, Step& step) {
  if (!header_read_ && !read_file_header(window, step)) return;
  if (swapped_) {
    parse_records<ByteOrder::Swapped>(window, out, step);
  } else {
    parse_records<ByteOrder::Native>(window, out, step);
  }
}

// What does not change from record to record is in registers: the compiler must suppose that a
// packet which is filled may be the parser.
template <CaptureParser::ByteOrder kOrder>
void CaptureParser::parse_records(ByteView window, std::span<Packet> out, Step& step) {
  const auto load = [](const std::uint8_t* at) {
    const auto v = load_native<std::uint32_t>(at);
    return kOrder == ByteOrder::Swapped ? __builtin_bswap32(v) : v;
  };
  const std::uint8_t* p = window.data() + step.consumed;
  const std::uint8_t* const end = window.data() + window.size();
  Packet* next = out.data() + step.packets;
  Packet* const full = out.data() + out.size();
  const std::uint32_t header_bytes = record_header_bytes_;
  const std::int64_t fraction_ns = fraction_ns_;
  const LinkType link = link_;
  const LengthOrder order = order_;
  while (next != full) {
    const auto left = static_cast<std::size_t>(end - p);
    if (left < header_bytes) {
      step.needed = header_bytes;
      break;
    }
    Lengths lengths{.captured = load(p + 8), .wire = load(p + 12)};
    if (order != LengthOrder::CapturedFirst) [[unlikely]] {
      const bool swap = order == LengthOrder::WireFirst || lengths.captured > lengths.wire;
      if (swap) std::swap(lengths.captured, lengths.wire);
    }
    std::uint32_t beyond = 0;
    if (lengths.captured > kFrameBytesMax) [[unlikely]] {
      if (!frame_is_plausible(link, lengths.captured)) break;
      beyond = lengths.captured - kFrameBytesMax;
      lengths = {.captured = kFrameBytesMax, .wire = std::max(lengths.captured, lengths.wire)};
    }
    const std::size_t bytes = std::size_t{header_bytes} + lengths.captured;
    if (left < bytes) {
      step.needed = bytes;
      break;
    }
    const Timestamp stamp = from_nanoseconds(std::int64_t{load(p)} * kNanosecondsPerSecond +
                                             std::int64_t{load(p + 4)} * fraction_ns);
    fill(*next++, p + header_bytes, lengths, stamp, link);
    p += bytes;
    if (beyond != 0) [[unlikely]] {
      skip_ = beyond;
      break;
    }
  }
  step.packets = static_cast<std::uint32_t>(next - out.data());
  step.consumed = static_cast<std::size_t>(p - window.data());
}

void CaptureParser::parse_pcapng(ByteView window, std::span<Packet> out, Step& step) {
  while (step.packets < out.size() && skip_ == 0) {
    Block block;
    if (!next_block(window.subspan(step.consumed), step, block)) return;
    read_block(block, out, step);
    if (state_ == State::Damaged) return;
  }
}

// Finds the block's extent. False: bytes are missing, or its length is damaged, after which nothing
// can be found any more.
bool CaptureParser::next_block(ByteView rest, Step& step, Block& block) {
  if (rest.size() < kBlockHeadBytes) {
    step.needed = kBlockHeadBytes;
    return false;
  }
  const std::uint8_t* p = rest.data();
  if (load_native<std::uint32_t>(p) == kSectionHeader) [[unlikely]] {
    if (rest.size() < kSectionHeadBytes) {
      step.needed = kSectionHeadBytes;
      return false;
    }
    if (!begin_section(p)) return false;
  }
  block.type = u32(p);
  const std::uint32_t stated = u32(p + 4);
  const std::uint64_t bytes = round_up_to_block(stated);  // some writers forget the padding
  if (bytes < kBlockFrameBytes || bytes > kBlockBytesMax) {
    damaged(fmt::format("a block claims a length of {} bytes", stated));
    return false;
  }
  const std::size_t kept = std::min<std::uint64_t>(bytes, kBlockBytesKept);
  if (rest.size() < kept) {
    step.needed = kept;
    return false;
  }
  block.body = rest.subspan(kBlockHeadBytes, kept - kBlockFrameBytes);
  if (kept == bytes && u32(p + bytes - kBlockTrailerBytes) != stated) {
    damaged("the two lengths of a block differ");
    return false;
  }
  step.consumed += kept;
  skip_ = bytes - kept;
  return true;
}

bool CaptureParser::begin_section(const std::uint8_t* p) {
  const auto magic = load_native<std::uint32_t>(p + kBlockHeadBytes);
  if (magic != kByteOrderMagic && __builtin_bswap32(magic) != kByteOrderMagic) {
    damaged("a section has no byte order mark");
    return false;
  }
  swapped_ = magic != kByteOrderMagic;
  const std::uint16_t major = u16(p + kBlockHeadBytes + 4);
  if (major != kSectionVersionMajor) {
    damaged(fmt::format("a section has the unknown version {}", major));
    return false;
  }
  interfaces_.clear();
  return true;
}

void CaptureParser::read_block(const Block& block, std::span<Packet> out, Step& step) {
  switch (block.type) {
    case kEnhancedPacket:
    case kObsoletePacket:
      read_enhanced_packet(block, out[step.packets], step);
      break;
    case kSimplePacket:
      read_simple_packet(block, out[step.packets], step);
      break;
    case kInterfaceDescription:
      add_interface(block.body);
      break;
    default:
      break;  // statistics, names, secrets, custom blocks, and the section header itself
  }
}

void CaptureParser::add_interface(ByteView body) {
  if (body.size() < kInterfaceFixedBytes) {
    damaged("an interface description is too short");
    return;
  }
  if (interfaces_.size() == kInterfacesMax) {
    damaged(fmt::format("a section has more than {} interfaces", kInterfacesMax));
    return;
  }
  Interface interface {
    .link = link_type_from_number(u16(body.data())), .snaplen = u32(body.data() + 4), .scale = {}
  };
  read_interface_options(body.subspan(kInterfaceFixedBytes), interface);
  interfaces_.push_back(interface);
}

void CaptureParser::read_interface_options(ByteView options, Interface& interface) const {
  std::uint8_t resolution = 0;
  bool has_resolution = false;
  std::int64_t offset = 0;
  while (options.size() >= kOptionHeadBytes) {
    const std::uint16_t code = u16(options.data());
    const std::size_t length = u16(options.data() + 2);
    const ByteView value = options.subspan(kOptionHeadBytes);
    if (code == kOptionEnd || length > value.size()) break;
    if (code == kOptionResolution && length == sizeof resolution) {
      resolution = value[0];
      has_resolution = true;
    }
    if (code == kOptionOffset && length == sizeof offset) {
      const auto raw = load_native<std::uint64_t>(value.data());
      offset = static_cast<std::int64_t>(swapped_ ? __builtin_bswap64(raw) : raw);
    }
    options = value.subspan(std::min<std::size_t>(round_up_to_block(length), value.size()));
  }
  if (has_resolution) interface.scale = TickScale(resolution);
  interface.scale.set_offset(offset);
}

// Also the obsolete packet block, whose first word holds a 16-bit interface and a drop count.
void CaptureParser::read_enhanced_packet(const Block& block, Packet& packet, Step& step) {
  if (block.body.size() < kPacketFixedBytes) {
    damaged("a packet block is too short");
    return;
  }
  const std::uint8_t* p = block.body.data();
  const std::uint32_t index = block.type == kEnhancedPacket ? u32(p) : u16(p);
  if (index >= interfaces_.size()) {
    damaged(fmt::format("a packet names interface {}, which is not described", index));
    return;
  }
  const Interface& interface = interfaces_[index];
  Lengths lengths{.captured = u32(p + 12), .wire = u32(p + 16)};
  const std::uint64_t room = block.body.size() - kPacketFixedBytes + skip_;
  if (lengths.captured > room) {
    damaged(fmt::format("a packet claims {} bytes in a block for {}", lengths.captured, room));
    return;
  }
  if (lengths.captured > kFrameBytesMax) [[unlikely]] {
    if (!frame_is_plausible(interface.link, lengths.captured)) return;
    lengths = {.captured = kFrameBytesMax, .wire = std::max(lengths.captured, lengths.wire)};
  }
  last_stamp_ = interface.scale.stamp(std::uint64_t{u32(p + 4)} << 32 | u32(p + 8));
  fill(packet, p + kPacketFixedBytes, lengths, last_stamp_, interface.link);
  ++step.packets;
}

// A simple packet belongs to the first interface and has no stamp: it keeps the one before, so
// that the clock stands still and does not jump.
void CaptureParser::read_simple_packet(const Block& block, Packet& packet, Step& step) {
  if (block.body.size() < kSimpleFixedBytes || interfaces_.empty()) {
    damaged(interfaces_.empty() ? "a packet comes before any interface is described"
                                : "a packet block is too short");
    return;
  }
  const Interface& interface = interfaces_.front();
  const std::uint32_t wire = u32(block.body.data());
  const std::size_t room = block.body.size() - kSimpleFixedBytes;
  std::size_t captured = std::min<std::size_t>({wire, room, kFrameBytesMax});
  if (interface.snaplen != 0) captured = std::min<std::size_t>(captured, interface.snaplen);
  fill(packet, block.body.data() + kSimpleFixedBytes,
       {.captured = static_cast<std::uint32_t>(captured), .wire = wire}, last_stamp_,
       interface.link);
  ++step.packets;
}

}  // namespace flowloom
