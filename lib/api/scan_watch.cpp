#include "api/scan_watch.hpp"

namespace flowloom {

namespace {

ScanSettings settings_for(const ExtractorOptions& options) {
  ScanSettings settings;
  settings.ports = options.scan_ports;
  settings.delay = options.scan_delay;
  return settings;
}

ScanAlert alert_of(const ScanAlarm& alarm) {
  ScanAlert alert;
  alert.source = {alarm.source.bytes, 0, alarm.ipv6};
  alert.kind = kScanKindNames[static_cast<std::size_t>(alarm.scan)];
  alert.across = kScanSpreadNames[static_cast<std::size_t>(alarm.spread)];
  for (const ScanContact& contact : alarm.contacts) {
    alert.targets.push_back({contact.target.bytes, contact.port, alarm.ipv6});
  }
  alert.first = alarm.contacts.front().stamp.time_since_epoch();
  alert.last = alarm.contacts.back().stamp.time_since_epoch();
  return alert;
}

}  // namespace

ScanWatch::ScanWatch(const ExtractorOptions& options) : detector_(settings_for(options)) {}

std::optional<ScanAlert> ScanWatch::add(const EventKey& key, const ConnectionRecord& record,
                                        const Probe& probe) {
  while (detector_.take_ended(key.clock)) continue; // their totals are not told
  const Endpoint& target = record.side(reverse(probe.sender)).endpoint;
  const ScanProbe asked{.source = record.side(probe.sender).endpoint.address,
                        .target = target.address,
                        .port = target.port,
                        .flags = probe.flags,
                        .kind = probe.kind,
                        .answer = probe.answer,
                        .ipv6 = record.ipv6,
                        .clock = key.clock,
                        .stamp = record.start,
                        .tag = {}};
  const ScanAlarm* alarm = detector_.add(asked);
  if (alarm == nullptr) return std::nullopt;
  return alert_of(*alarm);
}

}  // namespace flowloom
