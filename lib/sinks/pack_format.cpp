// See pack_format.hpp.
#include "sinks/pack_format.hpp"

#include <fmt/format.h>
#include <xxhash.h>

namespace flowloom {

std::uint64_t pack_checksum(const PackBlockHeader& header, ByteView stored) {
  const std::uint64_t seed = XXH3_64bits(&header, offsetof(PackBlockHeader, checksum));
  return XXH3_64bits_withSeed(stored.data(), stored.size(), seed);
}

std::string pack_data_name(std::uint64_t number) {
  return fmt::format("data-{:06}", number);
}

}  // namespace flowloom
