#include "base/cpu_level.hpp"

#include <algorithm>
#include <cstdlib>

namespace flowloom {

CpuLevel processor_level() {
  if (__builtin_cpu_supports("x86-64-v4") != 0) return CpuLevel::V4;
  if (__builtin_cpu_supports("x86-64-v3") != 0) return CpuLevel::V3;
  return CpuLevel::V2;
}

std::optional<CpuLevel> parse_cpu_level(std::string_view name) {
  const auto* const at = std::find(kCpuLevelNames.begin(), kCpuLevelNames.end(), name);
  if (at == kCpuLevelNames.end()) return std::nullopt;
  return static_cast<CpuLevel>(at - kCpuLevelNames.begin());
}

CpuLevel cpu_level() {
  const char* const wanted = std::getenv(kCpuLevelVariable);
  const CpuLevel best = processor_level();
  return wanted == nullptr ? best : std::min(best, parse_cpu_level(wanted).value_or(best));
}

}  // namespace flowloom
