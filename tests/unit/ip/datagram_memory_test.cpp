// The ring of completed datagrams and the table of those in progress, against simple models.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "ip/datagram_ring.hpp"
#include "ip/datagram_table.hpp"

namespace flowloom::test {
namespace {

TEST(DatagramRing, BlocksKeepTheirBytesInAnyOrderOfRelease) {
  struct Taken {
    DatagramRing::Block block;
    std::uint8_t mark;
  };
  std::mt19937 random(1);
  DatagramRing ring(16384);
  std::vector<Taken> taken;
  int refused = 0;
  for (int i = 0; i < 50000; ++i) {
    const std::size_t bytes = 1 + random() % 3000;
    if (random() % 2 == 0) {
      const bool room = ring.has_room(bytes);
      const DatagramRing::Block block = ring.take(bytes);
      ASSERT_EQ(block.bytes.size(), room ? bytes : 0U);
      if (!room) ++refused;
      const auto mark = static_cast<std::uint8_t>(random());
      std::fill(block.bytes.begin(), block.bytes.end(), mark);
      if (room) taken.push_back({block, mark});
    } else if (!taken.empty()) {
      const std::size_t which = random() % std::min<std::size_t>(taken.size(), 4);
      for (const std::uint8_t byte : taken[which].block.bytes) ASSERT_EQ(byte, taken[which].mark);
      ring.release(taken[which].block.handle);
      taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  EXPECT_GT(refused, 100);
  for (const Taken& t : taken) ring.release(t.block.handle);
  EXPECT_TRUE(ring.empty());
  EXPECT_TRUE(ring.has_room(16384 - 16));
  EXPECT_FALSE(ring.has_room(16384 - 15));
}

TEST(DatagramTable, FindsWhatIsInItAndNothingElse) {
  std::mt19937_64 random(2);
  constexpr std::uint32_t kCapacity = 5000;
  DatagramTable table(kCapacity);
  std::map<std::uint32_t, std::uint64_t> model;  // index to hash
  for (int i = 0; i < 200000; ++i) {
    const auto index = static_cast<std::uint32_t>(random() % kCapacity);
    const auto it = model.find(index);
    if (it == model.end()) {
      const std::uint64_t hash = random();
      ASSERT_TRUE(table.insert(hash, index));
      model[index] = hash;
      continue;
    }
    const auto found = table.find(it->second, [&](std::uint32_t at) { return at == index; });
    ASSERT_EQ(found, index);
    if (random() % 2 == 0) {
      table.erase(it->second, index);
      ASSERT_EQ(table.find(it->second, [&](std::uint32_t at) { return at == index; }), kNoIndex);
      model.erase(it);
    }
  }
}

TEST(DatagramTable, FullBucketsRefuseAndNameWhoIsThere) {
  DatagramTable table(1000);
  constexpr std::uint64_t kHash = 0x0000000500000003;
  for (std::uint32_t i = 0; i < 16; ++i) ASSERT_TRUE(table.insert(kHash, i));
  ASSERT_FALSE(table.insert(kHash, 16));
  std::vector<bool> seen(16);
  for (const std::uint32_t index : table.neighbours(kHash)) seen.at(index) = true;
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 16);
  table.erase(kHash, 7);
  EXPECT_TRUE(table.insert(kHash, 16));
}

}  // namespace
}  // namespace flowloom::test
