// Segments without sense: random flags, numbers near every edge, other bytes in each repetition,
// few end points, time that jumps. Nothing is right or wrong here but the contract: no breach of
// it, the ledger balances, memory returns, and burst size changes nothing.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "support/recording_consumer.hpp"
#include "support/shard_runner.hpp"

namespace flowloom::test {
namespace {

const Timestamp kBase = from_nanoseconds(1'700'000'000'000'000'000);

class Hostile {
 public:
  explicit Hostile(std::uint64_t seed) : random_(seed) {
    isn_[0] = static_cast<std::uint32_t>(random_());
    isn_[1] = ~std::uint32_t{0} - pick(40);
  }

  std::vector<Frame> frames(std::size_t count) {
    std::vector<Frame> frames;
    for (std::size_t i = 0; i < count; ++i) {
      now_ += step();
      frames.push_back(frame());
    }
    return frames;
  }

  ShardConfig config() {
    ShardConfig config = small_config();
    config.max_flows = pick(2) == 0 ? 3 : 64;
    config.reorder_bytes = pick(2) == 0 ? 1 : 1 << 20;
    config.idle_timeout = std::chrono::seconds{1 + pick(50)};
    config.syn_timeout = std::chrono::seconds{1 + pick(10)};
    config.closed_timeout = std::chrono::seconds{1 + pick(10)};
    config.tcp.overlap = static_cast<OverlapPolicy>(pick(kOverlapPolicyCount));
    if (pick(3) == 0) config.tcp.depth = static_cast<StreamOffset>(pick(100));
    if (pick(3) == 0) config.tcp.pages_per_direction = 1 + pick(4);
    if (pick(3) == 0) config.tcp.deliver = DeliverWhen::Acked;
    config.tcp.urgent = static_cast<UrgentMode>(pick(kUrgentNames.size()));
    if (pick(3) == 0) config.hold_first = HoldFirst::Always;
    return config;
  }

 private:
  std::uint32_t pick(std::uint32_t end) { return static_cast<std::uint32_t>(random_() % end); }

  Duration step() {
    switch (pick(12)) {
      case 0: return std::chrono::seconds{pick(70)};
      case 1: return std::chrono::milliseconds{pick(400)};
      case 2: return Duration{0};
      default: return std::chrono::microseconds{pick(3000)};
    }
  }

  /// Mostly within a few bytes of the start, so that segments meet; sometimes at an edge.
  std::uint32_t position() {
    constexpr std::array<std::uint32_t, 8> kEdges = {0,          1u << 30,   (1u << 30) + 1,
                                                     0x7fffffff, 0x80000000, 0xffffffff,
                                                     100'000,    5'000'000};
    if (pick(25) == 0) return kEdges[pick(kEdges.size())] + pick(3);
    if (pick(6) == 0) return pick(9000);
    return pick(60);
  }

  Frame frame() {
    constexpr std::array<std::string_view, 16> kFlags = {
        ".",  ".",  ".", "P.", "P.", "P.",  "S",     "S.",
        "F.", "F.", "R", "R.", "-",  "UP.", "SFRPU", "SF."};
    const unsigned side = pick(2);
    const auto port = static_cast<std::uint16_t>(1000 + pick(pick(3) == 0 ? 6 : 2));
    const std::uint16_t ports[2] = {port, 80};
    std::string payload(pick(3) == 0 ? 0 : 1 + pick(pick(9) == 0 ? 3000 : 20), '\0');
    for (char& byte : payload) byte = static_cast<char>('a' + pick(4));
    PacketBuilder packet;
    const bool v6 = port % 2 == 0;
    packet.from(v6 ? endpoint6(static_cast<std::uint8_t>(1 + side), ports[side])
                   : endpoint4(static_cast<std::uint8_t>(1 + side), ports[side]));
    packet.to(v6 ? endpoint6(static_cast<std::uint8_t>(2 - side), ports[1 - side])
                 : endpoint4(static_cast<std::uint8_t>(2 - side), ports[1 - side]));
    packet.flags(kFlags[pick(kFlags.size())]);
    packet.seq(isn_[side] + position()).ack(isn_[1 - side] + position());
    packet.window(pick(8) == 0 ? 0 : static_cast<std::uint16_t>(pick(65536)));
    packet.urgent(static_cast<std::uint16_t>(pick(10))).payload(payload);
    if (pick(6) == 0) packet.window_scale(static_cast<std::uint8_t>(pick(20)));
    if (pick(9) == 0) packet.snap(54 + pick(60));
    if (pick(20) == 0) packet.checksum(PacketBuilder::Checksum::Bad);
    if (pick(20) == 0) packet.vlan(static_cast<std::uint16_t>(1 + pick(2)));
    return packet.build(now_);
  }

  std::mt19937_64 random_;
  std::uint32_t isn_[2];
  Timestamp now_ = kBase;
};

std::string run(const std::vector<Frame>& frames, const ShardConfig& config, std::uint32_t burst) {
  RecordingConsumer consumer;
  ShardRunner runner(config, consumer, burst);
  for (const Frame& frame : frames) runner.feed(frame);
  runner.finish();
  EXPECT_EQ(consumer.violations(), "") << consumer.text(kBase);
  EXPECT_TRUE(runner.ledger().balances());
  EXPECT_TRUE(runner.shard().memory_in_use() == Shard::MemoryInUse{});
  std::uint64_t delivered = 0;
  for (const ConnectionLog& log : consumer.connections()) {
    EXPECT_TRUE(log.closed);
    delivered += log.sides[0].bytes.size() + log.sides[1].bytes.size();
  }
  EXPECT_EQ(delivered,
            runner.ledger().tcp.fates[static_cast<std::size_t>(Fate::Delivered)]);
  return consumer.text(kBase);
}

/// More of them by night: FLOWLOOM_SEEDS=60000.
std::uint64_t seed_count() {
  const char* wanted = std::getenv("FLOWLOOM_SEEDS");
  return wanted == nullptr ? 800 : std::strtoull(wanted, nullptr, 10);
}

TEST(HostileSegments, BreakNothing) {
  for (std::uint64_t seed = 1; seed <= seed_count(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Hostile hostile(seed);
    const ShardConfig config = hostile.config();
    const std::vector<Frame> frames = hostile.frames(20 + seed % 300);
    const std::string log = run(frames, config, 32);
    EXPECT_EQ(run(frames, config, 1), log);
    EXPECT_EQ(run(frames, config, 7), log);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace flowloom::test
