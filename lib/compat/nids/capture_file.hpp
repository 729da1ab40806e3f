// Records of a classic capture file that libpcap has opened, read ahead into memory of our own: no
// call and no copy per packet. Whatever is unusual is left to libpcap, from its first byte on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "compat/nids/arrival.hpp"

namespace flowloom::nids {

class CaptureFile {
 public:
  enum class State : std::uint8_t { Packet, End, Unusual };

  CaptureFile() = default;

  /// Whether the file behind `pcap` can be read here. What pcap has read of it does not matter.
  bool open(pcap_t* pcap);

  /// The next packet; its bytes stay where they are until refill(). End and Unusual also where
  /// what is in memory has been read: call refill() and try again, if it says so.
  State next(Arrival& arrival);

  /// Reads on. False where nothing more is to be had, so that the answer of next() stands.
  bool refill();

  /// Hands the rest to libpcap: its next read begins at the record that next() found unusual.
  void give_back(pcap_t* pcap) const;

 private:
  enum class Units : std::uint8_t { Micro, Nano };
  enum class Order : std::uint8_t { Native, Swapped };

  [[nodiscard]] std::uint32_t field(std::size_t offset) const;

  int descriptor_ = -1;
  Units units_ = Units::Micro;
  Order order_ = Order::Native;
  std::uint32_t packet_max_ = 0;
  std::vector<std::uint8_t> memory_;
  std::size_t begin_ = 0;  // of what is not read yet, in memory_
  std::size_t end_ = 0;
  std::int64_t file_offset_ = 0;  // of memory_[end_]
};

}  // namespace flowloom::nids
