// Appends pcapng blocks to a buffer (draft-ietf-opsawg-pcapng): little-endian, stamps in
// nanoseconds. Knows no connections.
#pragma once

#include "base/bytes.hpp"
#include "base/time.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flowloom {

class PcapngBuilder {
 public:
  /// Begins a section; interfaces count anew.
  void section(std::string_view comment);
  void interface(std::uint32_t link_type);
  struct PacketHead {
    std::uint32_t interface = 0;
    Timestamp stamp;
    std::uint32_t captured = 0;
    std::uint32_t wire_length = 0;
  };
  /// Between the two come exactly `captured` bytes by add().
  void begin_packet(const PacketHead& head);
  void add(ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void end_packet(const std::vector<std::string>& comments);
  struct Statistics {
    std::uint32_t interface = 0;
    Timestamp start;
    Timestamp end;
    std::uint64_t received = 0;
  };
  void statistics(const Statistics& statistics);

  [[nodiscard]] ByteView bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  void begin(std::uint32_t type);
  void end();
  template <class Integer>
  void put(Integer value) {
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&value);
    bytes_.insert(bytes_.end(), raw, raw + sizeof value);
  }
  void put_stamp(Timestamp stamp);
  void pad();
  void option(std::uint16_t code, std::string_view value);
  void end_options();

  std::vector<std::uint8_t> bytes_;
  std::size_t block_ = 0;  ///< where the block in work begins
};

}  // namespace flowloom
