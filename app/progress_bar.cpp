#include "progress_bar.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "sinks/descriptor.hpp"

namespace flowloom {

namespace {

/// Short runs show no bar at all.
constexpr std::chrono::milliseconds kFirstShown{300};
constexpr std::size_t kBarCells = 24;

std::string bar(double part) {
  const auto filled = static_cast<std::size_t>(part * kBarCells);
  return std::string(filled, '#') + std::string(kBarCells - filled, '.');
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

void ProgressBar::show(const LiveStatus& status, const InputExtent& extent) {
  if (!enabled_ || status.elapsed < kFirstShown || !takes_now(STDERR_FILENO)) return;
  const double seconds = std::chrono::duration<double>(status.elapsed).count();
  std::string line = "\r\x1b[K";
  if (extent.bytes_total > 0) {
    line += stored_line(extent, seconds);
    line += fmt::format("{}pps  {} connections",
                        scaled(static_cast<double>(status.ledger.packets_received) / seconds),
                        status.ledger.connections_created);
  } else {
    line += now_.text(status);
  }
  std::fputs(line.c_str(), stderr);
  shown_ = true;
}

void ProgressBar::clear() {
  if (shown_ && takes_now(STDERR_FILENO)) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace flowloom
