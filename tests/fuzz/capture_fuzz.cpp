// Any bytes as a capture file. However the file is cut into chunks, the packets, the end and the
// sentence about what is wrong are the same, clocks do not run back and frames stay bounded.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "io/capture_source.hpp"

namespace flowloom {
namespace {

/// More of one input is not looked at: a compressed file may hold any number of packets.
constexpr std::uint64_t kPacketsMax = 20'000;
/// receive() may say Idle only while the consumer holds packets, which it never does here.
constexpr int kIdleMax = 1000;

/// The input as a file that has a path and no place on a disk.
class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* data, std::size_t size)
      : descriptor_(memfd_create("capture", MFD_CLOEXEC)) {
    FLOWLOOM_CHECK(descriptor_ >= 0);
    FLOWLOOM_CHECK(write(descriptor_, data, size) == static_cast<ssize_t>(size));
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  [[nodiscard]] std::string path() const {
    return "/proc/self/fd/" + std::to_string(descriptor_);
  }

 private:
  int descriptor_;
};

/// All that a capture came to; equal for equal files.
struct Reading {
  std::uint64_t packets = 0;
  std::uint64_t digest = 0;
  std::vector<std::string> problems;
  friend bool operator==(const Reading&, const Reading&) = default;
};

void add(std::uint64_t& digest, std::uint64_t value) {
  constexpr std::uint64_t kPrime = 0x100000001b3; // of FNV-1a
  digest = (digest ^ value) * kPrime;
}

void note(const Packet& packet, Reading& reading) {
  FLOWLOOM_CHECK(packet.number == reading.packets + 1);
  FLOWLOOM_CHECK(packet.captured <= packet.wire_length);
  FLOWLOOM_CHECK(packet.captured <= CaptureParser::kFrameBytesMax);
  FLOWLOOM_CHECK((packet.captured < packet.wire_length) == packet.has(packet_flags::kSnapped));
  ++reading.packets;
  add(reading.digest, static_cast<std::uint64_t>(to_nanoseconds(packet.stamp)));
  add(reading.digest, static_cast<std::uint64_t>(to_nanoseconds(packet.clock)));
  add(reading.digest, packet.wire_length);
  add(reading.digest, static_cast<std::uint64_t>(packet.link));
  for (std::uint32_t i = 0; i < packet.captured; ++i) add(reading.digest, packet.frame[i]);
}

Reading read_all(const std::string& path, std::size_t chunk_bytes) {
  CaptureSettings settings;
  settings.chunk_bytes = chunk_bytes;
  CaptureSource source({path}, settings);
  Reading reading;
  Burst burst;
  Timestamp clock = kTimeMin;
  int idle = 0;
  while (reading.packets < kPacketsMax) {
    const SourceState state = source.receive(burst);
    if (state == SourceState::End) break;
    if (state == SourceState::Idle) {
      FLOWLOOM_CHECK(++idle < kIdleMax);
      continue;
    }
    idle = 0;
    FLOWLOOM_CHECK(burst.size > 0 && burst.size <= kBurstMax);
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      FLOWLOOM_CHECK(clock <= burst.packets[i].clock);
      clock = burst.packets[i].clock;
      note(burst.packets[i], reading);
    }
    source.release(burst);
  }
  for (const InputProblem& problem : source.problems()) reading.problems.push_back(problem.message);
  return reading;
}

}  // namespace
}  // namespace flowloom

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kSmallChunk = 1 << 12;
  constexpr std::size_t kUsualChunk = std::size_t{256} << 10;
  const flowloom::MemoryFile file(data, size);
  const flowloom::Reading reading = flowloom::read_all(file.path(), kUsualChunk);
  FLOWLOOM_CHECK(flowloom::read_all(file.path(), kSmallChunk) == reading);
  return 0;
}
