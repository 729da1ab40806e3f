#include "progress_bar.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace flowloom {

namespace {

/// Short runs show no bar at all.
constexpr std::chrono::milliseconds kFirstShown{300};
/// Rates are those of so long.
constexpr std::chrono::milliseconds kRateWindow{1000};
constexpr std::size_t kBarCells = 24;

std::string bar(double part) {
  const auto filled = static_cast<std::size_t>(part * kBarCells);
  return std::string(filled, '#') + std::string(kBarCells - filled, '.');
}

/// "12.3 k", "4.56 M".
std::string scaled(double value) {
  if (value >= 1e9) return fmt::format("{:.2f} G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  return value >= 1e3 ? fmt::format("{:.1f} k", value / 1e3) : fmt::format("{:.0f} ", value);
}

std::string stored_line(const InputExtent& extent, double seconds) {
  const double part = std::min(1.0, static_cast<double>(extent.bytes_read) /
                                        static_cast<double>(extent.bytes_total));
  std::string line = fmt::format("[{}] {:3.0f} %  {:.1f} of {:.1f} MB  ", bar(part), part * 100,
                                 static_cast<double>(extent.bytes_read) / 1e6,
                                 static_cast<double>(extent.bytes_total) / 1e6);
  if (part > 0) line += fmt::format("{:.0f} s left  ", seconds / part - seconds);
  return line;
}

}  // namespace

ProgressBar::ProgressBar(When when) : enabled_(when != When::Never && isatty(STDERR_FILENO) == 1) {}

void ProgressBar::measure(const LiveStatus& status) {
  const std::chrono::nanoseconds passed = status.elapsed - before_.elapsed;
  if (passed < kRateWindow) return;
  const double seconds = std::chrono::duration<double>(passed).count();
  const Moment now{status.elapsed, status.ledger.packets_received, status.ledger.payload_seen};
  packets_per_second_ = static_cast<double>(now.packets - before_.packets) / seconds;
  bits_per_second_ = static_cast<double>(now.payload - before_.payload) * 8 / seconds;
  before_ = now;
}

std::string ProgressBar::live_line(const LiveStatus& status) const {
  std::uint64_t dropped = 0;
  for (const WriterStatus& writer : status.ledger.writers) dropped += writer.dropped;
  return fmt::format("{}pps  {}bit/s  {} connections, {} open  missed {}  dropped {}",
                     scaled(packets_per_second_), scaled(bits_per_second_),
                     status.ledger.connections_created, status.connections_open,
                     status.ledger.packets_missed, dropped);
}

void ProgressBar::show(const LiveStatus& status, const InputExtent& extent) {
  if (!enabled_ || status.elapsed < kFirstShown) return;
  const double seconds = std::chrono::duration<double>(status.elapsed).count();
  std::string line = "\r\x1b[K";
  if (extent.bytes_total > 0) {
    line += stored_line(extent, seconds);
    line += fmt::format("{}pps  {} connections",
                        scaled(static_cast<double>(status.ledger.packets_received) / seconds),
                        status.ledger.connections_created);
  } else {
    measure(status);
    line += live_line(status);
  }
  std::fputs(line.c_str(), stderr);
  shown_ = true;
}

void ProgressBar::clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace flowloom
