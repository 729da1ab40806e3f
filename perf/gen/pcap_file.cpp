#include "perf/gen/pcap_file.hpp"

#include <fmt/core.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace flowloom::gen {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

struct PcapHeader {
  std::uint32_t magic = 0xa1b2c3d4;
  std::uint16_t major = 2;
  std::uint16_t minor = 4;
  std::uint32_t zone = 0;
  std::uint32_t accuracy = 0;
  std::uint32_t snap_length = 262'144;
  std::uint32_t link_type = 1;
};

struct PcapRecord {
  std::uint32_t seconds;
  std::uint32_t microseconds;
  std::uint32_t captured;
  std::uint32_t wire_length;
};

/// Section header, in the byte order of this machine.
struct SectionBlock {
  std::uint32_t type = 0x0a0d0d0a;
  std::uint32_t total = 28;
  std::uint32_t byte_order = 0x1a2b3c4d;
  std::uint16_t major = 1;
  std::uint16_t minor = 0;
  std::uint32_t length_low = 0xffff'ffff;  // not known
  std::uint32_t length_high = 0xffff'ffff;
  std::uint32_t total_again = 28;
};

/// Interface description; without an option stamps are in microseconds.
struct InterfaceBlock {
  std::uint32_t type = 1;
  std::uint32_t total = 20;
  std::uint16_t link_type = 1;
  std::uint16_t reserved = 0;
  std::uint32_t snap_length = 262'144;
  std::uint32_t total_again = 20;
};

/// Enhanced packet; the frame, padding and the total follow.
struct PacketBlock {
  std::uint32_t type = 6;
  std::uint32_t total;
  std::uint32_t interface = 0;
  std::uint32_t stamp_high;
  std::uint32_t stamp_low;
  std::uint32_t captured;
  std::uint32_t wire_length;
};

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path), buffer_(kBufferBytes) {
  file_.reset(std::fopen(path.c_str(), "wb"));
  if (file_ == nullptr) fail();
  std::setvbuf(file_.get(), buffer_.data(), _IOFBF, buffer_.size());
}

void OutputFile::fail() const {
  throw std::runtime_error(fmt::format("{}: {}", path_, std::strerror(errno)));
}

void OutputFile::write(const void* data, std::size_t bytes) {
  if (fwrite_unlocked(data, 1, bytes, file_.get()) != bytes) fail();
}

void OutputFile::close() {
  if (std::fflush(file_.get()) != 0) fail();
  if (std::fclose(file_.release()) != 0) fail();
}

PcapFile::PcapFile(const std::string& path)
    : file_(path), format_(path.ends_with(".pcapng") ? Format::Pcapng : Format::Pcap) {
  if (format_ == Format::Pcap) {
    const PcapHeader header;
    put(&header, sizeof header);
    return;
  }
  const SectionBlock section;
  const InterfaceBlock interface;
  put(&section, sizeof section);
  put(&interface, sizeof interface);
}

void PcapFile::put(const void* data, std::size_t bytes) {
  file_.write(data, bytes);
  bytes_ += bytes;
}

void PcapFile::write_pcapng(std::int64_t stamp_ns, std::span<const std::uint8_t> frame) {
  constexpr std::array<std::uint8_t, 3> kPadding{};
  const auto length = static_cast<std::uint32_t>(frame.size());
  const std::uint32_t padding = (4 - length % 4) % 4;
  const auto micros = static_cast<std::uint64_t>(stamp_ns / 1000);
  const auto total =
      static_cast<std::uint32_t>(sizeof(PacketBlock) + sizeof(std::uint32_t)) + length + padding;
  const PacketBlock block{.total = total,
                          .stamp_high = static_cast<std::uint32_t>(micros >> 32),
                          .stamp_low = static_cast<std::uint32_t>(micros),
                          .captured = length,
                          .wire_length = length};
  put(&block, sizeof block);
  put(frame.data(), frame.size());
  put(kPadding.data(), padding);
  put(&total, sizeof total);
}

void PcapFile::write(std::int64_t stamp_ns, std::span<const std::uint8_t> frame) {
  ++packets_;
  if (format_ == Format::Pcapng) return write_pcapng(stamp_ns, frame);
  const auto length = static_cast<std::uint32_t>(frame.size());
  const PcapRecord record{
      .seconds = static_cast<std::uint32_t>(stamp_ns / kNanosecondsPerSecond),
      .microseconds = static_cast<std::uint32_t>(stamp_ns % kNanosecondsPerSecond / 1000),
      .captured = length,
      .wire_length = length};
  put(&record, sizeof record);
  put(frame.data(), frame.size());
}

}  // namespace flowloom::gen
