// From probes to port scans: who asked more than so many distinct ports of hosts without a long
// pause. Keeps a fixed number of sources in reserved memory and takes time from the probes only, so
// the same probes in the same order give the same alarms. Judges no packet: see probe_judge.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/hash.hpp"
#include "base/memory.hpp"
#include "base/time.hpp"
#include "net/ip_address.hpp"
#include "stream/probe.hpp"

namespace flowloom {

/// What becomes of a source that was alarmed of.
enum class AfterAlarm : std::uint8_t {
  CountOn,    ///< one alarm and, when it has been quiet for a while, the totals
  StartAnew   ///< as libnids does: an alarm for every further so many ports
};

struct ScanSettings {
  std::uint32_t hosts = 8192;                    ///< sources that are remembered at a time
  Duration delay = std::chrono::seconds{3};      ///< longest pause of a source
  std::uint32_t ports = 10;                      ///< distinct ones that are still no scan
  AfterAlarm after = AfterAlarm::CountOn;
  HashSeed seed{};
};

/// Asking again for what was asked before keeps a source's count alive too, but only for so many
/// pauses: scanners repeat what was not answered, and so does a client whose one server is down.
inline constexpr int kRepeatedPauses = 5;

/// A source that was alarmed of is done when it has asked nothing for so long, or for `delay`.
inline constexpr Duration kScanLull = std::chrono::seconds{60};

/// A word of the caller's that goes with a probe: the name of its connection.
using ProbeTag = std::array<char, 20>;

struct ScanProbe {
  IpAddress source;
  IpAddress target;
  std::uint16_t port = 0;
  std::uint8_t flags = 0;
  ScanKind kind = ScanKind::Syn;
  ProbeAnswer answer = ProbeAnswer::Silence;
  bool ipv6 = false;
  Timestamp clock;  ///< decides; does not decrease from probe to probe
  Timestamp stamp;  ///< only reported
  ProbeTag tag{};
};

/// One distinct (target, port, flags) of a source.
struct ScanContact {
  IpAddress target;
  Timestamp stamp;
  ProbeTag tag;
  std::uint16_t port;
  std::uint8_t flags;
  ScanKind kind;
  ProbeAnswer answer;
};
static_assert(sizeof(ScanContact) == 56, "docs/memory.md");

/// Over what a scan spreads.
enum class ScanSpread : std::uint8_t { Ports, Hosts, Both };
inline constexpr std::array<std::string_view, 3> kScanSpreadNames = {"ports", "hosts", "both"};

/// A source has just asked for one port too many. Valid until the next call.
struct ScanAlarm {
  IpAddress source;
  bool ipv6 = false;
  ScanKind scan = ScanKind::Syn;  ///< what most of it is
  ScanSpread spread = ScanSpread::Ports;
  std::span<const ScanContact> contacts;  ///< ports + 1 of them, in order
};

/// Totals of a scan that was alarmed of.
struct ScanTotals {
  IpAddress source;
  bool ipv6 = false;
  Timestamp first;
  Timestamp last;
  std::uint64_t probes = 0;    ///< repeated ones too
  std::uint32_t ports = 0;     ///< distinct port numbers
  std::uint32_t targets = 0;   ///< distinct hosts
  bool more_targets = false;   ///< there were more than could be told apart
  std::array<std::uint64_t, kScanKindNames.size()> kinds{};
  std::array<std::uint64_t, kProbeAnswerNames.size()> answers{};
};

/// Limits that cost knowledge; all 0 in ordinary traffic.
struct ScanLosses {
  std::uint64_t sources_forgotten = 0;  ///< or not even remembered, for want of room
  std::uint64_t scans_not_counted = 0;  ///< alarmed of, without totals
};

class ScanDetector {
 public:
  /// Scans whose totals are counted at a time.
  static constexpr std::uint32_t kTallies = 64;
  /// Distinct hosts of one scan that are told apart.
  static constexpr std::uint32_t kTargetsMax = 3072;

  explicit ScanDetector(const ScanSettings& settings);

  /// Takes one probe; an alarm, or nullptr.
  const ScanAlarm* add(const ScanProbe& probe);

  /// A scan that is over by `now`, longest quiet first; call until it returns nothing.
  std::optional<ScanTotals> take_ended(Timestamp now) {
    if (now <= next_end_) return std::nullopt;
    return find_ended(now);
  }
  /// The same at the end, for scans that go on.
  std::optional<ScanTotals> take_any() { return find_ended(kTimeMax); }

  [[nodiscard]] const ScanLosses& losses() const { return losses_; }
  [[nodiscard]] std::size_t reserved_bytes() const {
    return sources_.bytes() + contacts_.bytes() + tallies_.bytes();
  }

 private:
  static constexpr std::uint32_t kWays = 8;  ///< places that a source may have
  /// Where these are taken, one new source of so many gets one of them: the fewer come in, the
  /// longer they stay, so that one that asks again is met again.
  static constexpr std::uint64_t kAdmitOneOf = 16;

  struct Source {
    IpAddress address;
    IpAddress only_target;    // of kinds that are judged per target; else zero
    Timestamp last_clock;     // of its latest probe
    Timestamp new_clock;      // of its latest new contact
    std::uint32_t count;      // of contacts; 0: free
    std::uint32_t tally;      // index plus one; 0: none
    bool alarmed;
  };
  static_assert(sizeof(Source) == 64, "one cache line; docs/memory.md");
  struct Tally {
    static constexpr std::uint32_t kTargetSlots = 4096;
    ScanTotals totals;
    Timestamp last_clock;
    bool used;
    std::array<std::uint64_t, 65536 / 64> ports;
    std::array<std::uint64_t, kTargetSlots> targets;
  };

  Source* source_of(const ScanProbe& probe);
  [[nodiscard]] bool is_over(const Source& source, Timestamp now) const;
  [[nodiscard]] std::span<ScanContact> contacts_of(const Source& source);
  bool note(Source& source, const ScanProbe& probe);
  const ScanAlarm* raise(Source& source, const ScanProbe& probe);
  void start_tally(Source& source, const ScanProbe& probe);
  void count(Source& source, const ScanProbe& probe);
  void count_target(Tally& tally, const IpAddress& target) const;
  std::optional<ScanTotals> find_ended(Timestamp now);
  [[nodiscard]] Duration lull() const;

  const ScanSettings settings_;
  Duration longest_repeat_;
  std::uint32_t buckets_;
  ReservedArray<Source> sources_;
  ReservedArray<ScanContact> contacts_;  // ports + 1 for each source
  ReservedArray<Tally> tallies_;
  Timestamp next_end_ = kTimeMax;        // no tally ends before it
  std::uint64_t turned_away_ = 0;
  ScanAlarm alarm_;
  ScanLosses losses_;
};

}  // namespace flowloom
