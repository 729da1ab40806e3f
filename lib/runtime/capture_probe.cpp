#include "runtime/capture_probe.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>

#include "base/bytes.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kPcapMicro = 0xa1b2c3d4;
constexpr std::uint32_t kPcapNano = 0xa1b23c4d;
constexpr std::uint32_t kPcapModified = 0xa1b2cd34;
constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::uint32_t kInterfaceBlock = 1;
constexpr std::uint32_t kPacketBlock = 2;
constexpr std::uint32_t kSimplePacketBlock = 3;
constexpr std::uint32_t kEnhancedPacketBlock = 6;
constexpr std::size_t kPcapHeaderBytes = 24;
constexpr std::size_t kPcapLinktypeAt = 20;
constexpr std::uint32_t kLinktypeMask = 0x03ffffff;  // above it: the length of the FCS
constexpr std::size_t kRecordHeaderBytes = 16;
constexpr std::size_t kModifiedRecordHeaderBytes = 24;
constexpr std::size_t kBlockHeadBytes = 12;  // type, length, and the first word of the body
constexpr std::uint32_t kBlockMin = 12;
constexpr int kBlocksBeforeInterface = 1000;  // comments and the like; more is not a capture

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

enum class Format : std::uint8_t { Unknown, Pcap, PcapModified, PcapNg };

struct Opened {
  File file;
  Format format = Format::Unknown;
  bool swapped = false;
  std::array<std::uint8_t, kPcapHeaderBytes> header{};

  [[nodiscard]] std::uint32_t word(const std::uint8_t* at) const {
    const auto value = load_native<std::uint32_t>(at);
    return swapped ? __builtin_bswap32(value) : value;
  }
  [[nodiscard]] std::uint32_t half(const std::uint8_t* at) const {
    const auto value = load_native<std::uint16_t>(at);
    return swapped ? __builtin_bswap16(value) : value;
  }
};

Format pcap_format(std::uint32_t magic) {
  if (magic == kPcapMicro || magic == kPcapNano) return Format::Pcap;
  return magic == kPcapModified ? Format::PcapModified : Format::Unknown;
}

// Leaves the file behind a pcap header, or at the start of a pcapng file.
void recognise(Opened& opened, std::size_t header_bytes) {
  if (header_bytes < kPcapHeaderBytes) return;
  const auto magic = load_native<std::uint32_t>(opened.header.data());
  if (magic == kSectionHeader) {
    const auto order = load_native<std::uint32_t>(opened.header.data() + 8);
    opened.swapped = order == __builtin_bswap32(kByteOrderMagic);
    if (order == kByteOrderMagic || opened.swapped) opened.format = Format::PcapNg;
    std::rewind(opened.file.get());
    return;
  }
  opened.format = pcap_format(magic);
  if (opened.format == Format::Unknown) {
    opened.format = pcap_format(__builtin_bswap32(magic));
    opened.swapped = opened.format != Format::Unknown;
  }
}

bool skip(std::FILE* file, std::uint32_t bytes) {
  return std::fseek(file, static_cast<long>(bytes), SEEK_CUR) == 0;
}

struct Block {
  std::uint32_t type = 0;
  std::uint32_t length = 0;
  std::array<std::uint8_t, kBlockHeadBytes> head{};
};

// Reads a block's head and leaves the file behind it; false at the end or at nonsense.
bool read_block_head(Opened& opened, Block& block) {
  if (std::fread(block.head.data(), 1, kBlockHeadBytes, opened.file.get()) != kBlockHeadBytes) {
    return false;
  }
  block.type = opened.word(block.head.data());
  if (block.type == kSectionHeader) {
    const auto order = load_native<std::uint32_t>(block.head.data() + 8);
    opened.swapped = order == __builtin_bswap32(kByteOrderMagic);
  }
  block.length = opened.word(block.head.data() + 4);
  return block.length >= kBlockMin && block.length % 4 == 0;
}

std::string describe_unknown(const Opened& opened, std::size_t header_bytes) {
  if (header_bytes == 0) return "is empty";
  const std::uint8_t* h = opened.header.data();
  const bool gzip = h[0] == 0x1f && h[1] == 0x8b;
  const bool xz = h[0] == 0xfd && h[1] == '7';
  const bool zstd = h[0] == 0x28 && h[1] == 0xb5;
  const bool lz4 = h[0] == 0x04 && h[1] == 0x22;
  if (gzip || xz || zstd || lz4) {
    return "is compressed, which DPDK's net_pcap cannot read; use `flowloom read`";
  }
  return "is not a pcap or pcapng file";
}

void find_interface(Opened& opened, CaptureProbe& probe) {
  Block block;
  for (int i = 0; i < kBlocksBeforeInterface && read_block_head(opened, block); ++i) {
    if (block.type == kInterfaceBlock) {
      probe.linktype = opened.half(block.head.data() + 8);
      return;
    }
    if (!skip(opened.file.get(), block.length - static_cast<std::uint32_t>(kBlockHeadBytes))) break;
  }
  probe.problem = "is a pcapng file without an interface, hence without packets";
}

std::string error_text(int number) {
  return std::generic_category().message(number);
}

std::size_t open_capture(const std::string& path, Opened& opened) {
  opened.file.reset(std::fopen(path.c_str(), "rbe"));
  if (!opened.file) return 0;
  const std::size_t bytes =
      std::fread(opened.header.data(), 1, kPcapHeaderBytes, opened.file.get());
  recognise(opened, bytes);
  return bytes;
}

// The captured length within a packet block whose head was read; leaves the file within it.
std::uint32_t captured_in(Opened& opened, const Block& block) {
  if (block.type == kSimplePacketBlock) {
    // Cut by the interface's snap length as well; the block's length bounds it from above.
    return std::min(opened.word(block.head.data() + 8), block.length - kBlockMin);
  }
  std::array<std::uint8_t, 12> more{};  // high and low stamp, captured length
  const auto left = static_cast<std::size_t>(block.length) - kBlockHeadBytes;
  if (left < more.size() ||
      std::fread(more.data(), 1, more.size(), opened.file.get()) != more.size()) {
    return 0;
  }
  return opened.word(more.data() + 8);
}

CaptureExtent measure_pcapng(Opened& opened) {
  CaptureExtent extent;
  Block block;
  long at = 0;
  while (read_block_head(opened, block)) {
    const bool packet = block.type == kEnhancedPacketBlock || block.type == kPacketBlock ||
                        block.type == kSimplePacketBlock;
    if (packet) {
      ++extent.packets;
      extent.largest = std::max(extent.largest, captured_in(opened, block));
    }
    at += static_cast<long>(block.length);
    if (std::fseek(opened.file.get(), at, SEEK_SET) != 0) break;
  }
  return extent;
}

CaptureExtent measure_pcap(Opened& opened) {
  const std::size_t header =
      opened.format == Format::PcapModified ? kModifiedRecordHeaderBytes : kRecordHeaderBytes;
  CaptureExtent extent;
  std::array<std::uint8_t, kModifiedRecordHeaderBytes> record{};
  while (std::fread(record.data(), 1, header, opened.file.get()) == header) {
    const std::uint32_t captured = opened.word(record.data() + 8);
    ++extent.packets;
    extent.largest = std::max(extent.largest, captured);
    if (!skip(opened.file.get(), captured)) break;
  }
  return extent;
}

}  // namespace

CaptureProbe probe_capture(const std::string& path) {
  CaptureProbe probe;
  if (path == "-") return probe;
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    probe.problem = "cannot be opened: " + error_text(errno);
    return probe;
  }
  if (S_ISDIR(status.st_mode)) {
    probe.problem = "is a folder, not a capture file";
    return probe;
  }
  probe.regular = S_ISREG(status.st_mode);
  if (!probe.regular) return probe;
  Opened opened;
  const std::size_t bytes = open_capture(path, opened);
  if (!opened.file) {
    probe.problem = "cannot be opened: " + error_text(errno);
  } else if (opened.format == Format::Unknown) {
    probe.problem = describe_unknown(opened, bytes);
  } else if (opened.format == Format::PcapNg) {
    find_interface(opened, probe);
  } else {
    probe.linktype = opened.word(opened.header.data() + kPcapLinktypeAt) & kLinktypeMask;
  }
  return probe;
}

CaptureExtent measure_capture(const std::string& path) {
  Opened opened;
  open_capture(path, opened);
  if (!opened.file || opened.format == Format::Unknown) return {};
  return opened.format == Format::PcapNg ? measure_pcapng(opened) : measure_pcap(opened);
}

}  // namespace flowloom
