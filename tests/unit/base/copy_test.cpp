// Copies past the caches against the bytes themselves, at every length, alignment and level.
#include "base/copy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace flowloom::test {
namespace {

TEST(CopyPastCaches, WritesThoseBytesAndNoOther) {
  constexpr std::size_t kMost = 300;
  constexpr std::size_t kLine = 64;
  std::mt19937 random(3);
  std::vector<std::uint8_t> from(kMost + kLine);
  for (auto& b : from) b = static_cast<std::uint8_t>(random());
  for (std::size_t level = 0; level <= static_cast<std::size_t>(processor_level()); ++level) {
    for (std::size_t length = 0; length <= kMost; ++length) {
      for (std::size_t shift = 0; shift < kLine; ++shift) {
        std::vector<std::uint8_t> to(kMost + 2 * kLine, 0xa5);
        std::vector<std::uint8_t> wanted = to;
        const std::uint8_t* const source = from.data() + random() % kLine;
        std::memcpy(wanted.data() + shift, source, length);
        copy_past_caches_at(static_cast<CpuLevel>(level), to.data() + shift, source, length);
        ASSERT_EQ(to, wanted) << kCpuLevelNames[level] << ' ' << length << '+' << shift;
      }
    }
  }
}

}  // namespace
}  // namespace flowloom::test
