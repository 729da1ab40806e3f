// See summary.hpp.
#include "observe/summary.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace flowloom {
namespace {

/// "3 tcp, 1 udp": what there is of each, or "none".
template <class Counts, class Names>
std::string listed(const Counts& counts, const Names& names) {
  std::string list;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", counts[i], names[i]);
  }
  return list.empty() ? "none" : list;
}

}  // namespace

std::string format_summary(const LedgerSnapshot& s, double seconds) {
  std::string text;
  const auto fate = [&](Fate f) { return s.fates[static_cast<std::size_t>(f)]; };
  const auto row = [&text](const char* name, const std::string& value) {
    text += fmt::format("{:<12}{}\n", name, value);
  };
  row("packets", fmt::format("{} ({})", s.packets_received, listed(s.verdicts, kVerdictNames)));
  row("connections", fmt::format("{} ({})", s.connections_created,
                                 listed(s.connections_closed, kCloseReasonNames)));
  const std::uint64_t evicted =
      s.connections_closed[static_cast<std::size_t>(CloseReason::Evicted)];
  if (evicted > 0) row("evicted", listed(s.evicted, kEvictionClassNames));
  row("payload", fmt::format("{} bytes seen, {} delivered, {} repeated", s.payload_seen,
                             fate(Fate::Delivered), fate(Fate::Duplicate)));
  for (const WriterStatus& w : s.writers) {
    if (w.name == "alerts") row("alerts", fmt::format("{} (alerts.jsonl)", w.records));
  }
  for (const InterfaceStatus& i : s.interfaces) {
    row("interface", fmt::format("{}: {} packets, {} dropped", i.name, i.received, i.missed));
  }
  if (s.packets_missed > 0) row("missed", fmt::format("{} packets", s.packets_missed));
  row("time", fmt::format("{:.2f} s, {:.2f} Mpps", seconds,
                          static_cast<double>(s.packets_received) / 1e6 / std::max(seconds, 1e-9)));
  return text;
}

}  // namespace flowloom
