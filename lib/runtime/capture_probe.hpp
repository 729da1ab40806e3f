// What must be known of a capture file before DPDK's net_pcap is given its name: that it can be
// read at all, its link type (which net_pcap does not tell), and for an endless replay how many
// packets its pool must hold. Not a reader: packets are never looked into.
#pragma once

#include <cstdint>
#include <string>

namespace flowloom {

struct CaptureProbe {
  std::string problem;         ///< one sentence without the file's name; empty: readable
  std::uint32_t linktype = 1;  ///< LINKTYPE_ number of the first interface
  bool regular = false;        ///< a pipe is not looked into
};

/// Reads the file's headers. `-` and pipes are taken as they are, as Ethernet.
CaptureProbe probe_capture(const std::string& path);

struct CaptureExtent {
  std::uint64_t packets = 0;
  std::uint32_t largest = 0;  ///< captured bytes of the largest packet
};

/// Walks all records. Preconditions: probe_capture() found no problem.
CaptureExtent measure_capture(const std::string& path);

}  // namespace flowloom
