// Which SYN/ACKs join a SYN under other tags, and what of their side follows them.
#include "pipeline/tag_joiner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "net/decode.hpp"
#include "support/packet_builder.hpp"

namespace flowloom::test {
namespace {

const Endpoint kClient = endpoint4(1, 40000);
const Endpoint kServer = endpoint4(2, 80);
constexpr std::uint32_t kIsn = 0xfffffffe;  // the acknowledgement wraps
constexpr std::uint16_t kUntagged = 0;

class TagJoinerTest : public testing::Test {
 protected:
  /// The identity that a packet has after the joiner has seen it.
  std::uint32_t see(PacketBuilder builder, std::uint16_t vlan) {
    if (vlan != kUntagged) builder.vlan(vlan);
    frames_.push_back(builder.build(Timestamp{}).bytes);
    Packet packet{};
    packet.frame = frames_.back().data();
    packet.captured = packet.wire_length = static_cast<std::uint32_t>(frames_.back().size());
    packet.link = LinkType::Ethernet;
    decode(packet, {seed_});
    EXPECT_EQ(packet.verdict, Verdict::Tcp);
    hash_flow(packet, seed_);
    if (joiner_.concerns(packet)) joiner_.join(packet);
    EXPECT_EQ(packet.flow_hash, hash_of(flow_key_of(packet), seed_));
    return packet.encapsulation;
  }

  static PacketBuilder up(std::string_view flags) {
    return PacketBuilder().from(kClient).to(kServer).flags(flags).seq(kIsn);
  }
  static PacketBuilder down(std::string_view flags) {
    return PacketBuilder().from(kServer).to(kClient).flags(flags).seq(7).ack(kIsn + 1);
  }

  HashSeed seed_{11, 12};
  TagJoiner joiner_{seed_};
  std::vector<std::vector<std::uint8_t>> frames_;
};

TEST_F(TagJoinerTest, AnswerUnderOtherTagsJoinsItsSyn) {
  for (const auto& [syn_vlan, answer_vlan] : {std::pair<std::uint16_t, std::uint16_t>{10, 20},
                                              {10, kUntagged}, {kUntagged, 20}}) {
    joiner_ = TagJoiner(seed_);
    const std::uint32_t identity = see(up("S"), syn_vlan);
    EXPECT_EQ(see(down("S."), answer_vlan), identity);
    EXPECT_EQ(see(down(".").payload("x"), answer_vlan), identity);
    EXPECT_EQ(see(up("."), syn_vlan), identity);
    EXPECT_EQ(see(down("F."), answer_vlan), identity);
  }
}

TEST_F(TagJoinerTest, OtherSideUnderTheAnswersTagsIsNotItsSide) {
  const std::uint32_t identity = see(up("S"), 10);
  see(down("S."), 20);
  EXPECT_NE(see(up(".").payload("forged"), 20), identity);
}

TEST_F(TagJoinerTest, SameTagsAreNeverTouched) {
  const std::uint32_t ten = see(up("S"), 10);
  const std::uint32_t twenty = see(up("S"), 20);
  EXPECT_EQ(see(down("S."), 20), twenty);  // the same numbers under its own tags
  EXPECT_EQ(see(down("S."), 10), ten);
  EXPECT_EQ(see(down("."), 20), twenty);
}

TEST_F(TagJoinerTest, OnlyWhatAcknowledgesTheSynJoins) {
  const std::uint32_t identity = see(up("S"), 10);
  EXPECT_NE(see(down("S.").ack(kIsn + 2), 20), identity);
  EXPECT_NE(see(down("S.").ack(kIsn), 20), identity);
  EXPECT_NE(see(down("."), 20), identity);
  EXPECT_NE(see(up("S.").ack(kIsn + 1), 20), identity);  // from the wrong side
}

TEST_F(TagJoinerTest, DataOnTheSynMayBeAcknowledged) {
  const std::uint32_t identity = see(up("S").payload("hello"), 10);
  EXPECT_NE(see(down("S.").ack(kIsn + 7), 20), identity);
  EXPECT_EQ(see(down("S.").ack(kIsn + 6), 20), identity);
}

TEST_F(TagJoinerTest, TwoThatCouldBeMeantAreNone) {
  const std::uint32_t ten = see(up("S"), 10);
  const std::uint32_t eleven = see(up("S"), 11);
  const std::uint32_t found = see(down("S."), 20);
  EXPECT_NE(found, ten);
  EXPECT_NE(found, eleven);
}

TEST_F(TagJoinerTest, SynUnderTheJoinedTagsEndsIt) {
  const std::uint32_t identity = see(up("S"), 10);
  EXPECT_EQ(see(down("S."), 20), identity);
  see(PacketBuilder().from(kServer).to(kClient).flags("S").seq(900), 20);
  EXPECT_NE(see(down("."), 20), identity);
}

TEST_F(TagJoinerTest, NextConnectionIsJoinedAnew) {
  const std::uint32_t identity = see(up("S"), 10);
  EXPECT_EQ(see(down("S."), 20), identity);
  const std::uint32_t other = see(up("S").seq(5000), 12);
  EXPECT_EQ(see(down("S.").ack(5001), 20), other);
  EXPECT_EQ(see(down("."), 20), other);
}

TEST_F(TagJoinerTest, VersionsOfIpNeverMeet) {
  const auto six = [](const Endpoint& from, const Endpoint& to) {
    return PacketBuilder().from(from).to(to).seq(kIsn).ack(kIsn + 1);
  };
  const std::uint32_t identity = see(six(endpoint6(1, 1), endpoint6(2, 2)).flags("S"), 10);
  EXPECT_EQ(identity & 1, 1U);
  EXPECT_EQ(see(six(endpoint6(2, 2), endpoint6(1, 1)).flags("S."), 20), identity);
}

// Forgotten among others: the answer stays what its tags say, and nothing else is joined.
TEST_F(TagJoinerTest, FloodsOnlyMakeItForget) {
  const std::uint32_t identity = see(up("S"), 10);
  for (std::uint32_t i = 0; i < 60'000; ++i) {
    const auto port = static_cast<std::uint16_t>(1 + i);
    if (port == kClient.port) continue;
    see(up("S").from(endpoint4(1, port)).seq(i), 10);
    if (frames_.size() > 1000) frames_.clear();
  }
  const std::uint32_t found = see(down("S."), 20);
  EXPECT_EQ(found, see(down("."), 20));
  EXPECT_NE(found, identity);
}

// The later of two twins stays known for longer than the first, whose server answers once more.
TEST_F(TagJoinerTest, LateAnswerToAForgottenTwinIsItsOwn) {
  const std::uint32_t ten = see(up("S"), 10);
  see(up("S"), 20);
  for (std::uint16_t port = 1; port < 30'000; ++port) {
    see(up("S").from(endpoint4(1, port)), 10);
    ASSERT_EQ(see(down("S."), 10), ten) << "after " << port << " others";
    if (frames_.size() > 1000) frames_.clear();
  }
}

// What it has forgotten is the same in every run, whatever the run's hashes are keyed with.
TEST_F(TagJoinerTest, ForgetsTheSameWhateverTheSeed) {
  std::vector<std::vector<bool>> joined;
  for (const HashSeed& seed : {HashSeed{11, 12}, HashSeed{0x1234'5678'9abc'def0, 99}}) {
    seed_ = seed;
    joiner_ = TagJoiner(seed_);
    const std::uint32_t identity = see(up("S"), 10);
    for (std::uint16_t port = 1; port < 30'000; ++port) {
      see(up("S").from(endpoint4(1, port)), 10);
      if (frames_.size() > 1000) frames_.clear();
    }
    std::vector<bool>& of_seed = joined.emplace_back();
    for (std::uint16_t port = 1; port < 30'000; ++port) {
      of_seed.push_back(see(down("S.").to(endpoint4(1, port)), 20) == identity);
      if (frames_.size() > 1000) frames_.clear();
    }
    EXPECT_GT(std::count(of_seed.begin(), of_seed.end(), true), 8000);
    EXPECT_GT(std::count(of_seed.begin(), of_seed.end(), false), 0);
  }
  EXPECT_EQ(joined[0], joined[1]);
}

// Before any tags were seen SYNs only take their turn: the latest of them are remembered, in order.
TEST_F(TagJoinerTest, UntaggedSynsCountFromTheFirstTagsOn) {
  constexpr std::uint32_t kRemembered = 16'384;
  constexpr std::uint32_t kSyns = kRemembered + 1000;
  const auto client = [](std::uint32_t i) {
    return endpoint4(static_cast<std::uint8_t>(10 + i / 60'000),
                     static_cast<std::uint16_t>(1 + i % 60'000));
  };
  for (std::uint32_t i = 0; i < kSyns; ++i) {
    see(up("S").from(client(i)).seq(i), kUntagged);
    if (i + 1 == kSyns) see(up("S").from(client(i)).seq(99), kUntagged);  // counts instead
    if (frames_.size() > 1000) frames_.clear();
  }
  const auto answer = [&](std::uint32_t i, std::uint32_t ack) {
    return see(down("S.").to(client(i)).ack(ack), 20);
  };
  EXPECT_NE(answer(0, 1), 0U) << "too old";
  EXPECT_NE(answer(kSyns - 1, kSyns), 0U) << "its SYN was sent anew with another number";
  EXPECT_EQ(answer(kSyns - 1, 100), 0U);
  EXPECT_EQ(answer(kSyns - 2, kSyns - 1), 0U);
  EXPECT_EQ(see(down(".").to(client(kSyns - 2)), 20), 0U);
}

}  // namespace
}  // namespace flowloom::test
