#include "compat/nids/scan_log.hpp"

#include <algorithm>

namespace flowloom::nids {

ScanLog::ScanLog(const Settings& settings) : settings_(settings), buckets_(settings.buckets) {}

bool ScanLog::is_stale(const Host& host, Timestamp clock) const {
  return settings_.delay == ScanDelay::Honoured && host.shown.n_packets != 0 &&
         clock - host.last > std::chrono::milliseconds{settings_.delay_ms};
}

ScanLog::Host& ScanLog::host_of(const ScanProbe& probe) {
  constexpr std::uint32_t kLowBits = 0xffff;
  const std::uint32_t folded = (probe.source & kLowBits) ^ (probe.source >> 16);
  std::vector<Host>& bucket = buckets_[folded % settings_.buckets];
  for (Host& host : bucket) {
    if (host.shown.addr == probe.source) return host;
  }
  if (bucket.size() < kHostsPerBucket) {
    if (bucket.capacity() == 0) bucket.reserve(kHostsPerBucket);
    Host& added = bucket.emplace_back();
    added.packets = std::make_unique<ScanPacket[]>(std::size_t{settings_.ports} + 1);
    added.shown.packets = added.packets.get();
    added.shown.addr = probe.source;
    return added;
  }
  Host& oldest = *std::min_element(bucket.begin(), bucket.end(), [](const Host& a, const Host& b) {
    return a.touched < b.touched;
  });
  oldest.shown.addr = probe.source;
  oldest.shown.n_packets = 0;
  oldest.alarmed = false;
  return oldest;
}

const ScanHost* ScanLog::add(const ScanProbe& probe) {
  if (settings_.buckets == 0) return nullptr;
  Host& host = host_of(probe);
  host.touched = ++touches_;
  if (host.alarmed || is_stale(host, probe.clock)) host.shown.n_packets = 0;
  host.alarmed = false;
  host.last = probe.clock;
  host.shown.modtime = static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(probe.clock.time_since_epoch())
          .count() &
      0x7fffffff);
  ScanPacket* const end = host.shown.packets + host.shown.n_packets;
  const bool known = std::any_of(host.shown.packets, end, [&](const ScanPacket& packet) {
    return packet.addr == probe.target && packet.port == probe.port;
  });
  if (known) return nullptr;
  *end = {probe.target, probe.port, probe.flags};
  ++host.shown.n_packets;
  host.alarmed = static_cast<std::uint32_t>(host.shown.n_packets) > settings_.ports;
  return host.alarmed ? &host.shown : nullptr;
}

}  // namespace flowloom::nids
