// See status_line.hpp.
#include "observe/status_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace flowloom {
namespace {

/// Rates are those of so long.
constexpr std::chrono::milliseconds kRateWindow{1000};

/// What is full for the most part, as "  export_bytes 83 %"; nothing where all have room.
std::string fullest(const LiveStatus& status) {
  constexpr double kWorthSaying = 0.5;
  double most = kWorthSaying;
  std::string text;
  for (const ThreadStatus& thread : status.threads) {
    for (std::size_t i = 0; i < kResourceNames.size(); ++i) {
      const Level& level = thread.report.levels[i];
      if (level.capacity == 0) continue;
      const double part = static_cast<double>(level.used) / static_cast<double>(level.capacity);
      if (part < most) continue;
      most = part;
      text = fmt::format("  {} {:.0f} %", kResourceNames[i], part * 100);
    }
  }
  return text;
}

}  // namespace

std::string scaled(double value) {
  if (value >= 1e9) return fmt::format("{:.2f} G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  return value >= 1e3 ? fmt::format("{:.1f} k", value / 1e3) : fmt::format("{:.0f} ", value);
}

void StatusLine::measure(const LiveStatus& status) {
  const std::chrono::nanoseconds passed = status.elapsed - before_.elapsed;
  if (passed < kRateWindow) return;
  const double seconds = std::chrono::duration<double>(passed).count();
  Moment now{status.elapsed, status.ledger.packets_received, status.ledger.payload_seen};
  for (const ThreadStatus& thread : status.threads) now.idle.push_back(thread.report.idle);
  packets_per_second_ = static_cast<double>(now.packets - before_.packets) / seconds;
  bits_per_second_ = static_cast<double>(now.payload - before_.payload) * 8 / seconds;
  measure_loads(now);
  before_ = std::move(now);
}

void StatusLine::measure_loads(const Moment& now) {
  constexpr std::size_t kShownMax = 8;
  if (before_.idle.size() != now.idle.size()) return;
  const double passed = std::chrono::duration<double>(now.elapsed - before_.elapsed).count();
  loads_.clear();
  for (std::size_t i = 0; i < std::min(now.idle.size(), kShownMax); ++i) {
    const double idle = std::chrono::duration<double>(now.idle[i] - before_.idle[i]).count();
    loads_ += fmt::format("{}{:.0f}", i == 0 ? "  load " : "/",
                          100 * std::clamp(1 - idle / passed, 0.0, 1.0));
  }
  if (!loads_.empty()) loads_ += now.idle.size() > kShownMax ? "... %" : " %";
}

std::string StatusLine::text(const LiveStatus& status) {
  measure(status);
  std::uint64_t dropped = 0;
  for (const WriterStatus& writer : status.ledger.writers) dropped += writer.dropped;
  return fmt::format("{}pps  {}bit/s  {} connections, {} open  missed {}  dropped {}",
                     scaled(packets_per_second_), scaled(bits_per_second_),
                     status.ledger.connections_created, status.connections_open,
                     status.ledger.packets_missed, dropped + status.ledger.shed.records) +
         loads_ + fullest(status);
}

}  // namespace flowloom
