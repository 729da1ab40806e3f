// Which instruction set the few kernels that come in several may use. The build's own stays at
// x86-64-v2, so that one binary runs everywhere.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flowloom {

/// Levels of the x86-64 psABI; each contains those before it.
enum class CpuLevel : std::uint8_t { V2, V3, V4 };
inline constexpr std::array<std::string_view, 3> kCpuLevelNames = {"x86-64-v2", "x86-64-v3",
                                                                   "x86-64-v4"};

/// Names the variable of the environment that lowers the level, for tests and comparisons.
inline constexpr const char* kCpuLevelVariable = "FLOWLOOM_CPU";

/// The level of this processor.
CpuLevel processor_level();
std::optional<CpuLevel> parse_cpu_level(std::string_view name);
/// The level in use: the processor's, or a lower one that kCpuLevelVariable names.
CpuLevel cpu_level();

}  // namespace flowloom
