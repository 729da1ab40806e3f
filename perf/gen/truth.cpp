#include "perf/gen/truth.hpp"

#include "perf/gen/content.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <iterator>

namespace flowloom::gen {

namespace {

/// CRC-32 (zlib's) of the stream's bytes in these ranges, one after the other.
std::uint32_t crc_of(std::uint64_t key, const std::vector<Coverage::Range>& ranges) {
  std::array<std::uint8_t, 16'384> chunk;
  uLong crc = 0;
  for (auto [at, end] : ranges) {
    while (at < end) {
      const std::size_t bytes = std::min<std::uint64_t>(chunk.size(), end - at);
      write_content(key, at, chunk.data(), bytes);
      crc = crc32(crc, chunk.data(), static_cast<uInt>(bytes));
      at += bytes;
    }
  }
  return static_cast<std::uint32_t>(crc);
}

/// The complement of the gaps in [0, end).
std::vector<Coverage::Range> present(const std::vector<Coverage::Range>& gaps, std::uint64_t end) {
  std::vector<Coverage::Range> ranges;
  std::uint64_t at = 0;
  for (const auto& [begin, past] : gaps) {
    if (begin > at) ranges.emplace_back(at, begin);
    at = past;
  }
  if (end > at) ranges.emplace_back(at, end);
  return ranges;
}

}  // namespace

std::uint64_t Coverage::add(std::uint64_t begin, std::uint64_t end) {
  // Almost always at the end; the search is for the few that are not.
  auto first = ranges_.end();
  while (first != ranges_.begin() && std::prev(first)->second >= begin) --first;
  std::uint64_t known = 0;
  Range merged{begin, end};
  auto last = first;
  for (; last != ranges_.end() && last->first <= end; ++last) {
    const std::uint64_t from = std::max(begin, last->first);
    const std::uint64_t to = std::min(end, last->second);
    known += to > from ? to - from : 0;
    merged.first = std::min(merged.first, last->first);
    merged.second = std::max(merged.second, last->second);
  }
  if (first == last) {
    ranges_.insert(first, merged);
  } else {
    *first = merged;
    ranges_.erase(std::next(first), last);
  }
  return known;
}

std::uint64_t Coverage::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [begin, end] : ranges_) sum += end - begin;
  return sum;
}

std::vector<Coverage::Range> Coverage::gaps(std::uint64_t end) const {
  std::vector<Range> gaps;
  std::uint64_t at = 0;
  for (const auto& [begin, past] : ranges_) {
    if (begin > at) gaps.emplace_back(at, begin);
    at = past;
  }
  if (end > at) gaps.emplace_back(at, end);
  return gaps;
}

void TruthWriter::direction(const Identity& identity, Side side, std::uint64_t sent,
                            const Coverage& coverage) {
  const auto gaps = coverage.gaps(sent);
  const std::uint64_t captured = coverage.bytes();
  const std::uint64_t key = identity.content[index_of(side)];
  const std::uint32_t whole = crc_of(key, {{0, sent}});
  const std::uint32_t seen = gaps.empty() ? whole : crc_of(key, present(gaps, sent));
  fmt::memory_buffer line;
  const auto out = std::back_inserter(line);
  fmt::format_to(out, R"({{"client":"{}","server":"{}","direction":"{}",)",
                 to_string(identity.family, identity.ends[0]),
                 to_string(identity.family, identity.ends[1]),
                 side == Side::Client ? "cts" : "stc");
  fmt::format_to(out, R"("full_bytes":{},"captured_bytes":{},"gaps":[)", sent, captured);
  const char* separator = "";
  for (const auto& [begin, end] : gaps) {
    fmt::format_to(out, "{}[{},{}]", separator, begin, end - begin);
    separator = ",";
  }
  fmt::format_to(out, "],\"crc32_full\":\"{:08x}\",\"crc32_captured\":\"{:08x}\"}}\n", whole, seen);
  file_.write(line.data(), line.size());
  ++totals_.directions;
  if (!gaps.empty()) ++totals_.gap_directions;
  totals_.full_bytes += sent;
  totals_.captured_bytes += captured;
}

void TruthWriter::connection(const Identity& identity, const std::array<std::uint64_t, 2>& sent,
                             const std::array<Coverage, 2>& coverage) {
  for (const Side side : {Side::Client, Side::Server}) {
    const std::size_t i = index_of(side);
    if (sent[i] > 0) direction(identity, side, sent[i], coverage[i]);
  }
}

void TruthWriter::close(const std::string& kind, const PcapFile& pcap) {
  file_.close();
  const Totals& t = totals_;
  const std::pair<const char*, std::uint64_t> rows[] = {
      {"packets", pcap.packets()},
      {"file_bytes", pcap.bytes()},
      {"connections", t.connections},
      {"directions", t.directions},
      {"gap_directions", t.gap_directions},
      {"full_bytes", t.full_bytes},
      {"captured_bytes", t.captured_bytes},
      {"payload_bytes", t.payload_bytes},
      {"duplicate_bytes", t.duplicate_bytes},
      {"data_packets", t.data_packets},
      {"lost_packets", t.lost_packets},
      {"fragmented_packets", t.fragmented_packets},
      {"fragments", t.fragments}};
  std::string text = fmt::format(R"({{"kind":"{}")", kind);
  for (const auto& [name, value] : rows) text += fmt::format(R"(,"{}":{})", name, value);
  const std::pair<const char*, std::uint64_t> mishaps[] = {
      {"reordered_packets", t.reordered_packets},
      {"retransmitted_packets", t.retransmitted_packets},
      {"overlapping_packets", t.overlapping_packets},
      {"flood_packets", t.flood_packets},
      {"flood_bytes", t.flood_bytes}};
  for (const auto& [name, value] : mishaps) {
    if (value > 0) text += fmt::format(R"(,"{}":{})", name, value);
  }
  OutputFile totals(capture_ + ".truth.json");
  totals.write(text + "}\n");
  totals.close();
}

}  // namespace flowloom::gen
