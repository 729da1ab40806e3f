// Who owns a flow: as the NIC says, where there is one; the same for both directions and through
// tunnels; evenly otherwise.
#include "runtime/flow_owners.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "runtime/nic_rss.hpp"

namespace flowloom {
namespace {

enum class Version : std::uint8_t { V4, V6 };

/// IP and TCP headers of a made segment; as much as owner_of() looks at.
class MadeSegment {
 public:
  MadeSegment(Version version, const Endpoint& from, const Endpoint& to) {
    const bool v6 = version == Version::V6;
    const std::size_t address = v6 ? 16 : 4;
    const std::size_t at = v6 ? kIpv6SourceOffset : kIpv4SourceOffset;
    std::memcpy(&bytes_[at], from.address.bytes.data() + 16 - address, address);
    std::memcpy(&bytes_[at + address], to.address.bytes.data() + 16 - address, address);
    packet_.tcp_offset = static_cast<std::uint16_t>(v6 ? kIpv6HeaderBytes : kIpv4MinHeaderBytes);
    put(packet_.tcp_offset, from.port);
    put(packet_.tcp_offset + 2U, to.port);
    packet_.frame = bytes_.data();
    packet_.flags = v6 ? packet_flags::kIpv6 : std::uint8_t{0};
    packet_.verdict = Verdict::Tcp;
  }
  [[nodiscard]] const Packet& packet() const { return packet_; }

 private:
  void put(std::size_t at, std::uint16_t port) {
    bytes_[at] = static_cast<std::uint8_t>(port >> 8);
    bytes_[at + 1] = static_cast<std::uint8_t>(port);
  }
  std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(64);
  Packet packet_{};
};

Endpoint random_endpoint(Version version, std::mt19937_64& random) {
  Endpoint endpoint;
  for (std::uint8_t& byte : endpoint.address.bytes) byte = static_cast<std::uint8_t>(random());
  if (version == Version::V4) endpoint.address = IpAddress::v4(endpoint.address.bytes.data());
  endpoint.port = static_cast<std::uint16_t>(random());
  return endpoint;
}

std::vector<std::uint16_t> table(std::size_t entries, std::uint16_t queues) {
  std::vector<std::uint16_t> result(entries);
  for (std::size_t i = 0; i < entries; ++i) result[i] = static_cast<std::uint16_t>(i % queues);
  return result;
}

TEST(FlowOwners, AreThoseOfTheNic) {
  std::mt19937_64 random(1);
  for (const std::uint16_t queues : std::array<std::uint16_t, 3>{2, 3, 16}) {
    for (const std::size_t entries : {64U, 128U, 512U}) {
      const auto key = symmetric_rss_key(40);
      const auto redirection = table(entries, queues);
      const FlowOwners owners(queues, key, redirection);
      for (int i = 0; i < 200; ++i) {
        const Version version = i % 2 == 0 ? Version::V4 : Version::V6;
        const Endpoint a = random_endpoint(version, random);
        const Endpoint b = random_endpoint(version, random);
        const unsigned queue = rss_queue(rss_hash(key, a, b), redirection);
        EXPECT_EQ(queue, owners.owner_of(MadeSegment(version, a, b).packet()));
        EXPECT_EQ(queue, owners.owner_of(MadeSegment(version, b, a).packet()));
      }
    }
  }
}

TEST(FlowOwners, AreEvenWithoutANic) {
  constexpr unsigned kWorkers = 5;
  constexpr int kFlows = 20000;
  std::mt19937_64 random(2);
  const FlowOwners owners(kWorkers, {});
  const FlowOwners others(kWorkers, {.a = 7, .b = 9});
  std::array<int, kWorkers> flows{};
  int moved = 0;
  for (int i = 0; i < kFlows; ++i) {
    const Version version = i % 2 == 0 ? Version::V4 : Version::V6;
    const Endpoint a = random_endpoint(version, random);
    const Endpoint b = random_endpoint(version, random);
    const unsigned owner = owners.owner_of(MadeSegment(version, a, b).packet());
    ASSERT_EQ(owner, owners.owner_of(MadeSegment(version, b, a).packet()));
    ASSERT_LT(owner, kWorkers);
    ++flows[owner];
    if (others.owner_of(MadeSegment(version, a, b).packet()) != owner) ++moved;
  }
  for (const int n : flows) EXPECT_NEAR(n, kFlows / kWorkers, kFlows / 50);
  EXPECT_NEAR(moved, kFlows * 4 / 5, kFlows / 20) << "the seed decides";
}

TEST(FlowOwners, KnowAKeyThatTheyCannotFollow) {
  std::vector<std::uint8_t> key = symmetric_rss_key(40);
  EXPECT_TRUE(rss_repeats(key));
  key[39] ^= 1;
  EXPECT_FALSE(rss_repeats(key));
  EXPECT_FALSE(rss_repeats({}));
}

}  // namespace
}  // namespace flowloom
