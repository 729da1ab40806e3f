// See pcapng_builder.hpp.
#include "sinks/pcapng_builder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace flowloom {
namespace {

static_assert(std::endian::native == std::endian::little, "blocks are written as they lie");

constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kInterfaceStatistics = 5;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrder = 0x1a2b3c4d;
constexpr std::uint64_t kLengthUnknown = ~std::uint64_t{0};
constexpr std::uint16_t kEndOfOptions = 0;
constexpr std::uint16_t kComment = 1;
constexpr std::uint16_t kUserApplication = 4;  // of a section
constexpr std::uint16_t kStampResolution = 9;  // of an interface
constexpr char kNanoseconds = 9;               // 10^-9
constexpr std::uint16_t kStartTime = 2;        // of statistics
constexpr std::uint16_t kEndTime = 3;
constexpr std::uint16_t kReceived = 4;
constexpr std::size_t kOptionBytesMax = 0xfff0;
constexpr std::size_t kAlignment = 4;

/// Stamps are unsigned here; what comes before 1970 is 1970.
std::uint64_t unsigned_stamp(Timestamp stamp) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(to_nanoseconds(stamp), 0));
}

std::string_view as_text(const auto& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace

void PcapngBuilder::begin(std::uint32_t type) {
  block_ = bytes_.size();
  put(type);
  put(std::uint32_t{0});  // the length: end() knows it
}

void PcapngBuilder::end() {
  const auto length = static_cast<std::uint32_t>(bytes_.size() - block_ + sizeof(std::uint32_t));
  std::memcpy(bytes_.data() + block_ + sizeof(std::uint32_t), &length, sizeof length);
  put(length);
}

void PcapngBuilder::pad() {
  while ((bytes_.size() - block_) % kAlignment != 0) bytes_.push_back(0);
}

void PcapngBuilder::put_stamp(Timestamp stamp) {
  const std::uint64_t value = unsigned_stamp(stamp);
  put(static_cast<std::uint32_t>(value >> 32));
  put(static_cast<std::uint32_t>(value));
}

void PcapngBuilder::option(std::uint16_t code, std::string_view value) {
  value = value.substr(0, kOptionBytesMax);
  put(code);
  put(static_cast<std::uint16_t>(value.size()));
  bytes_.insert(bytes_.end(), value.begin(), value.end());
  pad();
}

void PcapngBuilder::end_options() {
  put(kEndOfOptions);
  put(std::uint16_t{0});
}

void PcapngBuilder::section(std::string_view comment) {
  begin(kSectionHeader);
  put(kByteOrder);
  put(std::uint16_t{1});  // version 1.0
  put(std::uint16_t{0});
  put(kLengthUnknown);
  option(kComment, comment);
  option(kUserApplication, "flowloom");
  end_options();
  end();
}

void PcapngBuilder::interface(std::uint32_t link_type) {
  begin(kInterfaceDescription);
  put(static_cast<std::uint16_t>(link_type));
  put(std::uint16_t{0});
  put(std::uint32_t{0});  // no limit of the captured length
  option(kStampResolution, {&kNanoseconds, 1});
  end_options();
  end();
}

void PcapngBuilder::begin_packet(const PacketHead& head) {
  begin(kEnhancedPacket);
  put(head.interface);
  put_stamp(head.stamp);
  put(head.captured);
  put(std::max(head.wire_length, head.captured));
}

void PcapngBuilder::end_packet(const std::vector<std::string>& comments) {
  pad();
  for (const std::string& comment : comments) option(kComment, comment);
  if (!comments.empty()) end_options();
  end();
}

void PcapngBuilder::statistics(const Statistics& s) {
  begin(kInterfaceStatistics);
  put(s.interface);
  put_stamp(s.end);
  for (const auto& [code, stamp] : {std::pair{kStartTime, s.start}, std::pair{kEndTime, s.end}}) {
    const std::uint64_t value = std::rotl(unsigned_stamp(stamp), 32);  // high word first
    option(code, as_text(value));
  }
  option(kReceived, as_text(s.received));
  end_options();
  end();
}

}  // namespace flowloom
