// Where a writer of many files puts those for which its own folder has no room: into folders "00"
// to "zz" below it, in turn, one for each quarter of a second in which connections began. Files
// that are written one after the other then lie in few folders, and what the kernel knows of these
// is in the cache when the next file is created there. The moment is known from a connection's
// first packet on, and the same for any number of workers.
//
// Two digits of base 36, without capitals: a file system that ignores case merges no folders.
#pragma once

#include "base/time.hpp"
#include "sinks/text.hpp"

#include <chrono>
#include <cstdint>
#include <ratio>
#include <string_view>

namespace flowloom {

/// Files in a writer's own folder.
inline constexpr std::uint64_t kFlatFilesMax = 10'000;

/// "xx/" of a connection that began at `start`.
inline FixedText<4> spread_folder(Timestamp start) {
  using Quarters = std::chrono::duration<std::int64_t, std::ratio<1, 4>>;
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  constexpr std::uint64_t kBase = kDigits.size();
  const auto number = static_cast<std::uint64_t>(
      std::chrono::floor<Quarters>(start.time_since_epoch()).count());
  FixedText<4> path;
  path.push(kDigits[number / kBase % kBase]);
  path.push(kDigits[number % kBase]);
  path.push('/');
  return path;
}

}  // namespace flowloom
