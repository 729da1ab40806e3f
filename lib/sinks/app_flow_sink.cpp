// See app_flow_sink.hpp.
#include "sinks/app_flow_sink.hpp"

#include "sinks/chain_reader.hpp"

#include <algorithm>
#include <iterator>

namespace flowloom {
namespace {

using Text = fmt::memory_buffer;

/// The packet that a line is about.
struct Line {
  const ConnectionRecord& record;
  const PacketEntry& entry;
  const AppFlowState& state;
  unsigned side;       ///< 0: the client's
  Duration elapsed;
  Duration spacing;
};

/// Seconds with as many decimals as the capture has: 6, or 9.
void put_seconds(Text& out, std::int64_t ns) {
  constexpr std::uint64_t kPerSecond = 1'000'000'000;
  constexpr std::uint64_t kPerMicrosecond = 1'000;
  // Of the smallest number there is no positive one of the same type.
  const std::uint64_t size = ns < 0 ? ~static_cast<std::uint64_t>(ns) + 1
                                    : static_cast<std::uint64_t>(ns);
  const auto to = std::back_inserter(out);
  if (ns < 0) out.push_back('-');
  if (size % kPerMicrosecond == 0) {
    fmt::format_to(to, "{}.{:06}", size / kPerSecond, size % kPerSecond / kPerMicrosecond);
  } else {
    fmt::format_to(to, "{}.{:09}", size / kPerSecond, size % kPerSecond);
  }
}

/// What was not measured yet is a bare zero.
void put_spacing(Text& out, bool measured, Duration spacing) {
  constexpr std::string_view kNone = "0.0";
  if (measured) return put_seconds(out, spacing.count());
  out.append(kNone.data(), kNone.data() + kNone.size());
}

void put_number(Text& out, std::uint64_t number) {
  fmt::format_to(std::back_inserter(out), "{}", number);
}

void put_flow(Text& out, const Line& line) {
  const auto& sides = line.record.sides;
  const IpFamily family = family_of(line.record);
  fmt::format_to(std::back_inserter(out), "{}==>{}",
                 format_endpoint(sides[line.side].endpoint, family).view(),
                 format_endpoint(sides[1 - line.side].endpoint, family).view());
}

void put_notes(Text& out, std::uint8_t marks) {
  constexpr std::pair<std::uint8_t, char> kLetters[] = {{packet_marks::kRetransmission, 'r'},
                                                        {packet_marks::kOutOfOrder, 'o'},
                                                        {packet_marks::kConflict, 'x'},
                                                        {packet_marks::kBadChecksum, 'c'},
                                                        {packet_marks::kReassembled, 'f'}};
  bool any = false;
  for (const auto& [mark, letter] : kLetters) {
    if ((marks & mark) == 0) continue;
    out.push_back(letter);
    any = true;
  }
  if (!any) out.push_back('-');
}

struct Column {
  std::string_view name;
  void (*put)(Text& out, const Line& line);
};

constexpr std::size_t kDefaultColumns = 10;  // the extractor's, in its order
constexpr Column kColumns[] = {
    {"Time", [](Text& o, const Line& l) { put_seconds(o, to_nanoseconds(l.entry.stamp)); }},
    {"Flow_with_Direction", [](Text& o, const Line& l) { put_number(o, l.side); }},
    {"PktPayload", [](Text& o, const Line& l) { put_number(o, l.entry.payload_length); }},
    {"ClientDataTransfered",
     [](Text& o, const Line& l) {
       fmt::format_to(std::back_inserter(o), "{}.0", l.state.bytes[0]);
     }},
    {"ServerDataTransfered",
     [](Text& o, const Line& l) {
       fmt::format_to(std::back_inserter(o), "{}.0", l.state.bytes[1]);
     }},
    {"TotalData",
     [](Text& o, const Line& l) { put_number(o, l.state.bytes[0] + l.state.bytes[1]); }},
    {"TimeBetweenLastPkt",
     [](Text& o, const Line& l) { put_spacing(o, l.state.packets > 1, l.spacing); }},
    {"TimeBetweenLastClientPacket",
     [](Text& o, const Line& l) {
       put_spacing(o, l.state.has_spacing[0], l.state.spacing[0]);
     }},
    {"TimeBetweenLastServerPacket",
     [](Text& o, const Line& l) {
       put_spacing(o, l.state.has_spacing[1], l.state.spacing[1]);
     }},
    {"TotalTimeElapsed",
     [](Text& o, const Line& l) { put_spacing(o, l.state.packets > 1, l.elapsed); }},
    {"PacketNumber", [](Text& o, const Line& l) { put_number(o, l.entry.number); }},
    {"FrameLength", [](Text& o, const Line& l) { put_number(o, l.entry.wire_length); }},
    {"Flow", [](Text& o, const Line& l) { put_flow(o, l); }},
    {"Notes", [](Text& o, const Line& l) { put_notes(o, l.entry.marks); }},
};

/// Stamps come from hostile captures: the difference may not fit.
Duration between(Timestamp earlier, Timestamp later) {
  std::int64_t ns = 0;
  const std::int64_t a = to_nanoseconds(later);
  const std::int64_t b = to_nanoseconds(earlier);
  if (__builtin_sub_overflow(a, b, &ns)) return a > b ? Duration::max() : Duration::min();
  return Duration{ns};
}

}  // namespace

std::string known_app_flow_columns() {
  std::string names;
  for (const Column& column : kColumns) {
    names += fmt::format("{}{}", names.empty() ? "" : ",", column.name);
  }
  return names;
}

std::string parse_app_flow_columns(std::string_view list, std::vector<AppFlowColumn>& columns) {
  columns.clear();
  if (list.empty()) {
    for (std::size_t i = 0; i < kDefaultColumns; ++i) columns.push_back(i);
    return "";
  }
  while (!list.empty()) {
    const std::string_view name = list.substr(0, list.find(','));
    const auto* at = std::find_if(std::begin(kColumns), std::end(kColumns),
                                  [&](const Column& column) { return column.name == name; });
    if (at == std::end(kColumns)) {
      return fmt::format("--summary-columns: there is no column '{}'; known are {}", name,
                         known_app_flow_columns());
    }
    columns.push_back(static_cast<std::size_t>(at - std::begin(kColumns)));
    list.remove_prefix(std::min(name.size() + 1, list.size()));
  }
  return "";
}

void AppFlowSink::consume(StreamEvent& event) {
  text_.clear();
  if (event.whole()) {
    AppFlowState state;
    build(event, state);
    files_.write_whole(event, {reinterpret_cast<const std::uint8_t*>(text_.data()), text_.size()});
    return;
  }
  Summary& summary = summaries_.at(event.record().first_packet);
  build(event, summary.state);
  files_.append(event, summary.file,
                {reinterpret_cast<const std::uint8_t*>(text_.data()), text_.size()});
  if (!event.closes()) return;
  files_.complete(event, summary.file);
  summaries_.erase(event.record().first_packet);
}

void AppFlowSink::build(const StreamEvent& event, AppFlowState& state) {
  ChainReader packets(event.message().packets);
  for (PacketEntry entry; read_plain(packets, entry);) {
    packets.read(entry.copied, [](ByteView) {});
    const unsigned side = entry.sender == event.record().originator ? 0 : 1;
    if (state.packets++ == 0) state.first = state.last = entry.stamp;
    const Line line{.record = event.record(),
                    .entry = entry,
                    .state = state,
                    .side = side,
                    .elapsed = between(state.first, entry.stamp),
                    .spacing = between(state.last, entry.stamp)};
    if (state.heard[side]) {
      state.spacing[side] = between(state.last_of[side], entry.stamp);
      state.has_spacing[side] = true;
    }
    state.heard[side] = true;
    state.last = state.last_of[side] = entry.stamp;
    state.bytes[side] += entry.payload_length;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) text_.push_back(' ');
      kColumns[columns_[i]].put(text_, line);
    }
    text_.push_back('\n');
  }
}

}  // namespace flowloom
