// pcap and pcapng records out of a window of bytes: pure functions of what was read so far, with no
// idea of files, chunks or clocks. Every length comes from a hostile file and is bounded here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "io/pcapng_time.hpp"
#include "net/packet.hpp"

namespace flowloom {

/// Fills frame, stamp, captured, wire_length, link and flags of packets, in file order.
class CaptureParser {
 public:
  /// More of a frame is never handed over; a longer one is handed over cut, as if snapped. The
  /// same limit as libpcap's and Wireshark's for link types that carry IP.
  static constexpr std::uint32_t kFrameBytesMax = 256 << 10;

  enum class State : std::uint8_t {
    Unidentified,  ///< too few bytes so far
    NotCapture,    ///< neither pcap nor pcapng
    Pcap,
    Pcapng,
    Damaged  ///< damage() says where
  };

  struct Step {
    std::uint32_t packets = 0;  ///< filled in `out`
    std::size_t consumed = 0;   ///< bytes at the start of the window that are done with
    std::size_t needed = 0;     ///< bytes from there that the next record needs; 0: `out` is full
  };

  /// Parses the records that are complete in `window`. The packets' frames point into it.
  Step parse(ByteView window, std::span<Packet> out);

  [[nodiscard]] State state() const { return state_; }
  /// The input may end here without anything being missing (when all bytes were consumed).
  [[nodiscard]] bool between_records() const { return skip_ == 0; }
  [[nodiscard]] const std::string& damage() const { return damage_; }

 private:
  enum class ByteOrder : std::uint8_t { Native, Swapped };
  enum class LengthOrder : std::uint8_t { CapturedFirst, WireFirst, Doubtful };

  struct Interface {
    LinkType link;
    std::uint32_t snaplen;
    TickScale scale;
  };

  // A pcapng block as far as it must be contiguous; type and length already checked.
  struct Block {
    std::uint32_t type;
    ByteView body;
  };

  [[nodiscard]] std::uint16_t u16(const std::uint8_t* p) const {
    const auto v = load_native<std::uint16_t>(p);
    return swapped_ ? __builtin_bswap16(v) : v;
  }
  [[nodiscard]] std::uint32_t u32(const std::uint8_t* p) const {
    const auto v = load_native<std::uint32_t>(p);
    return swapped_ ? __builtin_bswap32(v) : v;
  }
  void identify(ByteView window, Step& step);
  bool read_file_header(ByteView window, Step& step);
  void parse_pcap(ByteView window, std::span<Packet> out, Step& step);
  template <ByteOrder kOrder>
  void parse_records(ByteView window, std::span<Packet> out, Step& step);
  [[nodiscard]] bool frame_is_plausible(LinkType link, std::uint32_t captured);

  void parse_pcapng(ByteView window, std::span<Packet> out, Step& step);
  bool next_block(ByteView rest, Step& step, Block& block);
  bool begin_section(const std::uint8_t* p);
  void read_block(const Block& block, std::span<Packet> out, Step& step);
  void add_interface(ByteView body);
  void read_interface_options(ByteView options, Interface& interface) const;
  void read_enhanced_packet(const Block& block, Packet& packet, Step& step);
  void read_simple_packet(const Block& block, Packet& packet, Step& step);
  void damaged(std::string what);

  State state_ = State::Unidentified;
  bool swapped_ = false;    // the file's byte order is not the machine's
  std::uint64_t skip_ = 0;  // bytes to pass over before the next record

  // pcap
  bool header_read_ = false;
  LengthOrder order_ = LengthOrder::CapturedFirst;
  LinkType link_ = LinkType::Unknown;
  std::uint32_t record_header_bytes_ = 0;
  std::uint32_t fraction_ns_ = 0;  // nanoseconds a unit of the stamp's second field

  // pcapng
  std::vector<Interface> interfaces_;
  Timestamp last_stamp_{};  // for simple packets, which have none

  std::string damage_;
};

}  // namespace flowloom
