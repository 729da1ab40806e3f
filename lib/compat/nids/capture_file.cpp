#include "compat/nids/capture_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "base/bytes.hpp"

namespace flowloom::nids {

namespace {

constexpr std::uint32_t kMagicMicro = 0xa1b2c3d4;
constexpr std::uint32_t kMagicNano = 0xa1b23c4d;
constexpr std::size_t kFileHeaderBytes = 24;
constexpr std::size_t kVersionOffset = 4;
constexpr std::uint32_t kVersion2Point4 = 2 | 4 << 16;  // major, minor, as two native halves
constexpr std::size_t kRecordBytes = 16;
constexpr std::size_t kFractionOffset = 4;
constexpr std::size_t kCapturedOffset = 8;
constexpr std::size_t kWireOffset = 12;

// Small enough to stay in the second cache; one packet of libpcap's largest size has room.
constexpr std::size_t kMemoryBytes = std::size_t{512} << 10;
constexpr std::uint32_t kPacketMax = 256 << 10;
// Programs may read half_stream.bufsize or a header's length beyond a packet's end.
constexpr std::size_t kSlackBytes = 256;

std::uint32_t swapped_halves(std::uint32_t version) {
  return (version & 0x00ff00ff) << 8 | (version >> 8 & 0x00ff00ff);
}

}  // namespace

bool CaptureFile::open(pcap_t* pcap) {
  std::FILE* const file = pcap_file(pcap);
  if (file == nullptr) return false;
  descriptor_ = fileno(file);
  std::array<std::uint8_t, kFileHeaderBytes> header;
  if (pread(descriptor_, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) {
    return false;
  }
  const auto magic = load_native<std::uint32_t>(header.data());
  const auto version = load_native<std::uint32_t>(header.data() + kVersionOffset);
  order_ = magic == kMagicMicro || magic == kMagicNano ? Order::Native : Order::Swapped;
  const std::uint32_t plain = order_ == Order::Native ? magic : __builtin_bswap32(magic);
  if (plain != kMagicMicro && plain != kMagicNano) return false;
  const std::uint32_t read_as = order_ == Order::Native ? version : swapped_halves(version);
  if (read_as != kVersion2Point4) return false;
  units_ = plain == kMagicNano ? Units::Nano : Units::Micro;
  packet_max_ = std::min(static_cast<std::uint32_t>(std::max(pcap_snapshot(pcap), 0)), kPacketMax);
  memory_.resize(kMemoryBytes + kSlackBytes);
  begin_ = end_ = 0;
  file_offset_ = kFileHeaderBytes;
  return true;
}

std::uint32_t CaptureFile::field(std::size_t offset) const {
  const auto value = load_native<std::uint32_t>(memory_.data() + begin_ + offset);
  return order_ == Order::Native ? value : __builtin_bswap32(value);
}

CaptureFile::State CaptureFile::next(Arrival& arrival) {
  const std::size_t there = end_ - begin_;
  if (there < kRecordBytes) return there == 0 ? State::End : State::Unusual;
  const std::uint32_t captured = field(kCapturedOffset);
  if (captured > packet_max_ || captured > there - kRecordBytes) return State::Unusual;
  const std::uint32_t fraction = field(kFractionOffset);
  constexpr std::uint32_t kNanoPerMicro = 1000;
  // As libpcap reads it: seconds are signed in files.
  arrival.header.ts.tv_sec = static_cast<std::int32_t>(field(0));
  arrival.header.ts.tv_usec = units_ == Units::Nano
                                  ? fraction / kNanoPerMicro
                                  : static_cast<std::int64_t>(static_cast<std::int32_t>(fraction));
  arrival.header.caplen = captured;
  arrival.header.len = field(kWireOffset);
  arrival.data = memory_.data() + begin_ + kRecordBytes;
  begin_ += kRecordBytes + captured;
  return State::Packet;
}

bool CaptureFile::refill() {
  std::memmove(memory_.data(), memory_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  bool more = false;
  while (end_ < kMemoryBytes) {
    const ssize_t got =
        pread(descriptor_, memory_.data() + end_, kMemoryBytes - end_, file_offset_);
    if (got <= 0) break;
    end_ += static_cast<std::size_t>(got);
    file_offset_ += got;
    more = true;
  }
  return more;
}

void CaptureFile::give_back(pcap_t* pcap) const {
  fseeko(pcap_file(pcap), file_offset_ - static_cast<std::int64_t>(end_ - begin_), SEEK_SET);
}

}  // namespace flowloom::nids
