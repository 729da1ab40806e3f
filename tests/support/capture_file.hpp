// Writes small capture files byte by byte, right and wrong ones, and removes them.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace flowloom::testing {

struct Record {
  std::int64_t microseconds = 0;
  std::vector<std::uint8_t> bytes;
};

/// A folder for the files of one test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("flowloom-test-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Bytes in the making; integers in the machine's order, or swapped.
class ByteWriter {
 public:
  explicit ByteWriter(bool swapped = false) : swapped_(swapped) {}
  ByteWriter& u16(std::uint16_t v) { return append(swapped_ ? __builtin_bswap16(v) : v); }
  ByteWriter& u32(std::uint32_t v) { return append(swapped_ ? __builtin_bswap32(v) : v); }
  ByteWriter& raw(const std::vector<std::uint8_t>& more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  template <class Integer>
  ByteWriter& append(Integer v) {
    for (std::size_t i = 0; i < sizeof v; ++i) {
      bytes_.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
    }
    return *this;
  }

  bool swapped_;
  std::vector<std::uint8_t> bytes_;
};

inline std::vector<std::uint8_t> pcap_bytes(const std::vector<Record>& records,
                                            std::uint32_t linktype = 1, bool swapped = false,
                                            std::uint32_t magic = 0xa1b2c3d4) {
  ByteWriter out(swapped);
  out.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(262144).u32(linktype);
  const std::int64_t unit = magic == 0xa1b23c4d ? 1000 : 1;
  for (const Record& record : records) {
    const auto size = static_cast<std::uint32_t>(record.bytes.size());
    out.u32(static_cast<std::uint32_t>(record.microseconds / 1'000'000))
        .u32(static_cast<std::uint32_t>(record.microseconds % 1'000'000 * unit))
        .u32(size)
        .u32(size)
        .raw(record.bytes);
  }
  return out.bytes();
}

inline std::vector<std::uint8_t> pcapng_bytes(const std::vector<Record>& records,
                                              std::uint16_t linktype = 1, bool swapped = false) {
  ByteWriter out(swapped);
  out.u32(0x0a0d0d0a).u32(28).u32(0x1a2b3c4d).u16(1).u16(0).u32(~0u).u32(~0u).u32(28);
  out.u32(1).u32(20).u16(linktype).u16(0).u32(262144).u32(20);
  for (const Record& record : records) {
    const auto size = static_cast<std::uint32_t>(record.bytes.size());
    const std::uint32_t padding = (4 - size % 4) % 4;
    const std::uint32_t length = 32 + size + padding;
    const auto stamp = static_cast<std::uint64_t>(record.microseconds);
    out.u32(6).u32(length).u32(0).u32(static_cast<std::uint32_t>(stamp >> 32));
    out.u32(static_cast<std::uint32_t>(stamp)).u32(size).u32(size).raw(record.bytes);
    out.raw(std::vector<std::uint8_t>(padding)).u32(length);
  }
  return out.bytes();
}

inline void write_bytes(const std::string& path, const std::vector<std::uint8_t>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

/// `size` bytes that differ with `seed` and position.
inline std::vector<std::uint8_t> pattern(std::size_t size, std::uint32_t seed) {
  std::vector<std::uint8_t> bytes(size);
  std::uint32_t state = seed * 2654435761u + 12345;
  for (auto& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

}  // namespace flowloom::testing
