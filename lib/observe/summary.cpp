// See summary.hpp.
#include "observe/summary.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace flowloom {

std::string format_summary(const LedgerSnapshot& s, double seconds) {
  std::string text;
  const auto fate = [&](Fate f) { return s.fates[static_cast<std::size_t>(f)]; };
  const auto row = [&text](const char* name, const std::string& value) {
    text += fmt::format("{:<12}{}\n", name, value);
  };
  std::string verdicts;
  for (std::size_t i = 0; i < s.verdicts.size(); ++i) {
    if (s.verdicts[i] == 0) continue;
    verdicts += fmt::format("{}{} {}", verdicts.empty() ? "" : ", ", s.verdicts[i],
                            kVerdictNames[i]);
  }
  row("packets", fmt::format("{} ({})", s.packets_received, verdicts.empty() ? "none" : verdicts));
  std::string closed;
  for (std::size_t i = 0; i < s.connections_closed.size(); ++i) {
    if (s.connections_closed[i] == 0) continue;
    closed += fmt::format("{}{} {}", closed.empty() ? "" : ", ", s.connections_closed[i],
                          kCloseReasonNames[i]);
  }
  row("connections",
      fmt::format("{} ({})", s.connections_created, closed.empty() ? "none" : closed));
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
