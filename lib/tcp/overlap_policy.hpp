// Which copy wins where segments overlap with different bytes before they are delivered: the
// policies by name. Hosts differ here, and whoever hides from an analyst uses it. A policy is an
// algorithm over what is in the queue (overlap_rules.hpp), not a table of pairs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flowloom {

/// Applied among held bytes only: what has been delivered never changes. One per algorithm;
/// systems that share one are aliases in kOverlapNames.
enum class OverlapPolicy : std::uint8_t {
  Bsd,           ///< starts earlier wins, same start: old; covered successors are deleted
  First,         ///< old
  Last,          ///< new
  Freebsd12,     ///< as Bsd, but pieces that touch become one
  Linux,         ///< starts earlier wins, same start: the longer, same extent: old; nothing is cut
  LinuxModern,   ///< as Linux, but what begins where the segment before it ends is joined to it
  OldLinux,      ///< as Linux, but same extent: new
  Solaris,       ///< illumos: tails are cut where the next one starts; the head of the queue stays
  SolarisSnort   ///< the same from the left: predecessor first; duplicates by Snort's rule
};
inline constexpr std::size_t kOverlapPolicyCount = 9;

struct OverlapName {
  std::string_view name;
  OverlapPolicy policy;
  std::string_view stands_for;
};

/// What `--overlap` takes. The first nine are the algorithms themselves, in the order of the
/// enumeration.
inline constexpr auto kOverlapNames = std::to_array<OverlapName>({
    {"bsd", OverlapPolicy::Bsd, "FreeBSD up to 11, OpenBSD"},
    {"first", OverlapPolicy::First, "the first to arrive"},
    {"last", OverlapPolicy::Last, "the last to arrive"},
    {"freebsd-12", OverlapPolicy::Freebsd12, "FreeBSD from 12; Snort's bsd"},
    {"linux", OverlapPolicy::Linux, "Linux 2.4 to 4.18"},
    {"linux-modern", OverlapPolicy::LinuxModern, "Linux from 4.20, where buffers can be joined"},
    {"old-linux", OverlapPolicy::OldLinux, "Linux up to 2.2"},
    {"solaris", OverlapPolicy::Solaris, "Solaris from 9, illumos"},
    {"solaris-snort", OverlapPolicy::SolarisSnort, "Solaris as Snort has it"},
    {"bsd-right", OverlapPolicy::Bsd, "a policy for fragments only; here as bsd"},
    {"hpux10", OverlapPolicy::Bsd, "HP-UX 10; the same start is disputed"},
    {"hpux11", OverlapPolicy::Solaris, "HP-UX 11"},
    {"irix", OverlapPolicy::Bsd, "IRIX 6; the same start is disputed"},
    {"macos", OverlapPolicy::Bsd, "macOS (XNU)"},
    {"old-solaris", OverlapPolicy::Solaris, "Solaris up to 8"},
    {"vista", OverlapPolicy::First, "Windows Vista and later"},
    {"win2k3", OverlapPolicy::Bsd, "Windows Server 2003"},
    {"windows", OverlapPolicy::Bsd, "Windows 95 to XP"},
    {"windows-modern", OverlapPolicy::First, "Windows Vista and later"},
});

constexpr std::optional<OverlapPolicy> overlap_policy_from_name(std::string_view name) {
  for (const OverlapName& row : kOverlapNames) {
    if (row.name == name) return row.policy;
  }
  return std::nullopt;
}

}  // namespace flowloom
