#include "perf/gen/pcap_file.hpp"

#include <fmt/core.h>

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

PcapFile::PcapFile(const std::string& path) : file_(path) {
  const PcapHeader header;
  file_.write(&header, sizeof header);
  bytes_ = sizeof header;
}

void PcapFile::write(std::int64_t stamp_ns, std::span<const std::uint8_t> frame) {
  const auto length = static_cast<std::uint32_t>(frame.size());
  const PcapRecord record{
      .seconds = static_cast<std::uint32_t>(stamp_ns / kNanosecondsPerSecond),
      .microseconds = static_cast<std::uint32_t>(stamp_ns % kNanosecondsPerSecond / 1000),
      .captured = length,
      .wire_length = length};
  file_.write(&record, sizeof record);
  file_.write(frame.data(), frame.size());
  ++packets_;
  bytes_ += sizeof record + frame.size();
}

}  // namespace flowloom::gen
