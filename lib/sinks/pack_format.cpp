// See pack_format.hpp.
#include "sinks/pack_format.hpp"

#include <fmt/format.h>
#include <xxhash.h>
#ifdef FLOWLOOM_XXH_DISPATCH
#include <xxh_x86dispatch.h>
#endif

namespace flowloom {
namespace {

/// With the widest vectors that the processor has: the plain function knows those of its build.
std::uint64_t hash(ByteView bytes, std::uint64_t seed) {
#ifdef FLOWLOOM_XXH_DISPATCH
  return XXH3_64bits_withSeed_dispatch(bytes.data(), bytes.size(), seed);
#else
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
#endif
}

}  // namespace

std::uint64_t pack_checksum(const PackBlockHeader& header, ByteView stored) {
  const std::uint64_t seed = XXH3_64bits(&header, offsetof(PackBlockHeader, checksum));
  return hash(stored, seed);
}

std::string pack_data_name(std::uint64_t number) {
  return fmt::format("data-{:06}", number);
}

}  // namespace flowloom
