// See flows_sink.hpp. The keys stand here in the order of the file; a doubled brace is fmt's
// spelling of one.
#include "sinks/flows_sink.hpp"

#include "sinks/chain_reader.hpp"

#include <fmt/compile.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <span>

namespace flowloom {
namespace {

using Text = fmt::memory_buffer;

void put(Text& out, std::string_view text) {
  out.append(text.data(), text.data() + text.size());
}

std::span<const EncapsulationLayer> layers_of(const EncapsulationList& list) {
  return std::span(list.layers).first(std::min<std::size_t>(list.count, list.layers.size()));
}

/// `"key":[...],` of the layers that `wanted` picks, nothing where there are none.
template <class Wanted, class Put>
void put_layers(Text& out, std::string_view begin, const EncapsulationList& list,
                const Wanted& wanted, const Put& put_layer) {
  bool any = false;
  for (const EncapsulationLayer& layer : layers_of(list)) {
    if (!wanted(layer)) continue;
    put(out, any ? std::string_view(",") : begin);
    put_layer(layer);
    any = true;
  }
  if (any) put(out, "],");
}

void put_gap(Text& out, const Gap& gap, bool first) {
  fmt::format_to(std::back_inserter(out),
                 FMT_COMPILE(R"({}{{"offset":{},"length":{},"cause":"{}"}})"), first ? "" : ",",
                 gap.offset, gap.length, kGapCauseNames[static_cast<std::size_t>(gap.cause)]);
}

/// Where it stands in the stream, if it does: a direction that was picked up mid-stream may have
/// lost its first bytes to a SYN that came later.
void put_conflict(Text& out, const Conflict& conflict, const SideRecord& side, std::uint64_t& n) {
  const StreamOffset offset = conflict.position - side.origin;
  if (offset < 0 || n == kListedConflictsMax) return;
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"({}{{"offset":{},"length":{}}})"),
                 n++ == 0 ? "" : ",", offset, conflict.length);
}

}  // namespace

SinkNeeds FlowFormatter::needs() const {
  return {.gap_lists = true, .sha256 = with_sha256_ == WithSha256::Yes};
}

void FlowsSink::consume(StreamEvent& event) {
  if (!event.closes()) return;
  output_.append(formatter_.format(event));
  output_.end_record();
}

void FlowsSink::consume_summary(const EvictionSummary& summary) {
  output_.append(formatter_.format(summary));
  output_.end_record();
}

std::string_view FlowFormatter::format(const EvictionSummary& summary) {
  text_.clear();
  const auto out = std::back_inserter(text_);
  fmt::format_to(out,
                 FMT_COMPILE(R"({{"record":"summary","start":"{}","end":"{}","close":"{}",)"
                             R"("connections":{},"kinds":{{)"),
                 format_rfc3339(summary.start).view(), format_rfc3339(summary.end).view(),
                 kCloseReasonNames[static_cast<std::size_t>(CloseReason::Evicted)],
                 summary.count());
  for (std::size_t i = 0; i < kUnconfirmedKindNames.size(); ++i) {
    fmt::format_to(out, FMT_COMPILE(R"({}"{}":{})"), i == 0 ? "" : ",", kUnconfirmedKindNames[i],
                   summary.connections[i]);
  }
  fmt::format_to(out,
                 FMT_COMPILE(R"(}},"packets":{},"ip_bytes":{},"payload_bytes":{},"senders":{},)"
                             R"("receivers":{}}})"
                             "\n"),
                 summary.packets, summary.ip_bytes, summary.payload_bytes,
                 summary.senders.estimate(), summary.receivers.estimate());
  return {text_.data(), text_.size()};
}

std::string_view FlowFormatter::format(StreamEvent& event) {
  text_.clear();
  write_identity(event);
  put(text_, R"("orig":)");
  write_side(event, Direction::OriginatorToResponder);
  put(text_, R"(,"resp":)");
  write_side(event, Direction::ResponderToOriginator);
  write_end(event.record());
  return {text_.data(), text_.size()};
}

void FlowFormatter::write_identity(StreamEvent& event) {
  const ConnectionRecord& record = event.record();
  fmt::format_to(std::back_inserter(text_),
                 FMT_COMPILE(R"({{"uid":"{}","community_id":"{}","start":"{}","end":"{}",)"),
                 event.uid(), event.ids().community_id(record).view(),
                 format_rfc3339(record.start).view(), format_rfc3339(record.end).view());
  if (record.encapsulation.count > 0) write_encapsulation(record.encapsulation);
}

void FlowFormatter::write_encapsulation(const EncapsulationList& list) {
  const auto is_vlan = [](const EncapsulationLayer& layer) {
    return layer.kind == EncapsulationLayer::Kind::Vlan;
  };
  put_layers(text_, R"("vlan":[)", list, is_vlan, [&](const EncapsulationLayer& layer) {
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE("{}"), layer.id);
  });
  put_layers(text_, R"("tunnel":[)", list, std::not_fn(is_vlan),
             [&](const EncapsulationLayer& layer) {
               const EncapsulationKind& kind = kind_of(layer);
               if (kind.id == EncapsulationId::Hidden) {
                 fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"("{}")"), kind.name);
               } else {
                 fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"("{}:{}")"), kind.name,
                                layer.id);
               }
             });
}

void FlowFormatter::write_side(const StreamEvent& event, Direction direction) {
  const SideRecord& side = event.record().side(direction);
  const unsigned index = index_of(direction);
  fmt::format_to(
      std::back_inserter(text_),
      FMT_COMPILE(R"({{"addr":"{}","port":{},"packets":{},"ip_bytes":{},"payload_bytes":{},)"
                  R"("stream_bytes":{},"gap_bytes":{},"gaps":[)"),
      format_address(side.endpoint.address, family_of(event.record())).view(), side.endpoint.port,
      side.packets, side.ip_bytes, side.payload_bytes, side.stream_bytes, side.gap_bytes);
  write_gaps(event, direction);
  fmt::format_to(std::back_inserter(text_),
                 FMT_COMPILE(R"(,"duplicate_bytes":{},"overlap_conflicts":{})"),
                 side.duplicate_bytes, side.overlap_conflicts);
  if (side.conflict_count > 0) write_conflicts(event, direction);
  fmt::format_to(std::back_inserter(text_),
                 FMT_COMPILE(R"(,"out_of_order":{},"retransmissions":{},"urgent_bytes":{})"),
                 side.out_of_order, side.retransmissions, side.urgent_bytes);
  if (side.urgent_bytes > 0) write_urgent_offsets(side);
  if (!event.files[index].empty()) {
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"(,"file":"{}")"),
                   event.files[index].view());
  }
  if (event.sha256 != nullptr) {
    const Sha256Text& digest = (*event.sha256)[index];
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"(,"sha256":"{}")"),
                   std::string_view(digest.data(), digest.size()));
  }
  put(text_, "}");
}

/// The elements and the end of a side's list of gaps.
void FlowFormatter::write_gaps(const StreamEvent& event, Direction direction) {
  const unsigned index = index_of(direction);
  std::uint64_t listed = 0;
  if (event.earlier_gaps != nullptr) {
    for (const Gap& gap : (*event.earlier_gaps)[index]) put_gap(text_, gap, listed++ == 0);
  }
  Gap gap;
  GapReader reader(event.message().gaps[index]);
  while (listed < kListedGapsMax && reader.next(gap)) put_gap(text_, gap, listed++ == 0);
  put(text_, "]");
  const std::uint64_t count = event.record().side(direction).gap_count;
  if (count > listed) {
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"(,"gaps_unlisted":{})"),
                   count - listed);
  }
}

void FlowFormatter::write_urgent_offsets(const SideRecord& side) {
  const auto listed = std::min<std::uint64_t>(side.urgent_bytes, side.urgent_offsets.size());
  put(text_, R"(,"urgent_offsets":[)");
  for (std::size_t i = 0; i < listed; ++i) {
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE("{}{}"), i > 0 ? "," : "",
                   side.urgent_offsets[i]);
  }
  put(text_, "]");
}

/// The first conflicts of a side, in the order in which they were found.
void FlowFormatter::write_conflicts(const StreamEvent& event, Direction direction) {
  const SideRecord& side = event.record().side(direction);
  std::uint64_t listed = 0;
  put(text_, R"(,"conflicts":[)");
  if (event.earlier_conflicts != nullptr) {
    for (const std::vector<Conflict>& list : *event.earlier_conflicts) {
      for (const Conflict& conflict : list) {
        if (event.record().direction_of(conflict) != direction) continue;
        put_conflict(text_, conflict, side, listed);
      }
    }
  }
  ConflictEntry entry;
  for (ConflictReader reader(event.message().conflicts); reader.next(entry);) {
    if (event.record().direction_of(entry.conflict) != direction) continue;
    put_conflict(text_, entry.conflict, side, listed);
  }
  put(text_, "]");
  if (side.conflict_count > listed) {
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"(,"conflicts_unlisted":{})"),
                   side.conflict_count - listed);
  }
}

void FlowFormatter::write_end(const ConnectionRecord& record) {
  const std::string_view history(record.history.data(),
                                 std::min<std::size_t>(record.history_length, kHistoryMax));
  fmt::format_to(std::back_inserter(text_),
                 FMT_COMPILE(R"(,"close":"{}","state":"{}","history":"{}",{}"anomalies":{{)"),
                 kCloseReasonNames[static_cast<std::size_t>(record.close)],
                 kConnStateNames[static_cast<std::size_t>(record.state)], history,
                 record.midstream ? R"("midstream":true,)" : "");
  bool first = true;
  for (std::size_t i = 0; i < kAnomalyCount; ++i) {
    if (record.anomalies[i] == 0) continue;
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"({}"{}":{})"), first ? "" : ",",
                   kAnomalyNames[i], record.anomalies[i]);
    first = false;
  }
  put(text_, "}}\n");
}

}  // namespace flowloom
