#include "inspect/scan_detector.hpp"

#include <algorithm>
#include <cstring>

#include "base/bytes.hpp"

namespace flowloom {

namespace {

/// A bare ACK or FIN may also be what is left of a connection: many of them to one host are a scan,
/// to many hosts they are a client with many servers.
bool is_judged_per_target(ScanKind kind) {
  return kind == ScanKind::Ack || kind == ScanKind::Maimon;
}

std::uint64_t hash_address(const IpAddress& address, std::uint64_t key, const HashSeed& seed) {
  const auto high = load_native<std::uint64_t>(address.bytes.data());
  const auto low = load_native<std::uint64_t>(address.bytes.data() + 8);
  return mix(mix(high ^ seed.a, low ^ seed.b) ^ key, seed.a | 1);
}

std::uint32_t bucket_count(std::uint32_t hosts, std::uint32_t ways) {
  return std::max<std::uint32_t>((hosts + ways - 1) / ways, 1);
}

Duration repeated(Duration delay) {
  return delay > Duration::max() / kRepeatedPauses ? Duration::max() : delay * kRepeatedPauses;
}

/// Of SYN and connect scans the answered probes tell most: hosts that were found open either had
/// the handshake completed or not. Otherwise what most of them look like.
ScanKind name_of(std::span<const ScanContact> contacts) {
  std::array<std::uint32_t, kScanKindNames.size()> kinds{};
  std::uint32_t broken_off = 0;
  std::uint32_t completed = 0;
  for (const ScanContact& contact : contacts) {
    ++kinds[static_cast<std::size_t>(contact.kind)];
    if (contact.answer != ProbeAnswer::Accepted) continue;
    if (contact.kind == ScanKind::Connect) ++completed;
    if (contact.kind == ScanKind::Syn) ++broken_off;
  }
  const auto best = std::max_element(kinds.begin(), kinds.end()) - kinds.begin();
  const auto kind = static_cast<ScanKind>(best);
  if (kind != ScanKind::Syn && kind != ScanKind::Connect) return kind;
  if (completed == broken_off) return kind;
  return completed > broken_off ? ScanKind::Connect : ScanKind::Syn;
}

ScanSpread spread_of(std::span<const ScanContact> contacts) {
  const ScanContact& first = contacts.front();
  const auto same_target = [&](const ScanContact& c) { return c.target == first.target; };
  const auto same_port = [&](const ScanContact& c) { return c.port == first.port; };
  if (std::all_of(contacts.begin(), contacts.end(), same_target)) return ScanSpread::Ports;
  return std::all_of(contacts.begin(), contacts.end(), same_port) ? ScanSpread::Hosts
                                                                  : ScanSpread::Both;
}

}  // namespace

ScanDetector::ScanDetector(const ScanSettings& settings)
    : settings_(settings),
      longest_repeat_(repeated(settings.delay)),
      buckets_(bucket_count(settings.hosts, kWays)),
      sources_(std::size_t{buckets_} * kWays),
      contacts_(sources_.size() * (std::size_t{settings.ports} + 1)),
      tallies_(settings.after == AfterAlarm::CountOn ? kTallies : 0) {}

Duration ScanDetector::lull() const { return std::max(settings_.delay, kScanLull); }

bool ScanDetector::is_over(const Source& source, Timestamp now) const {
  if (source.alarmed) return saturating_add(source.last_clock, lull()) < now;
  return saturating_add(source.last_clock, settings_.delay) < now ||
         saturating_add(source.new_clock, longest_repeat_) < now;
}

std::span<ScanContact> ScanDetector::contacts_of(const Source& source) {
  const auto index = static_cast<std::size_t>(&source - sources_.data());
  const std::size_t each = std::size_t{settings_.ports} + 1;
  return {contacts_.data() + index * each, each};
}

// Where a bucket is full, the source goes that has asked for least, and among equals the one that
// was quiet for longest: a flood from invented addresses, each with a packet or two, displaces
// itself and not a scanner.
ScanDetector::Source* ScanDetector::source_of(const ScanProbe& probe) {
  const IpAddress only = is_judged_per_target(probe.kind) ? probe.target : IpAddress{};
  const std::uint64_t hash =
      hash_address(probe.source, hash_address(only, 0, settings_.seed), settings_.seed);
  __extension__ using Product = unsigned __int128;
  const auto bucket = static_cast<std::size_t>((static_cast<Product>(hash) * buckets_) >> 64);
  Source* const first = &sources_[bucket * kWays];
  Source* victim = nullptr;
  const auto worth = [&](const Source& s) {
    return s.count == 0 || is_over(s, probe.clock) ? 0 : s.count;
  };
  for (Source* s = first; s != first + kWays; ++s) {
    if (s->count > 0 && s->address == probe.source && s->only_target == only) return s;
    if (victim == nullptr || worth(*s) < worth(*victim) ||
        (worth(*s) == worth(*victim) && s->last_clock < victim->last_clock)) {
      victim = s;
    }
  }
  if (worth(*victim) > 0) {
    ++losses_.sources_forgotten;
    if (++turned_away_ % kAdmitOneOf != 0) return nullptr;
  }
  *victim = Source{};
  victim->address = probe.source;
  victim->only_target = only;
  return victim;
}

const ScanAlarm* ScanDetector::add(const ScanProbe& probe) {
  Source* const place = source_of(probe);
  if (place == nullptr) return nullptr;
  Source& source = *place;
  if (source.count > 0 && is_over(source, probe.clock)) {
    source.count = 0;
    source.alarmed = false;
    source.tally = 0;
  }
  if (source.alarmed) {
    source.last_clock = probe.clock;
    count(source, probe);
    return nullptr;
  }
  if (!note(source, probe)) return nullptr;
  return source.count > settings_.ports ? raise(source, probe) : nullptr;
}

/// False where the source has asked for this before: that is no news.
bool ScanDetector::note(Source& source, const ScanProbe& probe) {
  const std::span<ScanContact> contacts = contacts_of(source);
  source.last_clock = probe.clock;
  for (const ScanContact& known : contacts.first(source.count)) {
    if (known.port == probe.port && known.flags == probe.flags && known.target == probe.target) {
      return false;
    }
  }
  contacts[source.count++] = ScanContact{probe.target, probe.stamp, probe.tag,   probe.port,
                                         probe.flags,  probe.kind,  probe.answer};
  source.new_clock = probe.clock;
  return true;
}

const ScanAlarm* ScanDetector::raise(Source& source, const ScanProbe& probe) {
  const std::span<const ScanContact> contacts = contacts_of(source).first(source.count);
  alarm_.source = source.address;
  alarm_.ipv6 = probe.ipv6;
  alarm_.scan = name_of(contacts);
  alarm_.spread = spread_of(contacts);
  alarm_.contacts = contacts;
  if (settings_.after == AfterAlarm::StartAnew) {
    source.count = 0; // the contacts stay readable until the next call
  } else {
    source.alarmed = true;
    start_tally(source, probe);
  }
  return &alarm_;
}

void ScanDetector::start_tally(Source& source, const ScanProbe& probe) {
  for (std::uint32_t i = 0; i < kTallies; ++i) {
    Tally& tally = tallies_[i];
    if (tally.used) continue;
    std::memset(static_cast<void*>(&tally), 0, sizeof tally);
    tally.used = true;
    tally.totals.source = source.address;
    tally.totals.ipv6 = probe.ipv6;
    source.tally = i + 1;
    ScanProbe each = probe;
    for (const ScanContact& contact : contacts_of(source).first(source.count)) {
      each.target = contact.target;
      each.stamp = contact.stamp;
      each.port = contact.port;
      each.kind = contact.kind;
      each.answer = contact.answer;
      count(source, each);
    }
    next_end_ = std::min(next_end_, saturating_add(probe.clock, lull()));
    return;
  }
  ++losses_.scans_not_counted;
}

void ScanDetector::count(Source& source, const ScanProbe& probe) {
  if (source.tally == 0) return;
  Tally& tally = tallies_[source.tally - 1];
  ScanTotals& totals = tally.totals;
  if (totals.probes++ == 0) totals.first = totals.last = probe.stamp;
  totals.first = std::min(totals.first, probe.stamp);
  totals.last = std::max(totals.last, probe.stamp);
  tally.last_clock = probe.clock;
  ++totals.kinds[static_cast<std::size_t>(probe.kind)];
  ++totals.answers[static_cast<std::size_t>(probe.answer)];
  std::uint64_t& word = tally.ports[probe.port / 64];
  const std::uint64_t bit = std::uint64_t{1} << (probe.port % 64);
  if ((word & bit) == 0) ++totals.ports;
  word |= bit;
  count_target(tally, probe.target);
}

void ScanDetector::count_target(Tally& tally, const IpAddress& target) const {
  const std::uint64_t mark = hash_address(target, 1, settings_.seed) | 1;
  constexpr std::uint32_t kMask = Tally::kTargetSlots - 1;
  for (auto slot = static_cast<std::uint32_t>(mark >> 32) & kMask;; slot = (slot + 1) & kMask) {
    if (tally.targets[slot] == mark) return;
    if (tally.targets[slot] != 0) continue;
    if (tally.totals.targets == kTargetsMax) {
      tally.totals.more_targets = true;
    } else {
      tally.targets[slot] = mark;
      ++tally.totals.targets;
    }
    return;
  }
}

// A source that was displaced leaves its tally behind, which ends here like any other.
std::optional<ScanTotals> ScanDetector::find_ended(Timestamp now) {
  Tally* oldest = nullptr;
  Timestamp next = kTimeMax;
  for (std::size_t i = 0; i < tallies_.size(); ++i) {
    Tally& tally = tallies_[i];
    if (!tally.used) continue;
    const Timestamp end = saturating_add(tally.last_clock, lull());
    if ((end < now || now == kTimeMax) &&
        (oldest == nullptr || tally.last_clock < oldest->last_clock)) {
      oldest = &tally;
    }
    next = std::min(next, end);
  }
  next_end_ = next;
  if (oldest == nullptr) return std::nullopt;
  oldest->used = false;
  return oldest->totals;
}

}  // namespace flowloom
