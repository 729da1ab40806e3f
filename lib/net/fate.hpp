// What became of each TCP payload byte; one fate each, and the sums balance (stats.json).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flowloom {

enum class Fate : std::uint8_t {
#define FATE(symbol, name, sentence) symbol,
#include "net/fates.def"
#undef FATE
  Count_,
};

inline constexpr std::size_t kFateCount = static_cast<std::size_t>(Fate::Count_);

inline constexpr std::array<std::string_view, kFateCount> kFateNames = {
#define FATE(symbol, name, sentence) name,
#include "net/fates.def"
#undef FATE
};

}  // namespace flowloom
