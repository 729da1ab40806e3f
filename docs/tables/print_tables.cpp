// Prints the tables of the documentation from the code that they describe, as Markdown blocks that
// begin with "== NAME". scripts/doc_tables.py puts them into the pages, and a test holds the pages
// to them. Prints what the compiler knows; explains nothing.
#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "base/timer_wheel.hpp"
#include "export/export_memory.hpp"
#include "export/stream_message.hpp"
#include "net/decode.hpp"
#include "net/packet_clock_rule.hpp"
#include "pipeline/ledger.hpp"
#include "pipeline/shard.hpp"
#include "pipeline/shard_config.hpp"
#include "stream/connection_record.hpp"
#include "stream/counting_consumer.hpp"
#include "tcp/connection.hpp"
#include "tcp/state.hpp"
#include "tcp/tcp_tracker.hpp"

namespace {

using namespace std::chrono_literals;

void begin(std::string_view name) { fmt::print("== {}\n", name); }

void row(std::string_view first, std::string_view second) {
  fmt::print("| `{}` | {} |\n", first, second);
}

void print_transitions() {
  begin("transitions");
  fmt::print("| state |");
  for (const std::string_view event : flowloom::kEventNames) fmt::print(" {} |", event);
  fmt::print("\n|---|");
  for (std::size_t i = 0; i < flowloom::kEventCount; ++i) fmt::print("---|");
  fmt::print("\n");
  for (std::size_t s = 0; s < flowloom::kStateCount; ++s) {
    fmt::print("| **{}** |", flowloom::kStateNames[s]);
    for (const flowloom::State next : flowloom::kTransitions[s]) {
      const auto n = static_cast<std::size_t>(next);
      fmt::print(" {} |", n == s ? std::string_view(".") : flowloom::kStateNames[n]);
    }
    fmt::print("\n");
  }
}

void print_words() {
  begin("anomalies");
  fmt::print("| name | what it is |\n|---|---|\n");
#define ANOMALY(symbol, name, sentence) row(name, sentence);
#include "net/anomalies.def"
#undef ANOMALY
  begin("verdicts");
  fmt::print("| verdict | the packet |\n|---|---|\n");
#define VERDICT(symbol, name, sentence) row(name, sentence);
#include "net/verdicts.def"
#undef VERDICT
  begin("fates");
  fmt::print("| fate | the byte |\n|---|---|\n");
#define FATE(symbol, name, sentence) row(name, sentence);
#include "net/fates.def"
#undef FATE
}

void print_metrics() {
  begin("metrics");
  fmt::print("| metric | labels | what it is |\n|---|---|---|\n");
#define METRIC(symbol, name, type, labels, help) \
  fmt::print("| `{}` | {} | {} |\n", name, labels, help);
#include "observe/metrics.def"
#undef METRIC
}

template <class Names>
void print_names(std::string_view block, const Names& names) {
  begin(block);
  std::string_view separator;
  for (const std::string_view name : names) {
    fmt::print("{}`{}`", separator, name);
    separator = ", ";
  }
  fmt::print("\n");
}

void constant(std::string_view name, auto value, std::string_view unit) {
  fmt::print("| `{}` | {}{}{} |\n", name, value, unit.empty() ? "" : " ", unit);
}

void print_overlap_policies() {
  begin("overlap-policies");
  fmt::print("| name | algorithm | stands for |\n|---|---|---|\n");
  for (const flowloom::OverlapName& name : flowloom::kOverlapNames) {
    const auto algorithm = flowloom::kOverlapNames[static_cast<std::size_t>(name.policy)].name;
    fmt::print("| `{}` | {} | {} |\n", name.name, algorithm, name.stands_for);
  }
}

std::string_view identity_words(flowloom::EncapsulationIdentity identity) {
  switch (identity) {
    case flowloom::EncapsulationIdentity::Nothing:
      return "no";
    case flowloom::EncapsulationIdentity::Presence:
      return "that it is there";
    case flowloom::EncapsulationIdentity::Id:
      return "with its number";
  }
  return "";
}

void print_encapsulations() {
  begin("encapsulations");
  fmt::print("| in the record | part of the identity |\n|---|---|\n");
  for (const flowloom::EncapsulationKind& kind : flowloom::kEncapsulationKinds) {
    const bool shown = kind.id == flowloom::EncapsulationId::Shown;
    row(fmt::format("{}{}", kind.name, shown ? ":N" : ""), identity_words(kind.identity));
  }
  begin("encapsulation-limits");
  fmt::print("| constant | value |\n|---|---|\n");
  constant("kMaxTunnels", flowloom::kMaxTunnels, "tunnels");
  constant("kMaxEncapsulationLayers", flowloom::kMaxEncapsulationLayers,
           "tags, labels and tunnels together");
}

void print_constants() {
  begin("tcp-constants");
  fmt::print("| constant | value |\n|---|---|\n");
  const auto ms = [](flowloom::Duration d) { return d / 1ms; };
  constant("kPickupGraceSegments", flowloom::kPickupGraceSegments, "segments");
  constant("kPickupGraceTime", ms(flowloom::kPickupGraceTime), "ms");
  constant("kGapGraceSegments", flowloom::kGapGraceSegments, "segments");
  constant("kGapGraceTime", ms(flowloom::kGapGraceTime), "ms");
  constant("kGapGraceSegmentsMax", flowloom::kGapGraceSegmentsMax, "segments");
  constant("kGapGraceTimeMax", ms(flowloom::kGapGraceTimeMax), "ms");
  constant("kMaxUnackedHole", flowloom::kMaxUnackedHole, "bytes");
  constant("kSmallestSlack", flowloom::kSmallestSlack, "bytes");
  constant("kTimestampSlack", flowloom::kTimestampSlack, "tick");
  constant("kTimestampLife",
           std::chrono::duration_cast<std::chrono::hours>(flowloom::kTimestampLife).count(), "h");
  constant("kMaxWindow", flowloom::kMaxWindow, "bytes");
  constant("kMaxWindowScale", flowloom::kMaxWindowScale, "");
  constant("kComparablePackets", flowloom::kComparablePackets, "packets");
  constant("kRememberedBytes", flowloom::kRememberedBytes, "bytes");
  constant("kComparedPieces", flowloom::kComparedPieces, "pieces");
  constant("kPageBytes", flowloom::kPageBytes, "bytes");
  constant("TcpSettings::pages_per_direction", flowloom::TcpSettings{}.pages_per_direction,
           "pages");
  begin("eviction");
  fmt::print("| constant | value |\n|---|---|\n");
  constant("Shard::kSegmentsInOrder", flowloom::Shard::kSegmentsInOrder, "segments");
  constant("EvictionLog::kInterval", flowloom::EvictionLog::kInterval / 1s, "s");
  constant("Shard::kPressureBegins", flowloom::Shard::kPressureBegins,
           "(all but a part of so many in use)");
  constant("Shard::kPressureEnds", flowloom::Shard::kPressureEnds, "(the same)");
  constant("Shard::kHurriedUnconfirmedTimeout",
           flowloom::Shard::kHurriedUnconfirmedTimeout / 1s, "s");
  constant("Shard::kHurriedClosedTimeout", flowloom::Shard::kHurriedClosedTimeout / 1s, "s");
  constant("Shard::kPartForUnconfirmed", flowloom::Shard::kPartForUnconfirmed,
           "(a part of `--max-flows`)");
  constant("Shard::kHoldTextsFrom", flowloom::Shard::kHoldTextsFrom, "(a part of `--max-flows`)");
  constant("Shard::kHoldSynsFrom", flowloom::Shard::kHoldSynsFrom, "(a part of `--max-flows`)");
  constant("Shard::kPagesForConfirmed", flowloom::Shard::kPagesForConfirmed,
           "(a part of so many)");
  begin("timeouts");
  fmt::print("| setting | default |\n|---|---|\n");
  const flowloom::ShardConfig config;
  constant("--idle-timeout", config.idle_timeout / 1s, "s");
  constant("--syn-timeout", config.syn_timeout / 1s, "s");
  constant("--closed-timeout", config.closed_timeout / 1s, "s");
}

/// What the tables of connections take, by their number.
void print_sizing() {
  begin("sizing");
  fmt::print("| `--max-flows` | reserved for tables | touched by as many plain connections |\n"
             "|---|---|---|\n");
  constexpr std::size_t kMebi = std::size_t{1} << 20;
  constexpr std::size_t kShareOfBucket = 17;
  constexpr std::size_t kShareOfWheel = 20;
  constexpr std::size_t kShareOfOrder = 8;
  constexpr std::size_t kTouched = sizeof(flowloom::Connection) +
                                   sizeof(flowloom::ConnectionHistory) + kShareOfBucket +
                                   kShareOfWheel + kShareOfOrder;
  for (const std::uint32_t flows : {100'000U, 1'000'000U, 10'000'000U}) {
    flowloom::CountingConsumer consumer;
    flowloom::ShardConfig config;
    config.max_flows = flows;
    config.hold_first = flowloom::HoldFirst::InFlood;  // as the program has it
    const std::size_t all = flowloom::Shard(config, consumer).reserved_bytes();
    fmt::print("| {} | {} MiB | {} MiB |\n", flows, (all - config.reorder_bytes) / kMebi,
               flows * kTouched / kMebi);
  }
}

void print_sizes() {
  begin("sizes");
  fmt::print("| object | bytes |\n|---|---|\n");
  constant("Connection", sizeof(flowloom::Connection), "");
  constant("ConnectionHistory", sizeof(flowloom::ConnectionHistory), "");
  constant("ConnectionExtra", sizeof(flowloom::ConnectionExtra), "");
  constant("HalfRare", sizeof(flowloom::HalfRare), "");
  constant("LoneSyn", sizeof(flowloom::LoneSyn), "");
  constant("LoneText", sizeof(flowloom::LoneText), "");
  constant("EncapsulationList", sizeof(flowloom::EncapsulationList), "");
  constant("ReorderPage", sizeof(flowloom::ReorderPage), "");
  constant("ExportBlock (header)", sizeof(flowloom::ExportBlock), "");
  constant("StreamMessage", sizeof(flowloom::StreamMessage), "");
  constant("Packet", sizeof(flowloom::Packet), "");
  begin("wheel");
  fmt::print("| constant | value |\n|---|---|\n");
  constant("TimerWheel::kTickShift", flowloom::TimerWheel::kTickShift, "(a tick is 2^23 ns)");
  constant("TimerWheel::kSlots", flowloom::TimerWheel::kSlots, "ticks");
  constant("PacketClockRule::kClockJump", flowloom::PacketClockRule::kClockJump / 1s, "s");
  constant("PacketClockRule::kClockStepBack", flowloom::PacketClockRule::kClockStepBack / 1s, "s");
}

}  // namespace

int main() {
  print_transitions();
  print_words();
  print_encapsulations();
  print_names("close-reasons", flowloom::kCloseReasonNames);
  print_names("gap-causes", flowloom::kGapCauseNames);
  print_names("conn-states", flowloom::kConnStateNames);
  print_names("limits", flowloom::kLimitNames);
  print_overlap_policies();
  print_constants();
  print_metrics();
  print_sizing();
  print_sizes();
  return 0;
}
