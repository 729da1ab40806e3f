// From probes to alarms: thresholds, ageing on packet time, floods, totals; and against a model
// that remembers everything.
#include "inspect/scan_detector.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <set>
#include <tuple>

namespace flowloom {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

IpAddress address(std::uint32_t n) {
  const std::uint8_t four[4] = {static_cast<std::uint8_t>(n >> 24),
                                static_cast<std::uint8_t>(n >> 16),
                                static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
  return IpAddress::v4(four);
}

ScanProbe probe(std::uint32_t source, std::uint32_t target, unsigned port, Duration at,
                ScanKind kind = ScanKind::Syn) {
  ScanProbe p;
  p.source = address(source);
  p.target = address(target);
  p.port = static_cast<std::uint16_t>(port);
  p.kind = kind;
  p.flags = static_cast<std::uint8_t>(kind);
  p.clock = p.stamp = Timestamp{at};
  return p;
}

TEST(ScanDetector, OnePortMoreThanAllowed) {
  ScanDetector detector(ScanSettings{});
  for (unsigned port = 1; port <= 10; ++port) {
    for (int repeat = 0; repeat < 3; ++repeat) {
      EXPECT_EQ(detector.add(probe(1, 2, port, milliseconds{port})), nullptr) << port;
    }
  }
  const ScanAlarm* alarm = detector.add(probe(1, 2, 11, milliseconds{11}));
  ASSERT_NE(alarm, nullptr);
  EXPECT_EQ(alarm->source, address(1));
  EXPECT_EQ(alarm->scan, ScanKind::Syn);
  EXPECT_EQ(alarm->spread, ScanSpread::Ports);
  ASSERT_EQ(alarm->contacts.size(), 11U);
  for (unsigned i = 0; i < 11; ++i) EXPECT_EQ(alarm->contacts[i].port, i + 1);
  EXPECT_EQ(detector.add(probe(1, 2, 12, milliseconds{12})), nullptr) << "one alarm a scan";
}

TEST(ScanDetector, SpreadOverHostsAndOverBoth) {
  ScanDetector detector(ScanSettings{.ports = 2});
  detector.add(probe(1, 10, 80, seconds{0}));
  detector.add(probe(1, 11, 80, seconds{0}));
  EXPECT_EQ(detector.add(probe(1, 12, 80, seconds{0}))->spread, ScanSpread::Hosts);
  detector.add(probe(2, 10, 80, seconds{0}));
  detector.add(probe(2, 11, 80, seconds{0}));
  EXPECT_EQ(detector.add(probe(2, 11, 81, seconds{0}))->spread, ScanSpread::Both);
}

TEST(ScanDetector, APauseBeginsAnew) {
  ScanDetector detector(ScanSettings{.delay = seconds{3}, .ports = 4});
  Duration now{};
  for (unsigned i = 0; i < 100; ++i) {  // libnids' counts never age
    now += i % 4 == 0 ? seconds{3} + Duration{1} : milliseconds{10};
    EXPECT_EQ(detector.add(probe(1, 2, 1000 + i, now)), nullptr) << i;
  }
  for (unsigned i = 0; i < 4; ++i) detector.add(probe(2, 2, i, now + i * seconds{3}));
  EXPECT_NE(detector.add(probe(2, 2, 4, now + 4 * seconds{3})), nullptr) << "just in time";
}

TEST(ScanDetector, RepetitionsBridgeAFewPausesOnly) {
  ScanDetector detector(ScanSettings{.delay = seconds{3}, .ports = 1});
  detector.add(probe(1, 2, 1, seconds{0}));
  for (int s = 2; s <= 14; s += 2) detector.add(probe(1, 2, 1, seconds{s}));
  EXPECT_NE(detector.add(probe(1, 2, 2, seconds{15})), nullptr);
  detector.add(probe(2, 2, 1, seconds{0}));
  for (int s = 2; s <= 14; s += 2) detector.add(probe(2, 2, 1, seconds{s}));
  EXPECT_EQ(detector.add(probe(2, 2, 2, seconds{16})), nullptr);
}

TEST(ScanDetector, BareAcksCountPerTarget) {
  ScanDetector detector(ScanSettings{.ports = 3});
  for (unsigned n = 0; n < 50; ++n) {
    EXPECT_EQ(detector.add(probe(1, 100 + n, 443, seconds{1}, ScanKind::Ack)), nullptr);
  }
  for (unsigned n = 1; n <= 3; ++n) {
    EXPECT_EQ(detector.add(probe(1, 7, n, seconds{1}, ScanKind::Ack)), nullptr);
  }
  EXPECT_EQ(detector.add(probe(1, 7, 4, seconds{1}, ScanKind::Ack))->scan, ScanKind::Ack);
}

TEST(ScanDetector, OpenPortsTellSynFromConnect) {
  const auto name = [](ScanKind open, ScanKind closed) {
    ScanDetector detector(ScanSettings{.ports = 3});
    for (unsigned n = 1; n <= 3; ++n) detector.add(probe(1, 2, n, seconds{1}, closed));
    ScanProbe p = probe(1, 2, 4, seconds{1}, open);
    p.answer = ProbeAnswer::Accepted;
    return detector.add(p)->scan;
  };
  EXPECT_EQ(name(ScanKind::Connect, ScanKind::Syn), ScanKind::Connect);
  EXPECT_EQ(name(ScanKind::Syn, ScanKind::Connect), ScanKind::Syn);
  EXPECT_EQ(name(ScanKind::Connect, ScanKind::Xmas), ScanKind::Xmas);
}

TEST(ScanDetector, AnsweredProbesOfOtherKindsAreNoBrokenHandshakes) {
  ScanDetector detector(ScanSettings{.ports = 3});
  for (unsigned port = 1; port <= 3; ++port) {
    ScanProbe odd = probe(1, 2, port, milliseconds{port}, port == 1 ? ScanKind::Odd
                                                                    : ScanKind::Connect);
    odd.answer = port == 1 ? ProbeAnswer::Accepted : ProbeAnswer::Refused;
    EXPECT_EQ(detector.add(odd), nullptr);
  }
  const ScanAlarm* alarm = detector.add(probe(1, 2, 4, milliseconds{4}, ScanKind::Connect));
  ASSERT_NE(alarm, nullptr);
  EXPECT_EQ(alarm->scan, ScanKind::Connect) << "nobody broke a handshake off";
}

TEST(ScanDetector, TotalsComeWhenItIsQuiet) {
  ScanDetector detector(ScanSettings{});
  for (unsigned port = 1; port <= 1000; ++port) {
    detector.add(probe(1, 2 + port % 3, port, milliseconds{port}));
  }
  EXPECT_FALSE(detector.take_ended(Timestamp{seconds{1} + kScanLull}));
  const auto totals = detector.take_ended(Timestamp{seconds{1} + kScanLull + Duration{1}});
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->probes, 1000U);
  EXPECT_EQ(totals->ports, 1000U);
  EXPECT_EQ(totals->targets, 3U);
  EXPECT_FALSE(totals->more_targets);
  EXPECT_EQ(totals->first, Timestamp{milliseconds{1}});
  EXPECT_EQ(totals->last, Timestamp{seconds{1}});
  EXPECT_FALSE(detector.take_any());
  for (unsigned port = 1; port <= 10; ++port) {
    EXPECT_EQ(detector.add(probe(1, 2, port, seconds{62})), nullptr);
  }
  EXPECT_NE(detector.add(probe(1, 2, 11, seconds{62})), nullptr) << "a scan of its own";
}

TEST(ScanDetector, TargetsBeyondTheLimitAreSaidToBeMore) {
  ScanDetector detector(ScanSettings{});
  for (unsigned n = 0; n <= ScanDetector::kTargetsMax; ++n) {
    detector.add(probe(1, 1000 + n, 80, seconds{1}));
  }
  const auto totals = detector.take_any();
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->targets, ScanDetector::kTargetsMax);
  EXPECT_TRUE(totals->more_targets);
}

TEST(ScanDetector, MoreScansThanTalliesAreAlarmedOfAllTheSame) {
  ScanDetector detector(ScanSettings{.ports = 1});
  unsigned alarms = 0;
  for (unsigned n = 0; n < ScanDetector::kTallies + 5; ++n) {
    detector.add(probe(n, 2, 1, seconds{1}));
    if (detector.add(probe(n, 2, 2, seconds{1})) != nullptr) ++alarms;
  }
  EXPECT_EQ(alarms, ScanDetector::kTallies + 5);
  EXPECT_EQ(detector.losses().scans_not_counted, 5U);
}

TEST(ScanDetector, StartAnewAlarmsForEverySoManyPorts) {
  ScanDetector detector(ScanSettings{.ports = 4, .after = AfterAlarm::StartAnew});
  unsigned alarms = 0;
  for (unsigned port = 0; port < 50; ++port) {
    if (detector.add(probe(1, 2, port, seconds{1})) != nullptr) ++alarms;
  }
  EXPECT_EQ(alarms, 10U);
  EXPECT_FALSE(detector.take_any());
}

// A million invented sources, and a scanner who asks once for every five thousand of them.
TEST(ScanDetector, AFloodFromInventedSourcesDoesNotHideAScanner) {
  ScanSettings settings;
  settings.hosts = 1024;
  ScanDetector detector(settings);
  std::mt19937 random(7);
  const std::size_t memory = detector.reserved_bytes();
  bool found = false;
  for (unsigned n = 0; n < 1'000'000; ++n) {
    const Duration now = std::chrono::microseconds{n};
    const auto invented = static_cast<std::uint32_t>(random()) | 0x80000000U;
    EXPECT_EQ(detector.add(probe(invented, 2, 80, now)), nullptr);
    if (n % 5000 == 0) found |= detector.add(probe(1, 2, n / 5000, now)) != nullptr;
  }
  EXPECT_TRUE(found);
  EXPECT_GT(detector.losses().sources_forgotten, 900'000U);
  EXPECT_EQ(detector.reserved_bytes(), memory);
}

/// Remembers every source for ever, in maps.
class Model {
 public:
  Model(Duration delay, std::size_t ports) : delay_(delay), ports_(ports) {}
  bool add(const ScanProbe& p) {
    Source& s = sources_[p.source];
    if (s.known) {
      const Duration quiet = p.clock - s.last;
      const bool over = s.alarmed ? quiet > std::max(delay_, kScanLull)
                                  : quiet > delay_ || p.clock - s.latest_new > 5 * delay_;
      if (over) s = Source{};
    }
    s.known = true;
    s.last = p.clock;
    if (s.asked.insert({p.target, p.port, p.flags}).second) s.latest_new = p.clock;
    const bool alarm = !s.alarmed && s.asked.size() > ports_;
    s.alarmed |= alarm;
    return alarm;
  }

 private:
  struct Source {
    bool known = false;
    bool alarmed = false;
    Timestamp last;
    Timestamp latest_new;
    std::set<std::tuple<IpAddress, std::uint16_t, std::uint8_t>> asked;
  };
  Duration delay_;
  std::size_t ports_;
  std::map<IpAddress, Source> sources_;
};

TEST(ScanDetector, AlarmsLikeAModelThatForgetsNothing) {
  unsigned alarms = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return static_cast<unsigned>(random()) % n; };
    const unsigned ports = 1 + below(12);
    ScanDetector detector(ScanSettings{.delay = seconds{2}, .ports = ports});
    Model model(seconds{2}, ports);
    Duration now{};
    for (unsigned n = 0; n < 20'000; ++n) {
      now += milliseconds{below(200) == 0 ? below(70'000) : below(40)};
      const ScanProbe p = probe(below(40), below(3), below(30), now);
      const bool expected = model.add(p);
      ASSERT_EQ(detector.add(p) != nullptr, expected) << "seed " << seed << ", probe " << n;
      alarms += expected;
    }
    EXPECT_EQ(detector.losses().sources_forgotten, 0U);
  }
  EXPECT_GT(alarms, 500U);
}

}  // namespace
}  // namespace flowloom
