// See status_line.hpp.
#include "observe/status_line.hpp"

#include <fmt/format.h>

namespace flowloom {
namespace {

/// Rates are those of so long.
constexpr std::chrono::milliseconds kRateWindow{1000};

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
  const Moment now{status.elapsed, status.ledger.packets_received, status.ledger.payload_seen};
  packets_per_second_ = static_cast<double>(now.packets - before_.packets) / seconds;
  bits_per_second_ = static_cast<double>(now.payload - before_.payload) * 8 / seconds;
  before_ = now;
}

std::string StatusLine::text(const LiveStatus& status) {
  measure(status);
  std::uint64_t dropped = 0;
  for (const WriterStatus& writer : status.ledger.writers) dropped += writer.dropped;
  return fmt::format("{}pps  {}bit/s  {} connections, {} open  missed {}  dropped {}",
                     scaled(packets_per_second_), scaled(bits_per_second_),
                     status.ledger.connections_created, status.connections_open,
                     status.ledger.packets_missed, dropped);
}

}  // namespace flowloom
