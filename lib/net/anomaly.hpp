// Named oddities; generated from anomalies.def.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flowloom {

enum class Anomaly : std::uint8_t {
#define ANOMALY(symbol, name, sentence) symbol,
#include "net/anomalies.def"
#undef ANOMALY
  Count_,
};

inline constexpr std::size_t kAnomalyCount = static_cast<std::size_t>(Anomaly::Count_);

inline constexpr std::array<std::string_view, kAnomalyCount> kAnomalyNames = {
#define ANOMALY(symbol, name, sentence) name,
#include "net/anomalies.def"
#undef ANOMALY
};

}  // namespace flowloom
