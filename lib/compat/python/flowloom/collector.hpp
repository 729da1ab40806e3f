// All connections of an input in memory, step by step on the caller's thread: what stands behind
// TCPStreamExtractor. Knows no Python.
#pragma once

#include <flowloom/extractor.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compat/python/flowloom/background.hpp"
#include "compat/python/flowloom/stream_batch.hpp"

namespace flowloom::python {

/// A packet of a connection, kept for the writers.
struct HeldPacket {
  std::int64_t stamp_ns;
  std::size_t at;          ///< of its frame in CollectedStream::frames
  std::uint32_t captured;
  std::uint32_t wire_length;
  std::uint32_t link_type;
  std::uint32_t payload;   ///< its TCP payload
  Side from;
};

/// What one side sent.
struct SideData {
  std::vector<std::uint8_t> bytes;
  std::vector<GapInStream> gaps;
};

struct CollectedStream {
  StreamInfo info;                    ///< when it opened, as last asked for, or final
  bool closed = false;
  std::array<SideData, 2> sides;
  std::array<std::uint64_t, 2> dropped{};  ///< bytes that were taken away before
  std::vector<HeldPacket> packets;
  std::vector<std::uint8_t> frames;
  std::int64_t last_ns = 0;           ///< stamp of its last packet
  std::uint64_t packet_count = 0;

  [[nodiscard]] std::size_t held_bytes() const {
    return sides[0].bytes.size() + sides[1].bytes.size() + frames.size() +
           packets.size() * sizeof(HeldPacket);
  }
};

/// The packet that a step took in.
struct SteppedPacket {
  std::int64_t stamp_ns = 0;
  std::uint32_t wire_length = 0;
  std::uint32_t link_type = 0;
  std::uint64_t stream = 0;           ///< 0: belongs to none
  std::vector<std::uint8_t> frame;
};

/// What is kept beside the bytes of streams.
enum class Keep : std::uint8_t {
  Bytes,      ///< no single packets: take_all() only, and faster
  Steps,      ///< packet by packet
  AllPackets  ///< and each packet is held with its stream
};

class Collector {
 public:
  Collector(const ExtractorOptions& options, Keep keep);

  void open(const std::vector<std::string>& captures) { extractor_.open(captures); }
  void open_live(const std::string& interface) {
    extractor_.open_live(interface);
    live_ = true;
  }

  enum class Step : std::uint8_t { Packet, Nothing, End };
  /// Takes one packet in; never waits. Preconditions: Keep is not Bytes.
  Step step(SteppedPacket& packet);
  /// Takes up to `events` in, or until more than `bytes` are held. Returns false at the end.
  bool advance(std::size_t events, std::size_t bytes);
  void feed(const CapturedFrame& frame);
  void finish();
  void interrupt() { extractor_.interrupt(); }

  /// By their ids, in the order in which they opened.
  [[nodiscard]] const std::map<std::uint64_t, CollectedStream>& streams() const {
    return streams_;
  }
  CollectedStream& at(std::uint64_t id) { return streams_.at(id); }
  /// Forgets a stream; what still comes of it is dropped.
  void remove(std::uint64_t id);
  /// Forgets the bytes and packets that are held of a stream, which goes on.
  void drop_content(std::uint64_t id);
  [[nodiscard]] std::size_t held_bytes() const { return held_; }
  [[nodiscard]] std::int64_t last_ns() const { return last_ns_; }
  [[nodiscard]] std::uint64_t packets() const { return packets_; }
  [[nodiscard]] bool live() const { return live_; }
  [[nodiscard]] const Extractor& extractor() const { return extractor_; }
  [[nodiscard]] const HomeProcess& home() const { return home_; }

 private:
  void take_in(const ExtractorEvent& event);
  void hold_packet(CollectedStream& stream, const ExtractorEvent& event);
  CollectedStream* find(const ExtractorEvent& event);

  const Keep keep_;
  HomeProcess home_;
  Extractor extractor_;
  std::map<std::uint64_t, CollectedStream> streams_;
  std::size_t held_ = 0;
  std::int64_t last_ns_ = 0;
  std::uint64_t packets_ = 0;
  bool live_ = false;
};

}  // namespace flowloom::python
