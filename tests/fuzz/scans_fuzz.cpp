// Any probes to the detector of port scans. What an alarm names was asked by its source, each thing
// once, and the totals hold the alarm's contacts. As long as nothing is forgotten, a detector with
// another hash and more room says the same.
//
// An input: settings (3 bytes), then 5 bytes a probe.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <set>
#include <tuple>
#include <vector>

#include "base/check.hpp"
#include "fuzz/fuzz_bytes.hpp"
#include "inspect/scan_detector.hpp"

namespace flowloom {
namespace {

constexpr std::size_t kProbesMax = 20'000;

IpAddress address(std::uint8_t number) {
  const std::uint8_t bytes[] = {10, 0, 0, number};
  return IpAddress::v4(bytes);
}

ScanSettings settings_of(fuzz::FuzzBytes& input) {
  ScanSettings settings;
  const std::uint8_t bits = input.u8();
  settings.after = (bits & 1) != 0 ? AfterAlarm::StartAnew : AfterAlarm::CountOn;
  settings.hosts = 1U << ((bits >> 1U) & 7U);
  settings.ports = 1 + input.u8() % 16U;
  settings.delay = std::chrono::milliseconds{input.u8() * 20U};
  settings.seed = {1, 2};
  return settings;
}

/// How long after the one before it: mostly at once, now and then beyond every pause.
Duration pause_of(std::uint8_t value) {
  constexpr unsigned kLong = 200;
  if (value < kLong) return std::chrono::milliseconds{value};
  return std::chrono::seconds{value - kLong};
}

ScanProbe probe_of(fuzz::FuzzBytes& input, Timestamp& clock) {
  const std::uint8_t who = input.u8();
  const std::uint8_t what = input.u8();
  ScanProbe probe;
  probe.source = address(who);
  probe.target = address(input.u8());
  probe.port = input.u8();
  probe.kind = static_cast<ScanKind>(what % kScanKindNames.size());
  probe.answer = static_cast<ProbeAnswer>((what >> 3U) % kProbeAnswerNames.size());
  probe.flags = static_cast<std::uint8_t>(what >> 6U);
  clock = saturating_add(clock, pause_of(input.u8()));
  probe.clock = clock;
  probe.stamp = clock;
  return probe;
}

/// What a detector said, as text that can be compared.
using Said = std::vector<std::tuple<IpAddress, std::uint64_t, std::uint64_t, std::uint64_t>>;

class Watch {
 public:
  explicit Watch(const ScanSettings& settings) : settings_(settings), detector_(settings) {}

  void take(const ScanProbe& probe) {
    while (const auto totals = detector_.take_ended(probe.clock)) note(*totals);
    asked_.insert(key(probe.source, probe));
    const ScanAlarm* alarm = detector_.add(probe);
    if (alarm != nullptr) note(*alarm, probe);
  }
  void finish() {
    while (const auto totals = detector_.take_any()) note(*totals);
  }
  [[nodiscard]] bool has_lost() const {
    return detector_.losses().sources_forgotten + detector_.losses().scans_not_counted > 0;
  }
  [[nodiscard]] const Said& said() const { return said_; }

 private:
  using Key = std::tuple<std::array<std::uint8_t, 16>, std::array<std::uint8_t, 16>, std::uint16_t,
                         std::uint8_t>;
  template <class Asked>
  static Key key(const IpAddress& source, const Asked& asked) {
    return {source.bytes, asked.target.bytes, asked.port, asked.flags};
  }

  void note(const ScanAlarm& alarm, const ScanProbe& probe) {
    FLOWLOOM_CHECK(alarm.source == probe.source);
    FLOWLOOM_CHECK(alarm.contacts.size() == settings_.ports + 1);
    std::set<Key> distinct;
    for (const ScanContact& contact : alarm.contacts) {
      FLOWLOOM_CHECK(asked_.contains(key(alarm.source, contact)));
      distinct.insert(key(alarm.source, contact));
    }
    FLOWLOOM_CHECK(distinct.size() == alarm.contacts.size());
    FLOWLOOM_CHECK(std::any_of(alarm.contacts.begin(), alarm.contacts.end(),
                               [&](const ScanContact& c) { return c.kind == alarm.scan; }));
    ++alarms_;
    said_.emplace_back(alarm.source, static_cast<std::uint64_t>(alarm.scan),
                       static_cast<std::uint64_t>(alarm.spread), distinct.size());
  }

  void note(const ScanTotals& totals) {
    FLOWLOOM_CHECK(settings_.after == AfterAlarm::CountOn && alarms_-- > 0);
    FLOWLOOM_CHECK(totals.probes > settings_.ports && totals.first <= totals.last);
    FLOWLOOM_CHECK(totals.ports > 0 && totals.ports <= totals.probes);
    FLOWLOOM_CHECK(totals.targets > 0 && totals.targets <= totals.probes);
    FLOWLOOM_CHECK(std::accumulate(totals.kinds.begin(), totals.kinds.end(), std::uint64_t{0}) ==
                   totals.probes);
    FLOWLOOM_CHECK(std::accumulate(totals.answers.begin(), totals.answers.end(),
                                   std::uint64_t{0}) == totals.probes);
    said_.emplace_back(totals.source, totals.probes, totals.ports, totals.targets);
  }

  ScanSettings settings_;
  ScanDetector detector_;
  std::set<Key> asked_;
  std::uint64_t alarms_ = 0;
  Said said_;
};

void compare_two(fuzz::FuzzBytes input) {
  const ScanSettings settings = settings_of(input);
  ScanSettings roomy = settings;
  roomy.hosts = 1024;
  roomy.seed = {0x9e3779b97f4a7c15, 77};
  Watch watch(settings);
  Watch other(roomy);
  Timestamp clock{};
  for (std::size_t i = 0; i < kProbesMax && !input.empty(); ++i) {
    const ScanProbe probe = probe_of(input, clock);
    watch.take(probe);
    other.take(probe);
  }
  watch.finish();
  other.finish();
  if (!watch.has_lost() && !other.has_lost()) FLOWLOOM_CHECK(watch.said() == other.said());
}

}  // namespace
}  // namespace flowloom

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flowloom::compare_two(flowloom::fuzz::FuzzBytes(data, size));
  return 0;
}
