// Which copy of a byte is kept where IP fragments overlap: the policies by name, and their queue
// algorithms over two bitmaps. Hosts differ here, and whoever hides from an analyst uses it.
// A policy is an algorithm over the pieces in the queue, not a table of pairs: what came before
// has been cut, and the next fragment meets what is left. Touches no bytes and no memory.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flowloom {

/// One per algorithm; systems that share one are aliases in kFragmentOverlapNames.
enum class FragmentOverlap : std::uint8_t {
  Bsd,          ///< starts earlier wins, same start: old; covered successors are deleted
  BsdRight,     ///< ends later wins, same end: new unless it starts later
  First,        ///< old
  Last,         ///< new
  Linux,        ///< up to 4.18: as Bsd, but the same start: new
  LinuxModern,  ///< from 4.20: inside what is there: ignored; any other overlap drops the datagram
  Solaris,      ///< old; but what the new one begins before and does not end before is replaced
  Windows,      ///< old; but what the new one surpasses on both sides is replaced
  Discard       ///< any overlap but an exact duplicate drops the datagram (RFC 5722)
};

struct FragmentOverlapName {
  std::string_view name;
  FragmentOverlap policy;
};

/// What `--fragment-overlap` takes. The first nine are the algorithms themselves. Disputed among
/// the sources (README.md): macos, vista, windows-modern.
inline constexpr auto kFragmentOverlapNames = std::to_array<FragmentOverlapName>({
    {"bsd", FragmentOverlap::Bsd},         {"bsd-right", FragmentOverlap::BsdRight},
    {"first", FragmentOverlap::First},     {"last", FragmentOverlap::Last},
    {"linux", FragmentOverlap::Linux},     {"linux-modern", FragmentOverlap::LinuxModern},
    {"solaris", FragmentOverlap::Solaris}, {"windows", FragmentOverlap::Windows},
    {"discard", FragmentOverlap::Discard}, {"freebsd-12", FragmentOverlap::Bsd},
    {"hpux10", FragmentOverlap::Bsd},      {"hpux11", FragmentOverlap::First},
    {"irix", FragmentOverlap::Bsd},        {"macos", FragmentOverlap::Bsd},
    {"old-linux", FragmentOverlap::Linux}, {"old-solaris", FragmentOverlap::First},
    {"rfc8200", FragmentOverlap::Discard}, {"vista", FragmentOverlap::Windows},
    {"win2k3", FragmentOverlap::Windows},  {"windows-modern", FragmentOverlap::Discard},
    {"solaris-snort", FragmentOverlap::Solaris}, {"nids", FragmentOverlap::Linux},
});

constexpr std::optional<FragmentOverlap> fragment_overlap_from_name(std::string_view name) {
  for (const FragmentOverlapName& row : kFragmentOverlapNames) {
    if (row.name == name) return row.policy;
  }
  return std::nullopt;
}

/// Fragment offsets count units of eight bytes (RFC 791, 3.1; RFC 8200, 4.5).
inline constexpr std::uint32_t kUnitBytes = 8;
inline constexpr std::uint32_t kMaxUnits = (65535 + kUnitBytes) / kUnitBytes;

/// Half-open, in units.
struct UnitRange {
  std::uint32_t begin;
  std::uint32_t end;
};

/// Whether the new fragment's bytes are the ones held, where both are.
enum class OverlapContent : std::uint8_t { Same, Differs };

/// The part of a datagram that a new fragment lies in, and one unit beyond. Units are counted from
/// the window's first. `present`: held; `starts`: a piece of the queue begins here. A piece ends
/// where the next begins or nothing is present.
struct UnitWindow {
  static constexpr std::uint32_t kWordBits = 32;
  static constexpr std::uint32_t kMaxWords = kMaxUnits / kWordBits + 1;
  using Words = std::array<std::uint32_t, kMaxWords>;

  /// queue_end of an empty queue.
  static constexpr std::int32_t kNoQueue = -0x7fffffff;

  UnitRange added;         ///< the new fragment; not empty
  std::int32_t queue_end;  ///< where the last piece of the queue ends; may lie before the window
  std::uint32_t words;     ///< how many words are valid: those up to the unit added.end
  OverlapContent content;
  Words present;
  Words starts;
  Words taken;  ///< result: units whose bytes come from the new fragment
};

enum class OverlapDecision : std::uint8_t {
  Insert,  ///< `taken` is set and `starts` is up to date; `present` is left to the caller
  Ignore,  ///< nothing of the new fragment is used
  Discard  ///< the datagram is dropped
};

/// Decides by the policy. Preconditions: the words are set but for `taken`.
OverlapDecision resolve_overlap(UnitWindow& window, FragmentOverlap policy);

/// What every policy does where nothing overlaps. Preconditions: as above, and no unit of the new
/// fragment is present.
void insert_without_overlap(UnitWindow& window, FragmentOverlap policy);

/// How many pieces of the queue the new fragment lies over, in part or whole.
std::uint32_t count_overlapped_pieces(const UnitWindow& window);

/// Bits of UnitWindow::Words, a word at a time.
namespace unit_bits {
using Words = UnitWindow::Words;
bool test(const Words& words, std::uint32_t at);
void set(Words& words, UnitRange range);
void clear(Words& words, UnitRange range);
/// First set (clear) bit of the range; its end where there is none.
std::uint32_t next_set(const Words& words, UnitRange range);
std::uint32_t next_clear(const Words& words, UnitRange range);
/// Last set bit of the range; its end where there is none.
std::uint32_t last_set(const Words& words, UnitRange range);
/// Set bits of the range.
std::uint32_t count(const Words& words, UnitRange range);
}  // namespace unit_bits

}  // namespace flowloom
