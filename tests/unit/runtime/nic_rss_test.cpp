// The prediction of a NIC's queue, against the verification suite of Microsoft's RSS
// specification and against DPDK's own Toeplitz.
#include "runtime/nic_rss.hpp"

#include <gtest/gtest.h>
#include <rte_thash.h>

#include <array>
#include <random>
#include <set>

namespace flowloom {
namespace {

constexpr std::array<std::uint8_t, 40> kMicrosoftKey = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

Endpoint v4(std::array<std::uint8_t, 4> address, std::uint16_t port) {
  return {IpAddress::v4(address.data()), port};
}

std::vector<std::uint16_t> table(std::size_t entries, std::uint16_t queues) {
  std::vector<std::uint16_t> result(entries);
  for (std::size_t i = 0; i < entries; ++i) result[i] = static_cast<std::uint16_t>(i % queues);
  return result;
}

TEST(NicRss, AgreesWithThePublishedVectors) {
  struct Row {
    Endpoint from, to;
    std::uint32_t with_ports, addresses;
  };
  const std::array<Row, 3> rows = {{
      {v4({66, 9, 149, 187}, 2794), v4({161, 142, 100, 80}, 1766), 0x51ccc178, 0x323e8fc2},
      {v4({199, 92, 111, 2}, 14230), v4({65, 69, 140, 83}, 4739), 0xc626b0ea, 0xd718262a},
      {v4({24, 19, 198, 95}, 12898), v4({12, 22, 207, 184}, 38024), 0x5c2b394a, 0xd2d0a5de},
  }};
  for (const Row& row : rows) {
    EXPECT_EQ(rss_hash(kMicrosoftKey, row.from, row.to), row.with_ports);
    EXPECT_EQ(rss_hash_addresses(kMicrosoftKey, row.from.address, row.to.address), row.addresses);
  }
}

TEST(NicRss, AgreesWithDpdkOnRandomInput) {
  std::mt19937 random(1);
  for (const std::size_t words : {2u, 3u, 8u, 9u}) {
    for (int i = 0; i < 200; ++i) {
      std::vector<std::uint32_t> host(words);
      std::vector<std::uint8_t> wire;
      for (auto& word : host) {
        word = static_cast<std::uint32_t>(random());
        for (int shift = 24; shift >= 0; shift -= 8) {
          wire.push_back(static_cast<std::uint8_t>(word >> shift));
        }
      }
      EXPECT_EQ(toeplitz_hash(kMicrosoftKey, wire),
                rte_softrss(host.data(), static_cast<std::uint32_t>(words), kMicrosoftKey.data()));
    }
  }
}

TEST(NicRss, SymmetricKeyBringsBothDirectionsTogether) {
  for (const std::size_t bytes : {40u, 52u, 64u}) {
    const std::vector<std::uint8_t> key = symmetric_rss_key(bytes);
    ASSERT_EQ(key.size(), bytes);
    EXPECT_FALSE(rss_self_test(key, table(128, 3)).has_value());
    EXPECT_FALSE(rss_self_test(key, table(512, 7)).has_value());
  }
}

TEST(NicRss, SelfTestFindsAnOrdinaryKey) {
  const auto torn = rss_self_test(kMicrosoftKey, table(128, 4));
  ASSERT_TRUE(torn.has_value());
  EXPECT_NE(torn->queue_forth, torn->queue_back);
}

TEST(NicRss, SelfTestFindsASingleWrongBit) {
  // The first 30 bits of a key do not reach the low two bits of a hash, hence no queue of four;
  // addresses and ports of IPv6 use 36 octets and 31 bits more.
  for (std::size_t bit = 30; bit < 36 * 8 + 31; ++bit) {
    std::vector<std::uint8_t> key = symmetric_rss_key(40);
    key[bit / 8] ^= static_cast<std::uint8_t>(0x80 >> bit % 8);
    EXPECT_TRUE(rss_self_test(key, table(128, 4)).has_value()) << bit;
  }
}

TEST(NicRss, SampleFlowsUseEveryQueue) {
  const std::vector<std::uint8_t> key = symmetric_rss_key(40);
  const std::vector<std::uint16_t> redirection = table(128, 4);
  std::set<std::uint16_t> queues;
  for (std::uint16_t port = 1024; port < 1124; ++port) {
    queues.insert(
        rss_queue(rss_hash(key, v4({10, 0, 0, 1}, port), v4({10, 0, 0, 2}, 80)), redirection));
  }
  EXPECT_EQ(queues.size(), 4u);
}

}  // namespace
}  // namespace flowloom
