// --write pcap: one pcapng per connection with all its packets as they were captured, also those
// without payload, those that repeat, and those with a wrong checksum. Packets say in comments
// what was found out about them; the last section's comment is the connection's record.
//
// A datagram that came in fragments is written once, put together, from its IP header on.
#pragma once

#include "sinks/connection_files.hpp"
#include "sinks/connection_map.hpp"
#include "sinks/flows_sink.hpp"
#include "sinks/pcapng_builder.hpp"

namespace flowloom {

inline constexpr std::string_view kPcapSuffix = ".pcapng";

class PcapSink final : public Sink {
 public:
  PcapSink(Descriptor folder, const ConnectionFiles::Settings& settings)
      : files_(std::move(folder), settings) {}

  [[nodiscard]] SinkNeeds needs() const override {
    return {.gap_lists = true, .packets = PacketsWanted::Frames};
  }
  void consume(StreamEvent& event) override;
  void finish() override { files_.finish(); }
  [[nodiscard]] WriterStatus status() const override { return files_.status(); }

 private:
  /// One file as far as it is written.
  struct Capture {
    ConnectionFiles::Handle file;
    std::vector<LinkType> interfaces;
    std::uint64_t packets = 0;
    std::array<std::vector<Gap>, 2> gaps;  ///< announced, and not yet told at a packet
  };

  void build(StreamEvent& event, Capture& capture);
  void begin(StreamEvent& event);
  void add_packet(StreamEvent& event, Capture& capture, const PacketEntry& entry,
                  std::array<std::size_t, 2>& gap);
  void end(StreamEvent& event, const Capture& capture);
  std::uint32_t interface_of(Capture& capture, LinkType link);
  void comment(const StreamEvent& event, const Capture& capture, const PacketEntry& entry,
               std::array<std::size_t, 2>& gap);

  ConnectionFiles files_;
  ConnectionMap<Capture> captures_;  ///< of connections that go on
  PcapngBuilder blocks_;
  std::vector<std::string> comments_;
  FlowFormatter formatter_;
};

}  // namespace flowloom
