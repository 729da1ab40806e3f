#include "compat/nids/scan_log.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "inspect/probe_judge.hpp"
#include "net/tcp_header.hpp"

namespace flowloom::nids {

namespace {

ScanSettings detector_settings(const ScanLog::Settings& settings, std::uint32_t hosts_per_bucket) {
  ScanSettings wanted;
  wanted.hosts = settings.buckets * hosts_per_bucket;
  wanted.delay = std::chrono::milliseconds{std::max(settings.delay_ms, 0)};
  wanted.ports = settings.ports;
  wanted.after = AfterAlarm::StartAnew;
  wanted.seed = settings.seed;
  return wanted;
}

int milliseconds_of(Timestamp clock) {
  constexpr std::int64_t kBits = 0x7fffffff;
  const auto since = std::chrono::floor<std::chrono::milliseconds>(clock.time_since_epoch());
  return static_cast<int>(since.count() & kBits);
}

}  // namespace

ScanLog::ScanLog(const Settings& settings) : settings_(settings) {
  if (settings.buckets == 0) return;
  if (settings.delay == ScanDelay::Honoured) {
    detector_.emplace(detector_settings(settings, kHostsPerBucket));
  } else {
    buckets_.resize(settings.buckets);
  }
}

ScanLog::Host& ScanLog::host_of(std::uint32_t source) {
  constexpr std::uint32_t kLowBits = 0xffff;
  constexpr unsigned kHighShift = 16;
  const std::uint32_t folded = (source & kLowBits) ^ (source >> kHighShift);
  std::vector<Host>& bucket = buckets_[folded % settings_.buckets];
  for (Host& host : bucket) {
    if (host.shown.addr == source) return host;
  }
  if (bucket.size() < kHostsPerBucket) {
    if (bucket.capacity() == 0) bucket.reserve(kHostsPerBucket);
    Host& added = bucket.emplace_back();
    added.packets = std::make_unique<ScanPacket[]>(std::size_t{settings_.ports} + 1);
    added.shown.packets = added.packets.get();
    added.shown.addr = source;
    return added;
  }
  Host& oldest = *std::min_element(bucket.begin(), bucket.end(), [](const Host& a, const Host& b) {
    return a.touched < b.touched;
  });
  oldest.shown.addr = source;
  oldest.shown.n_packets = 0;
  oldest.alarmed = false;
  return oldest;
}

const ScanHost* ScanLog::add(const ScanQuestion& asked) {
  if (detector_) return add_ageing(asked);
  if (buckets_.empty()) return nullptr;
  Host& host = host_of(asked.source);
  host.touched = ++touches_;
  if (host.alarmed) host.shown.n_packets = 0;
  host.alarmed = false;
  host.shown.modtime = milliseconds_of(asked.clock);
  ScanPacket* const end = host.shown.packets + host.shown.n_packets;
  const bool known = std::any_of(host.shown.packets, end, [&](const ScanPacket& packet) {
    return packet.addr == asked.target && packet.port == asked.port;
  });
  if (known) return nullptr;
  *end = {asked.target, asked.port, asked.flags};
  ++host.shown.n_packets;
  host.alarmed = static_cast<std::uint32_t>(host.shown.n_packets) > settings_.ports;
  return host.alarmed ? &host.shown : nullptr;
}

const ScanHost* ScanLog::add_ageing(const ScanQuestion& asked) {
  const auto kind = scan_kind_of(TcpFlags{asked.flags});
  if (!kind) return nullptr;
  clock_ = std::max(clock_, asked.clock);
  ScanProbe probe;
  probe.source = IpAddress::v4(reinterpret_cast<const std::uint8_t*>(&asked.source));
  probe.target = IpAddress::v4(reinterpret_cast<const std::uint8_t*>(&asked.target));
  probe.port = asked.port;
  probe.flags = asked.flags;
  probe.kind = *kind;
  probe.clock = clock_;
  probe.stamp = asked.clock;
  const ScanAlarm* const alarm = detector_->add(probe);
  if (alarm == nullptr) return nullptr;
  shown_packets_.clear();
  for (const ScanContact& contact : alarm->contacts) {
    constexpr std::size_t kIpv4Part = 12;
    shown_packets_.push_back({load_native<std::uint32_t>(contact.target.bytes.data() + kIpv4Part),
                              contact.port, contact.flags});
  }
  shown_ = {nullptr,
            nullptr,
            asked.source,
            milliseconds_of(clock_),
            static_cast<int>(shown_packets_.size()),
            shown_packets_.data()};
  return &shown_;
}

}  // namespace flowloom::nids
