// Copying to where nobody will look for a while.
#pragma once

#include <emmintrin.h>

#include <cstddef>
#include <cstdint>

#include "base/cpu_level.hpp"

namespace flowloom {

/// memcpy() past the caches: whole lines are written with non-temporal stores, which fetch nothing
/// from memory first. The first and the last, where not written whole, are ordinary ones.
/// Another thread may look after publish_copies() and what orders ordinary stores (Intel SDM volume
/// 1, 10.4.6.2; AMD APM volume 2, 7.4.3).
void copy_past_caches(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes);
/// With the vectors of a level that the processor has.
void copy_past_caches_at(CpuLevel level, std::uint8_t* to, const std::uint8_t* from,
                         std::size_t bytes);

inline void publish_copies() { _mm_sfence(); }

}  // namespace flowloom
