// Floods: memory stays within its cap, honest datagrams get through, nothing is allocated after
// start, and what was dropped is counted.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "fragment_builder.hpp"

namespace {
std::size_t allocations = 0;
}  // namespace

// Counts what the data path allocates: it must be nothing. Not inlined, or the compiler takes
// malloc and free for a mismatch with the other half.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}

namespace flowloom::test {
namespace {

constexpr std::size_t kCap = std::size_t{32} << 20;

// One fragment whose fields are rewritten in place, so that a flood costs little. No checksum is
// recomputed: the decoded packet says what the defragmenter asks.
class Flood {
 public:
  enum class Version : std::uint8_t { V4, V6 };
  explicit Flood(Version version, std::size_t bytes = 8)
      : version_(version),
        frame_(version == Version::V4
                   ? ipv4_fragment(Bytes(bytes, 'a'), 64, More::Yes, {.source = {10, 66, 0, 1}})
                   : ipv6_fragment(Bytes(bytes, 'a'), 64, More::Yes)),
        packet_(packet_of(frame_, LinkType::Raw)) {
    decode(packet_, {});
  }

  const Packet& next(std::uint32_t id, Timestamp clock) {
    if (version_ == Version::V4) {
      put16(frame_, 4, id & 0xffff);
      frame_[9] = static_cast<std::uint8_t>(id >> 16);  // beyond 65,536: other protocols
    } else {
      put16(frame_, 44, id >> 16);
      put16(frame_, 46, id & 0xffff);
    }
    packet_.clock = clock;
    return packet_;
  }
  void set_source(std::uint32_t host) { put16(frame_, 14, host & 0xffff); }
  void set_offset(std::uint32_t units) { put16(frame_, 6, 0x2000 | units); }

 private:
  Version version_;
  Bytes frame_;
  Packet packet_;
};

TEST(DefragmenterLimits, MemoryIsWithinItsCapWhateverTheSettings) {
  for (const std::size_t memory : {std::size_t{0}, std::size_t{3} << 20, kCap, kCap * 8}) {
    for (const std::uint32_t datagrams : {0U, 1000U, 65536U, 10'000'000U}) {
      for (const std::size_t completed : {std::size_t{0}, std::size_t{2} << 20, kCap * 100}) {
        const Defragmenter defragmenter(
            {.max_datagrams = datagrams, .memory_bytes = memory, .completed_bytes = completed});
        EXPECT_LE(defragmenter.reserved_bytes(), std::max(memory, Defragmenter::kMinMemoryBytes));
        EXPECT_TRUE(defragmenter.can_complete());
      }
    }
  }
}

TEST(DefragmenterLimits, AsManyDatagramsAsIdsFitIntoTheDefaultMemory) {
  for (const auto version : {Flood::Version::V4, Flood::Version::V6}) {
    Feeder feeder;
    Flood flood(version);
    for (std::uint32_t id = 0; id < 65535; ++id) {
      ASSERT_TRUE(feeder.take(flood.next(id, at_seconds(0))).held());
    }
    EXPECT_EQ(feeder.defragmenter.open_datagrams(), 65535U);
    EXPECT_EQ(feeder.defragmenter.counters().evicted, 0U);
    EXPECT_LE(feeder.defragmenter.reserved_bytes(), kCap);
  }
}

// FragmentSmack: tiny fragments that never complete, far more than fit, and among them honest
// datagrams from another host whose fragments lie a thousand attacks apart.
// case: I15 L05
TEST(DefragmenterLimits, HonestDatagramsGetThroughAFlood) {
  for (const auto version : {Flood::Version::V4, Flood::Version::V6}) {
    for (const std::size_t bytes : {std::size_t{8}, std::size_t{1400}}) {
      Feeder feeder;
      Flood flood(version, bytes);
      const Bytes data(4000, 'h');
      std::uint32_t attacks = 0;
      const auto attack = [&] {
        for (int i = 0; i < 1000; ++i) feeder.take(flood.next(attacks++, at_seconds(1)));
      };
      while (attacks < 100'000) attack();  // full
      EXPECT_GT(feeder.defragmenter.counters().evicted, 0U);
      int complete = 0;
      for (std::uint16_t id = 0; id < 50; ++id) {
        for (std::uint32_t offset = 0; offset < 4000; offset += 1000) {
          const More more = offset == 3000 ? More::No : More::Yes;
          const Bytes fragment = ipv4_fragment(slice(data, offset, 1000), offset, more, {.id = id});
          if (feeder.add(fragment, at_seconds(1)).datagram) ++complete;
          attack();
        }
      }
      EXPECT_EQ(complete, 50);
      EXPECT_LE(feeder.defragmenter.reserved_bytes(), kCap);
      EXPECT_TRUE(feeder.defragmenter.reached_limit());
      EXPECT_TRUE(feeder.balances());
    }
  }
}

// The same from forged addresses, one datagram each: nobody holds much, so chance decides, and a
// datagram that completes within some packets is safe by the odds.
TEST(DefragmenterLimits, ForgedSourcesHitHonestDatagramsByChanceOnly) {
  Feeder feeder;
  Flood flood(Flood::Version::V4);
  std::uint32_t attacks = 0;
  const auto attack = [&](int count) {
    for (int i = 0; i < count; ++i, ++attacks) {
      flood.set_source(attacks);
      feeder.take(flood.next(attacks, at_seconds(1)));
    }
  };
  attack(100'000);
  const Bytes data(3000, 'h');
  int complete = 0;
  for (std::uint16_t id = 0; id < 200; ++id) {
    feeder.add(ipv4_fragment(slice(data, 0, 1496), 0, More::Yes, {.id = id}), at_seconds(1));
    attack(20);
    const Bytes last = ipv4_fragment(slice(data, 1496, 1504), 1496, More::No, {.id = id});
    if (feeder.add(last, at_seconds(1)).datagram) ++complete;
  }
  EXPECT_GE(complete, 195);
  EXPECT_TRUE(feeder.balances());
}

// One datagram at a time holds everything there is and is still whole; then another.
TEST(DefragmenterLimits, SmallestMemoryHoldsTheLargestDatagram) {
  Feeder feeder({.max_datagrams = 1, .memory_bytes = 0, .completed_bytes = 0});
  Flood flood(Flood::Version::V4);
  for (std::uint16_t id = 0; id < 3; ++id) {
    for (std::uint32_t i = 0; i < 5000; ++i) {  // everything is taken
      flood.set_offset(i * 37 % 8000);
      feeder.take(flood.next(i, at_seconds(0)));
    }
    const Bytes data(65512, 'x');
    std::optional<Bytes> whole;
    for (std::uint32_t at = 0; at < 65512; at += 8 * 31) {
      const std::uint32_t length = std::min(8U * 31, 65512 - at);
      const More more = at + length == 65512 ? More::No : More::Yes;
      whole = feeder.add(ipv4_fragment(slice(data, at, length), at, more, {.id = id})).datagram;
    }
    ASSERT_TRUE(whole);
    EXPECT_EQ(*whole, ipv4_fragment(data, 0, More::No, {.id = id}));
  }
  EXPECT_TRUE(feeder.balances());
}

TEST(DefragmenterLimits, RepeatedFragmentsTakeNoMoreMemory) {
  Feeder feeder({.memory_bytes = 0});
  Flood flood(Flood::Version::V4);
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(feeder.take(flood.next(1, at_seconds(0))).held());
  EXPECT_EQ(feeder.defragmenter.open_datagrams(), 1U);
  EXPECT_EQ(feeder.defragmenter.counters().evicted, 0U);
}

TEST(DefragmenterLimits, NothingIsAllocatedAfterStart) {
  Defragmenter defragmenter({.memory_bytes = std::size_t{4} << 20});
  Flood flood(Flood::Version::V4);
  const Bytes data(3000, 'h');
  const Bytes first = ipv4_fragment(slice(data, 0, 1496), 0, More::Yes);
  const Bytes last = ipv4_fragment(slice(data, 1496, 1504), 1496, More::No);
  Packet head = packet_of(first, LinkType::Raw);
  Packet tail = packet_of(last, LinkType::Raw);
  decode(head, {});
  decode(tail, {});
  std::uint64_t complete = 0;
  const std::size_t before = allocations;
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    head.clock = tail.clock = at_seconds(i * 0.001);
    defragmenter.add(flood.next(i, head.clock));
    defragmenter.add(head);
    const Defragmenter::Result result = defragmenter.add(tail);
    if (const auto* whole = std::get_if<CompleteDatagram>(&result)) {
      ++complete;
      defragmenter.release(whole->handle);
    }
  }
  EXPECT_EQ(allocations, before);
  EXPECT_GE(complete, 49'990U);
  EXPECT_GT(defragmenter.counters().expired + defragmenter.counters().evicted, 0U);
}

// The same packets give the same answers, limits reached or not.
TEST(DefragmenterLimits, RunsAreRepeatable) {
  const auto run = [] {
    Feeder feeder({.memory_bytes = 0});
    Flood flood(Flood::Version::V6);
    for (std::uint32_t i = 0; i < 20'000; ++i) feeder.take(flood.next(i, at_seconds(0)));
    return feeder.defragmenter.counters().evicted;
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace flowloom::test
