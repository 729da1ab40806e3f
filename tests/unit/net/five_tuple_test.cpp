// The canonical key and the symmetric hash: equal for both directions, different for everything
// else, spread evenly.
#include "net/five_tuple.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <set>
#include <vector>

#include "frame_bytes.hpp"
#include "net/decode.hpp"

namespace flowloom::test {
namespace {

constexpr HashSeed kSeed{0x0123456789abcdef, 0xfedcba9876543210};

struct Side {
  Bytes address;
  std::uint16_t port;
};

struct Hashed {
  FlowKey key;
  std::uint64_t hash;
  bool from_lower;
  Endpoint source;
};

Hashed hashed(const Side& from, const Side& to, const HashSeed& seed = kSeed,
              std::uint32_t encapsulation = 0) {
  const Bytes segment = tcp_segment({.source_port = from.port, .destination_port = to.port});
  Bytes frame;
  if (from.address.size() == 4) {
    frame = ipv4(segment, {.source = from.address, .destination = to.address});
  } else {
    frame = join({{0x60, 0, 0, 0},
                  be16(static_cast<std::uint32_t>(segment.size())),
                  {6, 63},
                  from.address,
                  to.address,
                  segment});
  }
  Packet packet = packet_of(frame, LinkType::Raw);
  decode(packet, {});
  EXPECT_EQ(packet.verdict, Verdict::Tcp);
  packet.encapsulation ^= encapsulation;
  hash_flow(packet, seed);
  const FlowKey key = flow_key_of(packet);
  const Ipv6Addresses beside{key.lower_address, key.upper_address};
  EXPECT_EQ(short_key_of(packet), short_key_of(key));
  EXPECT_EQ(flow_key_of(short_key_of(packet), beside), key);
  EXPECT_NE(short_key_of(packet).addresses, 0U);
  if (packet.has(packet_flags::kIpv6)) EXPECT_EQ(ipv6_addresses_of(packet), beside);
  const TcpHeader tcp = tcp_header_of(packet);
  return {key,
          packet.flow_hash,
          packet.has(packet_flags::kFromLower),
          {source_address(packet), tcp.source_port()}};
}

// Of hosts: with the highest bit clear it is no group.
Bytes random_address(std::mt19937& random, std::size_t n) {
  constexpr std::uint8_t kHighestBit = 0x80;
  Bytes bytes(n);
  for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
  bytes[0] &= static_cast<std::uint8_t>(~kHighestBit);
  return bytes;
}

TEST(FlowKey, IsTheSameForBothDirections) {
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t bytes = i % 2 == 0 ? 4 : 16;
    const Side a{random_address(random, bytes), static_cast<std::uint16_t>(random())};
    // Often the same address or port, so that every step of the comparison decides somewhere.
    Side b{i % 3 == 0 ? a.address : random_address(random, bytes),
           i % 5 == 0 ? a.port : static_cast<std::uint16_t>(random())};
    if (i % 7 == 0) {
      b.address = a.address;
      b.address[bytes - 1] ^= 1;
    }
    const Hashed there = hashed(a, b);
    const Hashed back = hashed(b, a);
    EXPECT_EQ(there.key, back.key);
    EXPECT_EQ(there.hash, back.hash);
    EXPECT_TRUE(there.key.lower() <= there.key.upper());
    EXPECT_EQ(there.source, there.from_lower ? there.key.lower() : there.key.upper());
    if (there.key.lower() != there.key.upper()) {
      EXPECT_NE(there.from_lower, back.from_lower);
    }
  }
}

// case: H14
TEST(FlowKey, LandPacketIsFromLower) {
  const Side a{{10, 0, 0, 1}, 80};
  EXPECT_TRUE(hashed(a, a).from_lower);
}

TEST(FlowHash, DependsOnEveryBitOfTheKeyAndOnTheSeed) {
  const Side a{{10, 0, 0, 1}, 1234};
  const Side b{{10, 0, 0, 2}, 80};
  const std::uint64_t base = hashed(a, b).hash;
  std::set<std::uint64_t> seen{base};
  for (std::size_t bit = 0; bit < 32; ++bit) {
    Side c = a;
    c.address[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_TRUE(seen.insert(hashed(c, b).hash).second) << bit;
  }
  for (unsigned bit = 0; bit < 16; ++bit) {
    const Side c{a.address, static_cast<std::uint16_t>(a.port ^ 1 << bit)};
    EXPECT_TRUE(seen.insert(hashed(c, b).hash).second) << bit;
  }
  EXPECT_TRUE(seen.insert(hashed(a, b, {1, 2}).hash).second);
  EXPECT_TRUE(seen.insert(hashed(a, b, kSeed, 2).hash).second);
}

TEST(FlowHash, MappedIpv6IsAnotherFlowThanIpv4) {
  const Bytes prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const Hashed v4 = hashed({{1, 2, 3, 4}, 5}, {{6, 7, 8, 9}, 10});
  const Hashed v6 = hashed({join({prefix, {1, 2, 3, 4}}), 5}, {join({prefix, {6, 7, 8, 9}}), 10});
  EXPECT_NE(v4.key, v6.key);
  EXPECT_EQ(v4.key.lower_address, v6.key.lower_address);
}

// Sequential addresses and ports, as scanners and load generators produce them, fall evenly into
// buckets taken from the low, the middle and the high bits. Chi-square with 255 degrees of freedom
// stays below 350 but for one run in 20,000, and the seed is fixed.
TEST(FlowHash, SpreadsSequentialFlows) {
  constexpr int kFlows = 65536;
  constexpr double kExpected = kFlows / 256.0;
  for (const bool v6 : {false, true}) {
    std::vector<std::array<int, 256>> buckets(3);
    for (int i = 0; i < kFlows; ++i) {
      Bytes address = v6 ? kAddressA6 : kAddressA4;
      address.at(address.size() - 1) = static_cast<std::uint8_t>(i >> 8);
      const Side from{address, static_cast<std::uint16_t>(1024 + (i & 255))};
      const std::uint64_t hash = hashed(from, {v6 ? kAddressB6 : kAddressB4, 80}).hash;
      ++buckets[0][hash & 255];
      ++buckets[1][hash >> 28 & 255];
      ++buckets[2][hash >> 56];
    }
    for (const auto& counts : buckets) {
      double chi_square = 0;
      for (const int n : counts) chi_square += (n - kExpected) * (n - kExpected) / kExpected;
      EXPECT_LT(chi_square, 350) << v6;
    }
  }
}

TEST(IpAddress, Text) {
  EXPECT_EQ(to_string(IpAddress::v4(kAddressA4.data())), "10.0.0.1");
  EXPECT_TRUE(IpAddress::v4(kAddressA4.data()).is_v4());
  EXPECT_EQ(to_string(IpAddress::v6(kAddressA6.data())), "2001:db8::1");
  EXPECT_FALSE(IpAddress::v6(kAddressA6.data()).is_v4());
  EXPECT_EQ(to_string(IpAddress{}), "::");
  const Bytes runs = {0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0};
  EXPECT_EQ(to_string(IpAddress::v6(runs.data())), "1:0:2::3:0");
}

}  // namespace
}  // namespace flowloom::test
