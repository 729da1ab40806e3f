// Datagrams whose fragments contradict each other: the version with the right TCP checksum is the
// one that was sent, which the test knows because it forged the others.
#include "ip/version_choice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "fragment_builder.hpp"

namespace flowloom::test {
namespace {

Bytes segment_of(std::mt19937& random, std::size_t payload_bytes) {
  Bytes payload(payload_bytes);
  for (auto& b : payload) b = static_cast<std::uint8_t>(random());
  return with_tcp_checksum(tcp_segment({.payload = payload}), kAddressA4, kAddressB4);
}

// Every unit differs, and by enough that two forged pieces hardly ever change the sum alike.
Bytes forged(Bytes bytes, std::mt19937& random) {
  for (auto& b : bytes) b ^= static_cast<std::uint8_t>(1 + random() % 255);
  return bytes;
}

/// A datagram in equal pieces, of which some also exist forged.
struct Pieces {
  Bytes segment;
  std::size_t piece_bytes;
  std::uint16_t id = 7;

  [[nodiscard]] std::size_t count() const {
    return (segment.size() + piece_bytes - 1) / piece_bytes;
  }
  [[nodiscard]] Bytes data(std::size_t index) const {
    const std::size_t begin = index * piece_bytes;
    return slice(segment, begin, std::min(piece_bytes, segment.size() - begin));
  }
  [[nodiscard]] Bytes fragment(std::size_t index, const Bytes& with) const {
    return ipv4_fragment(with, static_cast<std::uint32_t>(index * piece_bytes),
                         index + 1 < count() ? More::Yes : More::No, {.id = id});
  }
  [[nodiscard]] Bytes whole() const { return ipv4_fragment(segment, 0, More::No, {.id = id}); }
};

constexpr auto kChoosing = std::to_array<FragmentOverlap>(
    {FragmentOverlap::Bsd, FragmentOverlap::BsdRight, FragmentOverlap::First, FragmentOverlap::Last,
     FragmentOverlap::Linux, FragmentOverlap::Solaris, FragmentOverlap::Windows});

// One piece after the other, contested ones twice, the forged copy before or behind the right one.
// The pieces between them are not contested, so each contested one is a run of its own; piece 0
// comes last, so that all are pending.
Outcome play(Feeder& feeder, const Pieces& pieces, const std::vector<std::size_t>& contested,
             std::mt19937& random) {
  Outcome outcome;
  for (std::size_t i = pieces.count(); i-- > 0;) {
    const Bytes right = pieces.data(i);
    std::vector<Bytes> copies = {right};
    if (std::find(contested.begin(), contested.end(), i) != contested.end()) {
      copies.push_back(forged(right, random));
      if (random() % 2 == 0) std::swap(copies[0], copies[1]);
    }
    for (const Bytes& copy : copies) outcome = feeder.add(pieces.fragment(i, copy));
  }
  return outcome;
}

// case: I02
TEST(VersionChoice, FindsWhatWasSentUnderEveryPolicy) {
  constexpr unsigned kSeed = 20261122;
  std::mt19937 random(kSeed);
  std::uint64_t decided = 0;
  for (const FragmentOverlap policy : kChoosing) {
    DefragmentSettings settings;
    settings.ipv4_overlap = policy;
    Feeder feeder(settings);
    for (int round = 0; round < 200; ++round) {
      const std::size_t piece_bytes = 8 * (1 + random() % 100);  // beyond a page, too
      const Pieces pieces{segment_of(random, 9 * piece_bytes + random() % piece_bytes), piece_bytes,
                          static_cast<std::uint16_t>(round)};
      std::vector<std::size_t> contested;
      for (std::size_t i = 0; i < 1 + random() % kMaxDoubts; ++i) contested.push_back(1 + 2 * i);
      const Outcome outcome = play(feeder, pieces, contested, random);
      ASSERT_TRUE(outcome.datagram) << kSeed << ' ' << round;
      ASSERT_EQ(*outcome.datagram, pieces.whole()) << kSeed << ' ' << round;
      EXPECT_EQ(outcome.conflicts, contested.size());
      EXPECT_EQ(feeder.last_packet.link, LinkType::Contradicted);
      Packet packet = feeder.last_packet;
      decode(packet, {});
      EXPECT_EQ(packet.verdict, Verdict::Tcp);
    }
    decided += feeder.defragmenter.counters().decided_by_checksum;
  }
  EXPECT_GT(decided, 700U);   // a coin for each contested piece: most datagrams
  EXPECT_LT(decided, 1400U);  // and some the policy had right
}

// More runs than are tried: all or none.
TEST(VersionChoice, ManyContestedRunsAreOneChoice) {
  std::mt19937 random(1);
  const Pieces pieces{segment_of(random, 400), 16};
  for (const bool mixed : {false, true}) {
    Feeder feeder;
    Outcome outcome;
    for (std::size_t i = pieces.count(); i-- > 0;) {
      const Bytes right = pieces.data(i);
      const Bytes wrong = forged(right, random);
      if (i % 2 == 0) {
        outcome = feeder.add(pieces.fragment(i, right));
        continue;
      }
      const bool forged_first = !mixed || i % 4 == 1;
      static_cast<void>(feeder.add(pieces.fragment(i, forged_first ? wrong : right)));
      static_cast<void>(feeder.add(pieces.fragment(i, forged_first ? right : wrong)));
    }
    ASSERT_TRUE(outcome.datagram);
    EXPECT_EQ(*outcome.datagram == pieces.whole(), !mixed);
    EXPECT_EQ(feeder.defragmenter.counters().decided_by_checksum, mixed ? 0U : 1U);
  }
}

// Where no version or the policy's own is right, the policy stands.
TEST(VersionChoice, ThePolicyStandsWhereTheChecksumSaysNothing) {
  std::mt19937 random(2);
  const Pieces pieces{segment_of(random, 44), 32};
  const Bytes first = forged(pieces.data(1), random);
  const Bytes second = forged(first, random);
  Feeder feeder;
  static_cast<void>(feeder.add(pieces.fragment(1, first)));
  static_cast<void>(feeder.add(pieces.fragment(1, second)));
  const Outcome outcome = feeder.add(pieces.fragment(0, pieces.data(0)));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(slice(*outcome.datagram, 20 + 32, first.size()), first);
  EXPECT_EQ(feeder.defragmenter.counters().decided_by_checksum, 0U);
}

TEST(VersionChoice, ByPolicyLooksAtNoChecksum) {
  std::mt19937 random(3);
  DefragmentSettings settings;
  settings.choice = VersionChoice::ByPolicy;
  Feeder feeder(settings);
  const Pieces pieces{segment_of(random, 44), 32};
  const Bytes wrong = forged(pieces.data(1), random);
  static_cast<void>(feeder.add(pieces.fragment(1, wrong)));
  static_cast<void>(feeder.add(pieces.fragment(1, pieces.data(1))));
  const Outcome outcome = feeder.add(pieces.fragment(0, pieces.data(0)));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(slice(*outcome.datagram, 20 + 32, wrong.size()), wrong);
  EXPECT_EQ(outcome.conflicts, 1U);
}

// The losing copies are given back with their datagram, and count for its source until then.
TEST(VersionChoice, LosersCostNothingAfterwards) {
  std::mt19937 random(4);
  DefragmentSettings settings;
  settings.memory_bytes = Defragmenter::kMinMemoryBytes;
  Feeder feeder(settings);
  for (std::uint32_t round = 0; round < 60; ++round) {
    const Pieces pieces{segment_of(random, 40'000), 20'000, static_cast<std::uint16_t>(round)};
    const Outcome outcome = play(feeder, pieces, {1}, random);
    ASSERT_TRUE(outcome.datagram);
    ASSERT_EQ(*outcome.datagram, pieces.whole());
  }
  EXPECT_EQ(feeder.defragmenter.counters().evicted, 0U);
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 0U);
}

// A fragment that lay in a contradicted datagram makes its own datagram one.
TEST(VersionChoice, ContradictionIsInherited) {
  std::mt19937 random(5);
  const Pieces pieces{segment_of(random, 44), 32};
  Feeder feeder;
  const Bytes no_layers(kReassembledFixedBytes, 0);
  static_cast<void>(feeder.add_frame(join({no_layers, pieces.fragment(1, pieces.data(1))}),
                                     LinkType::Contradicted));
  const Outcome outcome = feeder.add(pieces.fragment(0, pieces.data(0)));
  ASSERT_TRUE(outcome.datagram);
  EXPECT_EQ(*outcome.datagram, pieces.whole());
  EXPECT_EQ(feeder.last_packet.link, LinkType::Contradicted);
}

}  // namespace
}  // namespace flowloom::test
