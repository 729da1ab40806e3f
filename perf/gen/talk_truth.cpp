#include "perf/gen/talk_truth.hpp"

#include "perf/gen/content.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flowloom::gen {

namespace {

/// In positions of the stream as the observer counts them.
struct Gap {
  std::uint64_t offset;
  std::uint64_t length;
  std::string_view cause;  ///< empty where part of it was acknowledged and part not
};

struct Report {
  std::uint64_t length = 0;  ///< bytes and gaps
  std::uint64_t bytes = 0;
  std::vector<Gap> gaps;
  /// Whether the gaps are known. They are not where a FIN that nobody saw may be one of them, and
  /// where a stream without a beginning was acknowledged but none of its bytes were seen.
  bool certain = true;
};

/// Digest and checksum of what was seen.
class Digests {
 public:
  Digests() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }

  void add(std::uint64_t key, std::uint64_t at, std::uint64_t end) {
    std::array<std::uint8_t, 16'384> chunk;
    while (at < end) {
      const std::size_t bytes = std::min<std::uint64_t>(chunk.size(), end - at);
      write_content(key, at, chunk.data(), bytes);
      EVP_DigestUpdate(context_.get(), chunk.data(), bytes);
      crc_ = crc32(crc_, chunk.data(), static_cast<uInt>(bytes));
      at += bytes;
    }
  }
  std::string sha256() {
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest;
    unsigned bytes = 0;
    EVP_DigestFinal_ex(context_.get(), digest.data(), &bytes);
    std::string text;
    for (unsigned i = 0; i < bytes; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }
  [[nodiscard]] std::uint32_t crc() const { return static_cast<std::uint32_t>(crc_); }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  uLong crc_ = 0;
};

std::string_view cause_of(const DirectionTruth& d, std::uint64_t begin, std::uint64_t end) {
  if (!d.heard || !d.first_acked) return "unknown";
  if (end <= d.acked) return "capture-loss";
  return begin >= d.acked ? "network-loss" : "";
}

Report report_of(const DirectionTruth& d) {
  Report report;
  if (!d.origin) {
    if (!d.first_acked || d.acked == *d.first_acked) return report;
    report.length = d.acked - *d.first_acked;
    report.gaps.push_back({0, report.length, "unknown"});
    report.certain = !d.heard;
    return report;
  }
  const std::uint64_t origin = *d.origin;
  std::uint64_t end = d.seen.ranges().empty() ? origin : d.seen.ranges().back().second;
  if (d.first_acked) {
    report.certain = d.fin || d.acked != end + 1;
    const bool acks_fin = d.fin && d.acked > *d.fin;
    end = std::max(end, acks_fin ? *d.fin : d.acked);
  }
  if (d.fin) end = std::max(end, *d.fin);
  report.length = end - origin;
  report.bytes = d.seen.bytes();
  for (auto [begin, past] : d.seen.gaps(end)) {
    begin = std::max(begin, origin);
    if (begin >= past) continue;
    report.gaps.push_back({begin - origin, past - begin, cause_of(d, begin, past)});
  }
  return report;
}

std::string names_of(const TalkPart& part) {
  std::string text = R"("vlan":[)";
  const char* separator = "";
  for (const std::uint16_t vlan : part.wrapping.vlans) {
    text += fmt::format("{}{}", separator, vlan);
    separator = ",";
  }
  text += R"(],"tunnel":[)";
  separator = "";
  for (const Tunnel& tunnel : part.wrapping.tunnels) {
    text += fmt::format(R"({}"{}")", separator, to_string(tunnel));
    separator = ",";
  }
  text += R"(],"features":[)";
  separator = "";
  for (std::size_t i = 0; i < kFeatureNames.size(); ++i) {
    if (!part.features.has(static_cast<Feature>(i))) continue;
    text += fmt::format(R"({}"{}")", separator, kFeatureNames[i]);
    separator = ",";
  }
  return text + "]";
}

void write_direction(std::uint64_t talk, const TalkPart& part, Side side, TruthWriter& truth) {
  const Identity& identity = part.identity;
  const DirectionTruth& d = part.captured.directions[index_of(side)];
  const Report report = report_of(d);
  Digests digests;
  for (const auto& [begin, end] : d.seen.ranges()) {
    digests.add(identity.content[index_of(side)], begin, end);
  }
  fmt::memory_buffer line;
  const auto out = std::back_inserter(line);
  fmt::format_to(out, R"({{"talk":{},"client":"{}","server":"{}","direction":"{}",{},)", talk,
                 to_string(identity.family, identity.ends[0]),
                 to_string(identity.family, identity.ends[1]),
                 side == Side::Client ? "cts" : "stc", names_of(part));
  fmt::format_to(out, R"("full_bytes":{},"captured_bytes":{},"gaps":[)", report.length,
                 report.bytes);
  const char* separator = "";
  for (const Gap& gap : report.gaps) {
    fmt::format_to(out, "{}[{},{}]", separator, gap.offset, gap.length);
    separator = ",";
  }
  fmt::format_to(out, R"(],"causes":[)");
  separator = "";
  for (const Gap& gap : report.gaps) {
    fmt::format_to(out, R"({}"{}")", separator, gap.cause);
    separator = ",";
  }
  fmt::format_to(out, "],\"certain\":{},\"crc32_captured\":\"{:08x}\",\"sha256\":\"{}\"}}\n",
                 report.certain, digests.crc(), digests.sha256());
  truth.line(fmt::to_string(line));
  Totals& totals = truth.totals();
  totals.payload_bytes += d.payload_bytes;
  totals.captured_bytes += report.bytes;
  totals.full_bytes += report.length;
  totals.duplicate_bytes += d.payload_bytes - report.bytes;
  totals.directions += report.length > 0 ? 1U : 0U;
  totals.gap_directions += report.gaps.empty() ? 0U : 1U;
}

}  // namespace

void write_truth(std::uint64_t talk, const TalkPart& part, TruthWriter& truth) {
  for (const Side side : {Side::Client, Side::Server}) write_direction(talk, part, side, truth);
  Totals& totals = truth.totals();
  ++totals.connections;
  totals.lost_packets += part.captured.lost;
  totals.fragmented_packets += part.captured.fragmented;
  totals.data_packets += part.captured.with_data;
}

}  // namespace flowloom::gen
