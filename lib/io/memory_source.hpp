// Frames from memory as a source of packets, for tests and benchmarks. Not for large traffic: all
// frames are held at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/packet_source.hpp"
#include "net/packet_clock_rule.hpp"

namespace flowloom {

struct MemoryFrame {
  Timestamp stamp;
  std::vector<std::uint8_t> bytes;
  std::uint32_t wire_length = 0;  ///< 0: as long as `bytes`
  LinkType link = LinkType::Ethernet;
};

class MemorySource final : public PacketSource {
 public:
  /// Copies the frames into one piece of memory, one behind the other.
  explicit MemorySource(const std::vector<MemoryFrame>& frames);

  SourceState receive(Burst& burst) override;
  void release(Burst& burst) override;
  [[nodiscard]] SourceStats stats() const override;

  /// The last packet that was released.
  [[nodiscard]] std::uint64_t released() const { return released_; }

 private:
  struct Frame {
    Timestamp stamp;
    std::size_t offset;
    std::uint32_t captured;
    std::uint32_t wire_length;
    LinkType link;
  };

  std::vector<std::uint8_t> bytes_;
  std::vector<Frame> frames_;
  PacketClockRule rule_;
  std::size_t next_ = 0;
  std::uint64_t released_ = 0;
};

}  // namespace flowloom
