// What every PacketSource must keep, as a typed suite: instantiate it with a type that has
//   static std::unique_ptr<PacketSource> make(const std::vector<ContractFrame>&);
// whose source hands over exactly these frames. Ethernet, stamps in order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "io/packet_source.hpp"

namespace flowloom {

struct ContractFrame {
  Timestamp stamp;
  std::vector<std::uint8_t> bytes;
};

/// Frames of all small lengths, each with its own content, one microsecond apart.
inline std::vector<ContractFrame> contract_frames(std::size_t count) {
  constexpr std::int64_t kStart = 1'700'000'000'000'000'000;
  std::vector<ContractFrame> frames;
  for (std::size_t i = 0; i < count; ++i) {
    ContractFrame frame{from_nanoseconds(kStart + static_cast<std::int64_t>(i) * 1000), {}};
    for (std::size_t k = 0; k < 60 + i % 200; ++k) {
      frame.bytes.push_back(static_cast<std::uint8_t>(i * 31 + k));
    }
    frames.push_back(std::move(frame));
  }
  return frames;
}

/// The frames of the latest packets that were released and may be read yet, against what they were.
class KeptFrames final : public FrameKeeper {
 public:
  static constexpr std::uint64_t kPackets = 50;

  explicit KeptFrames(PacketSource& source) : memory_(source.keep_released(kPackets, *this)) {}

  void released(const Burst& burst) {
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      const Packet& packet = burst.packets[i];
      if (!contains(memory_, packet.frame)) continue;
      kept_.push_back({{packet.frame, packet.captured},
                       {packet.frame, packet.frame + packet.captured}});
      ++seen_;
    }
    while (kept_.size() > kPackets) kept_.pop_front();
  }
  void before_reuse(ByteView memory) override {
    ++reuses_;
    std::erase_if(kept_, [&](const Kept& kept) { return contains(memory, kept.frame.data()); });
  }
  void expect_intact() const {
    for (const Kept& kept : kept_) {
      ASSERT_TRUE(std::equal(kept.bytes.begin(), kept.bytes.end(), kept.frame.begin()));
    }
  }
  [[nodiscard]] std::uint64_t seen() const { return seen_; }
  [[nodiscard]] std::uint64_t reuses() const { return reuses_; }

 private:
  struct Kept {
    ByteView frame;
    std::vector<std::uint8_t> bytes;
  };
  static bool contains(ByteView memory, const std::uint8_t* at) {
    return at >= memory.data() && at < memory.data() + memory.size();
  }
  ByteView memory_;
  std::deque<Kept> kept_;
  std::uint64_t seen_ = 0;
  std::uint64_t reuses_ = 0;
};

template <class Maker>
class PacketSourceContract : public testing::Test {
 protected:
  static constexpr std::size_t kFrames = 2000;

  // The next burst that is not Idle; fails where the source is idle without end.
  static SourceState receive(PacketSource& source, Burst& burst) {
    constexpr int kIdleMax = 10'000;
    for (int i = 0; i < kIdleMax; ++i) {
      const SourceState state = source.receive(burst);
      if (state != SourceState::Idle) return state;
    }
    ADD_FAILURE() << "idle without end";
    return SourceState::End;
  }

  static void expect_frames_intact(const Burst& burst, const std::vector<ContractFrame>& frames) {
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      const Packet& packet = burst.packets[i];
      ASSERT_LE(packet.number, frames.size());
      const ContractFrame& expected = frames[packet.number - 1];
      ASSERT_EQ(packet.captured, expected.bytes.size());
      ASSERT_TRUE(std::equal(expected.bytes.begin(), expected.bytes.end(), packet.frame))
          << "packet " << packet.number;
    }
  }
};

TYPED_TEST_SUITE_P(PacketSourceContract);

TYPED_TEST_P(PacketSourceContract, HandsOverEveryFrameOnceAsRecorded) {
  const auto frames = contract_frames(this->kFrames);
  const auto source = TypeParam::make(frames);
  Burst burst;
  std::uint64_t number = 0;
  Timestamp clock = kTimeMin;
  while (this->receive(*source, burst) == SourceState::Packets) {
    ASSERT_GT(burst.size, 0U);
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      const Packet& packet = burst.packets[i];
      ASSERT_EQ(packet.number, ++number);
      ASSERT_GE(packet.clock, clock);
      clock = packet.clock;
      ASSERT_EQ(packet.stamp, frames[number - 1].stamp);
      ASSERT_EQ(packet.wire_length, frames[number - 1].bytes.size());
      ASSERT_EQ(packet.link, LinkType::Ethernet);
      ASSERT_FALSE(packet.has(packet_flags::kSnapped));
    }
    this->expect_frames_intact(burst, frames);
    source->release(burst);
  }
  EXPECT_EQ(number, frames.size());
  EXPECT_EQ(source->stats().missed, 0U);
  EXPECT_EQ(source->stats().bad_timestamps, 0U);
}

TYPED_TEST_P(PacketSourceContract, HonoursTheBurstLimit) {
  const auto frames = contract_frames(200);
  for (const std::uint32_t limit : {1U, 7U, kBurstMax}) {
    const auto source = TypeParam::make(frames);
    Burst burst;
    burst.limit = limit;
    std::uint64_t packets = 0;
    while (this->receive(*source, burst) == SourceState::Packets) {
      ASSERT_LE(burst.size, limit);
      packets += burst.size;
      source->release(burst);
    }
    EXPECT_EQ(packets, frames.size());
  }
}

TYPED_TEST_P(PacketSourceContract, FramesStayUntilTheirBurstIsReleased) {
  constexpr std::size_t kBurstsHeld = 8;
  const auto frames = contract_frames(this->kFrames);
  const auto source = TypeParam::make(frames);
  std::deque<Burst> held;
  Burst burst;
  const auto release_oldest = [&] {
    this->expect_frames_intact(held.front(), frames);
    source->release(held.front());
    held.pop_front();
  };
  std::uint64_t packets = 0;
  for (;;) {
    const SourceState state = source->receive(burst);
    if (state == SourceState::End) break;
    if (state == SourceState::Idle) {
      ASSERT_FALSE(held.empty()) << "idle although everything was released";
      release_oldest();
      continue;
    }
    packets += burst.size;
    held.push_back(burst);
    if (held.size() > kBurstsHeld) release_oldest();
  }
  while (!held.empty()) release_oldest();
  EXPECT_EQ(packets, frames.size());
}

// Where a source keeps frames beyond their release.
TYPED_TEST_P(PacketSourceContract, KeepsReleasedFramesForSoManyPackets) {
  const auto frames = contract_frames(this->kFrames);
  const auto source = TypeParam::make(frames);
  KeptFrames kept(*source);
  Burst burst;
  std::uint64_t packets = 0;
  while (this->receive(*source, burst) == SourceState::Packets) {
    this->expect_frames_intact(burst, frames);
    kept.expect_intact();
    packets += burst.size;
    source->release(burst);
    kept.released(burst);
  }
  kept.expect_intact();
  EXPECT_EQ(packets, frames.size());
}

TYPED_TEST_P(PacketSourceContract, EndStaysEnd) {
  const auto source = TypeParam::make(contract_frames(3));
  Burst burst;
  while (this->receive(*source, burst) == SourceState::Packets) source->release(burst);
  EXPECT_EQ(source->receive(burst), SourceState::End);
  EXPECT_EQ(burst.size, 0U);
}

TYPED_TEST_P(PacketSourceContract, NothingIsTheEnd) {
  const auto source = TypeParam::make({});
  Burst burst;
  EXPECT_EQ(this->receive(*source, burst), SourceState::End);
}

REGISTER_TYPED_TEST_SUITE_P(PacketSourceContract, HandsOverEveryFrameOnceAsRecorded,
                            HonoursTheBurstLimit, FramesStayUntilTheirBurstIsReleased,
                            KeepsReleasedFramesForSoManyPackets, EndStaysEnd, NothingIsTheEnd);

}  // namespace flowloom
