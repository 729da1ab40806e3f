// Ground truth: what a perfect reassembler finds in a made capture, known from the making and
// from nothing that flowloom computes.
#pragma once

#include "perf/gen/pcap_file.hpp"
#include "perf/gen/segment.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace flowloom::gen {

/// Half-open ranges of one direction that stand in the capture, sorted and merged.
class Coverage {
 public:
  using Range = std::pair<std::uint64_t, std::uint64_t>;

  /// Adds [begin, end); returns how many of its bytes were already there.
  std::uint64_t add(std::uint64_t begin, std::uint64_t end);
  [[nodiscard]] std::uint64_t bytes() const;
  /// How far it reaches from 0 without a hole.
  [[nodiscard]] std::uint64_t prefix() const {
    return ranges_.empty() || ranges_.front().first > 0 ? 0 : ranges_.front().second;
  }
  [[nodiscard]] const std::vector<Range>& ranges() const { return ranges_; }
  /// What is missing of [0, end).
  [[nodiscard]] std::vector<Range> gaps(std::uint64_t end) const;

 private:
  std::vector<Range> ranges_;
};

/// Sums over the capture, written as one JSON object.
struct Totals {
  std::uint64_t connections = 0;
  std::uint64_t payload_bytes = 0;    ///< TCP payload in the capture, repetitions included
  std::uint64_t duplicate_bytes = 0;  ///< of these, repetitions
  std::uint64_t captured_bytes = 0;   ///< distinct stream bytes in the capture
  std::uint64_t full_bytes = 0;       ///< stream bytes that were sent
  std::uint64_t directions = 0;       ///< with at least one byte sent
  std::uint64_t gap_directions = 0;
  std::uint64_t data_packets = 0;
  std::uint64_t lost_packets = 0;
  std::uint64_t reordered_packets = 0;
  std::uint64_t retransmitted_packets = 0;
  std::uint64_t overlapping_packets = 0;
  std::uint64_t fragmented_packets = 0;
  std::uint64_t fragments = 0;
  std::uint64_t flood_packets = 0;  ///< each a connection of its own, without lines
  std::uint64_t flood_bytes = 0;    ///< among the payload, and nowhere else
};

class TruthWriter {
 public:
  explicit TruthWriter(const std::string& capture)
      : capture_(capture), file_(capture + ".truth.jsonl") {}

  /// Writes one line per direction in which bytes were sent.
  void connection(const Identity& identity, const std::array<std::uint64_t, 2>& sent,
                  const std::array<Coverage, 2>& coverage);
  /// One line that is made elsewhere.
  void line(const std::string& text) { file_.write(text); }
  Totals& totals() { return totals_; }
  /// Writes the totals beside the lines. `kind` and `pcap` are described in them.
  void close(const std::string& kind, const PcapFile& pcap);

 private:
  void direction(const Identity& identity, Side side, std::uint64_t sent, const Coverage& coverage);

  std::string capture_;
  OutputFile file_;
  Totals totals_;
};

}  // namespace flowloom::gen
