// Captures made byte by byte, independent of the code that reads them, and a reader that takes
// everything a CaptureSource gives.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "io/capture_source.hpp"

namespace flowloom {

enum class ByteOrder : std::uint8_t { Little, Big };

using Bytes = std::vector<std::uint8_t>;

/// Writes integers in the order of the file.
class ByteWriter {
 public:
  explicit ByteWriter(ByteOrder order) : order_(order) {}

  void integer(std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t shift = 8 * (order_ == ByteOrder::Little ? i : width - 1 - i);
      bytes.push_back(static_cast<std::uint8_t>(value >> shift));
    }
  }
  void u16(std::uint64_t value) { integer(value, 2); }
  void u32(std::uint64_t value) { integer(value, 4); }
  void append(const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
  void pad() {
    while (bytes.size() % 4 != 0) bytes.push_back(0);
  }

  Bytes bytes;

 private:
  ByteOrder order_;
};

inline Bytes frame_of(std::size_t length, unsigned seed) {
  Bytes frame(length);
  for (std::size_t i = 0; i < length; ++i) frame[i] = static_cast<std::uint8_t>(seed * 7 + i);
  return frame;
}

/// A classic capture; `ends` are the offsets at which it may be cut without anything missing.
class PcapBuilder {
 public:
  struct Format {
    std::uint32_t magic = 0xa1b2c3d4;
    ByteOrder order = ByteOrder::Little;
    std::uint32_t linktype = 1;
    std::uint16_t minor = 4;
  };

  PcapBuilder() : PcapBuilder(Format{}) {}
  explicit PcapBuilder(Format format) : writer_(format.order), format_(format) {
    writer_.u32(format.magic);
    writer_.u16(2);
    writer_.u16(format.minor);
    writer_.u32(0);
    writer_.u32(0);
    writer_.u32(65535);
    writer_.u32(format.linktype);
    ends.push_back(writer_.bytes.size());
  }

  struct Record {
    std::uint32_t seconds = 0;
    std::uint32_t fraction = 0;
    Bytes frame;
    std::uint32_t wire = 0;  // 0: the frame's length
  };

  PcapBuilder& add(const Record& record) {
    const auto captured = static_cast<std::uint32_t>(record.frame.size());
    header(record, captured, record.wire == 0 ? captured : record.wire);
    writer_.append(record.frame);
    ends.push_back(writer_.bytes.size());
    return *this;
  }

  void header(const Record& record, std::uint32_t captured, std::uint32_t wire) {
    writer_.u32(record.seconds);
    writer_.u32(record.fraction);
    writer_.u32(captured);
    writer_.u32(wire);
    if (format_.magic == 0xa1b2cd34) writer_.append(Bytes(8, 0xee));
  }

  [[nodiscard]] const Bytes& bytes() const { return writer_.bytes; }

  std::vector<std::size_t> ends;

 private:
  ByteWriter writer_;
  Format format_;
};

class PcapngBuilder {
 public:
  static constexpr std::uint32_t kEnhanced = 6;
  static constexpr std::uint32_t kObsolete = 2;

  explicit PcapngBuilder(ByteOrder order = ByteOrder::Little) : order_(order) { section(order); }

  void section(ByteOrder order) {
    order_ = order;
    ByteWriter body(order);
    body.u32(0x1a2b3c4d);
    body.u16(1);
    body.u16(0);
    body.integer(~std::uint64_t{0}, 8);
    block(0x0a0d0d0a, body.bytes);
  }

  using Option = std::pair<std::uint16_t, Bytes>;

  void interface(std::uint16_t linktype, std::uint32_t snaplen = 0,
                 const std::vector<Option>& options = {}) {
    ByteWriter body(order_);
    body.u16(linktype);
    body.u16(0);
    body.u32(snaplen);
    for (const auto& [code, value] : options) {
      body.u16(code);
      body.u16(value.size());
      body.append(value);
      body.pad();
    }
    if (!options.empty()) body.u32(0);
    block(1, body.bytes);
  }

  void packet(std::uint32_t interface, std::uint64_t ticks, const Bytes& frame,
              std::uint32_t type = kEnhanced) {
    ByteWriter body(order_);
    if (type == kEnhanced) {
      body.u32(interface);
    } else {
      body.u16(interface);
      body.u16(0xffff);
    }
    body.u32(ticks >> 32);
    body.u32(ticks & 0xffffffff);
    body.u32(frame.size());
    body.u32(frame.size());
    body.append(frame);
    body.pad();
    block(type, body.bytes);
    ++packets;
  }

  void simple_packet(std::uint32_t wire, const Bytes& captured) {
    ByteWriter body(order_);
    body.u32(wire);
    body.append(captured);
    body.pad();
    block(3, body.bytes);
    ++packets;
  }

  void block(std::uint32_t type, const Bytes& body) {
    ByteWriter writer(order_);
    writer.u32(type);
    writer.u32(body.size() + 12);
    writer.append(body);
    writer.u32(body.size() + 12);
    bytes.insert(bytes.end(), writer.bytes.begin(), writer.bytes.end());
    ends.push_back(bytes.size());
  }

  [[nodiscard]] ByteOrder order() const { return order_; }

  Bytes bytes;
  std::vector<std::size_t> ends;
  std::size_t packets = 0;

 private:
  ByteOrder order_;
};

/// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "flowloom_io_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string write(const std::string& name, const Bytes& bytes) const {
    const std::string path = (path_ / name).string();
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

struct SeenPacket {
  std::int64_t stamp;
  std::int64_t clock;
  std::uint64_t number;
  std::uint32_t wire;
  LinkType link;
  std::uint8_t input;
  std::uint8_t flags;
  Bytes frame;
  bool operator==(const SeenPacket&) const = default;
};

struct Seen {
  std::vector<SeenPacket> packets;
  std::vector<InputProblem> problems;
  SourceStats stats;
  CaptureProgress progress{};
};

/// Everything, released burst by burst.
inline Seen read_all(std::vector<std::string> paths, CaptureSettings settings = {},
                     std::uint32_t limit = kBurstMax) {
  CaptureSource source(std::move(paths), settings);
  Seen seen;
  Burst burst;
  burst.limit = limit;
  for (;;) {
    const SourceState state = source.receive(burst);
    if (state == SourceState::End) break;
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      const Packet& p = burst.packets[i];
      seen.packets.push_back({to_nanoseconds(p.stamp), to_nanoseconds(p.clock), p.number,
                              p.wire_length, p.link, p.input, p.flags,
                              Bytes(p.frame, p.frame + p.captured)});
    }
    source.release(burst);
  }
  seen.problems = source.problems();
  seen.stats = source.stats();
  seen.progress = source.progress();
  return seen;
}

}  // namespace flowloom
