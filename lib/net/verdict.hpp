// Why a packet left; generated from verdicts.def.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flowloom {

enum class Verdict : std::uint8_t {
#define VERDICT(symbol, name, sentence) symbol,
#include "net/verdicts.def"
#undef VERDICT
  Count_,
};

inline constexpr std::size_t kVerdictCount = static_cast<std::size_t>(Verdict::Count_);

/// Keys of stats.json, in the order of the enumerators.
inline constexpr std::array<std::string_view, kVerdictCount> kVerdictNames = {
#define VERDICT(symbol, name, sentence) name,
#include "net/verdicts.def"
#undef VERDICT
};

}  // namespace flowloom
