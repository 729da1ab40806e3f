// SYNs that wait in compact form: whatever follows, the run is the same as with connections that
// are opened at once, but for on_open; and a flood of them is counted, ordered and forgotten whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "net/tcp_header.hpp"
#include "pipeline/lone_syn.hpp"
#include "support/recording_consumer.hpp"
#include "support/shard_runner.hpp"

namespace flowloom::test {
namespace {

using namespace std::chrono_literals;

const Timestamp kBase = from_nanoseconds(1'700'000'000'000'000'000);

/// Traffic of a few tuples, much of it SYNs: answered, repeated, refused, continued after their
/// time-out, with every option and oddity that a SYN may have.
class Traffic {
 public:
  explicit Traffic(std::uint64_t seed) : random_(seed) {}

  std::vector<Frame> frames(int count) {
    std::vector<Frame> frames;
    while (count-- > 0) frames.push_back(next());
    return frames;
  }

 private:
  std::uint32_t pick(std::uint32_t end) { return static_cast<std::uint32_t>(random_() % end); }

  Frame next() {
    constexpr std::array<Duration, 5> kPauses = {0s, 1us, 20ms, 900ms, 11s};
    now_ += kPauses[pick(64) == 0 ? 4 : pick(4)];
    const auto port = static_cast<std::uint16_t>(1000 + pick(40));
    const bool v6 = port % 3 == 0;
    const bool client_is_lower = port % 2 == 0;
    const bool up = pick(5) < 3;
    const auto host = [&](bool client) {
      const unsigned n = client == client_is_lower ? 1 : 2;
      const std::uint16_t its = client ? port : std::uint16_t{80};
      return v6 ? endpoint6(static_cast<std::uint8_t>(n), its)
                : endpoint4(static_cast<std::uint8_t>(n), its);
    };
    constexpr std::array<std::string_view, 10> kUp = {"S", "S", "S", "S",  "S",
                                                      ".", "P.", "F.", "R", "SE"};
    constexpr std::array<std::string_view, 6> kDown = {"S.", "S.", "R.", ".", "P.", "S"};
    const std::string_view flags = up ? kUp[pick(kUp.size())] : kDown[pick(kDown.size())];
    const bool syn = flags[0] == 'S';
    const std::uint32_t isn = (up ? 0xffffff00 : 500) + 1000 * pick(2);
    const std::uint32_t other = (up ? 500 : 0xffffff00) + 1000 * pick(2);
    PacketBuilder packet;
    packet.from(host(up)).to(host(!up)).flags(flags).window(static_cast<std::uint16_t>(pick(9000)));
    packet.seq(isn + (syn ? 0 : 1)).ack(other + 1);
    if (flags[0] == 'P' || pick(20) == 0) packet.payload("hello");
    if (syn) add_oddities(packet);
    return packet.build(now_);
  }

  void add_oddities(PacketBuilder& packet) {
    if (pick(2) == 0) packet.mss(1460);
    if (pick(2) == 0) packet.timestamps(pick(1000), 0);
    if (pick(2) == 0) packet.window_scale(static_cast<std::uint8_t>(pick(17)));
    if (pick(3) == 0) packet.sack_permitted();
    constexpr std::uint8_t kMd5 = 19;
    if (pick(20) == 0) packet.option({kMd5, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7});
    if (pick(20) == 0) packet.vlan(7);
    if (pick(20) == 0) packet.checksum(PacketBuilder::Checksum::Bad);
  }

  std::mt19937_64 random_;
  Timestamp now_ = kBase;
};

/// Everything a run tells, connection by connection in the order of their ends.
std::string story(const RecordingConsumer& consumer) {
  std::string text;
  for (const StreamEvent& event : consumer.events()) {
    if (event.kind != StreamEvent::Kind::Close) continue;
    const ConnectionLog& log = consumer.connections()[event.connection];
    text += to_text(log.record, kBase);
    for (const SideRecord& side : log.record.sides) {
      text += " " + to_string(side.endpoint.address) + ":" + std::to_string(side.endpoint.port) +
              " " + std::to_string(side.ip_bytes);
    }
    for (const ConnectionLog::Side& side : log.sides) text += " \"" + side.bytes + "\"";
    text += " seq " + std::to_string(log.record.first_sequence.value()) + "\n";
  }
  return text;
}

struct Outcome {
  std::string story;
  Ledger ledger;
};

Outcome run(const std::vector<Frame>& frames, ShardConfig config, std::uint32_t burst) {
  RecordingConsumer consumer;
  ShardRunner runner(config, consumer, burst);
  for (const Frame& frame : frames) runner.feed(frame);
  runner.finish();
  EXPECT_EQ(consumer.violations(), "");
  EXPECT_EQ(runner.shard().memory_in_use(), Shard::MemoryInUse{});
  EXPECT_TRUE(runner.ledger().balances());
  return {story(consumer), runner.ledger()};
}

TEST(SynCache, ChangesNothingThatIsTold) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const std::vector<Frame> frames = Traffic(seed).frames(1500);
    ShardConfig config = small_config();
    const Outcome plain = run(frames, config, 1);
    for (const std::uint32_t from : {0U, 3U}) {
      for (const std::uint32_t burst : {1U, 7U, 32U}) {
        config.syn_cache_from = from;
        const Outcome cached = run(frames, config, burst);
        ASSERT_EQ(plain.story, cached.story) << "seed " << seed << ", from " << from;
        ASSERT_EQ(plain.ledger.connections_created, cached.ledger.connections_created);
        ASSERT_EQ(plain.ledger.connections_closed, cached.ledger.connections_closed);
        ASSERT_EQ(plain.ledger.verdicts, cached.ledger.verdicts);
        ASSERT_EQ(plain.ledger.tcp.fates, cached.ledger.tcp.fates);
      }
    }
    EXPECT_GT(plain.ledger.connections_created, 200U);
  }
}

// --- a flood

constexpr std::size_t kSyn = static_cast<std::size_t>(UnconfirmedKind::Syn);
constexpr std::size_t kUnconfirmed = static_cast<std::size_t>(EvictionClass::Unconfirmed);

Frame flood_syn(std::uint32_t i) {
  return PacketBuilder()
      .from(endpoint4(static_cast<std::uint8_t>(3 + i % 100), static_cast<std::uint16_t>(1000 + i)))
      .to(endpoint4(2, 80))
      .flags("S")
      .seq(i)
      .mss(1460)
      .build(kBase + i * 1us);
}

/// Does without records of what is evicted.
class SummaryConsumer final : public StreamConsumer {
 public:
  void on_data(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction, StreamOffset,
               ByteView) override {}
  Interest on_open(const EventKey&, const ConnectionView&, ConsumerSlot&) override {
    ++opened;
    return Interest::Bytes;
  }
  void on_close(const EventKey&, const ConnectionView&, ConsumerSlot&) override { ++closed; }
  Farewell on_eviction(const ConnectionView&, ConsumerSlot&) override { return Farewell::Summary; }
  Farewell on_syn_end(CloseReason reason) override {
    ++syns_ended[static_cast<std::size_t>(reason)];
    return Farewell::Summary;
  }
  void on_summary(const EventKey&, const EvictionSummary& one) override { summary += one; }

  EvictionSummary summary;
  std::uint64_t opened = 0;
  std::uint64_t closed = 0;
  std::array<std::uint64_t, kCloseReasonNames.size()> syns_ended{};
};

TEST(SynCache, FloodIsCountedInSummaries) {
  constexpr std::uint32_t kSyns = 5000;
  ShardConfig config = small_config();
  config.syn_cache_from = 4;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  for (std::uint32_t i = 0; i < kSyns; ++i) runner.feed(flood_syn(i));
  runner.flush();
  EXPECT_EQ(runner.shard().connections(), config.max_flows);
  EXPECT_LT(consumer.opened, kSyns / 10);
  runner.finish();
  const Ledger& ledger = runner.ledger();
  EXPECT_TRUE(ledger.balances());
  EXPECT_EQ(ledger.connections_created, kSyns);
  EXPECT_EQ(ledger.evicted[kUnconfirmed], kSyns - config.max_flows);
  const auto ended = [&](CloseReason reason) {
    return consumer.syns_ended[static_cast<std::size_t>(reason)];
  };
  EXPECT_GT(ended(CloseReason::Evicted), kSyns * 8 / 10);
  EXPECT_EQ(consumer.closed + ended(CloseReason::Eof), config.max_flows);
  EXPECT_EQ(ledger.connections_closed[static_cast<std::size_t>(CloseReason::Eof)],
            config.max_flows);
  EXPECT_EQ(consumer.summary.connections[kSyn], kSyns - config.max_flows);
  EXPECT_EQ(consumer.summary.packets, kSyns - config.max_flows);
  EXPECT_EQ(consumer.summary.ip_bytes, (kSyns - config.max_flows) * std::uint64_t{44});
  EXPECT_EQ(consumer.summary.start, kBase);
}

// Time ends them, too, and their place is free again.
TEST(SynCache, TimeOutsEndSynsWithoutARecord) {
  ShardConfig config = small_config();
  config.syn_cache_from = 0;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  for (std::uint32_t round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < 50; ++i) {
      Frame frame = flood_syn(i);
      frame.stamp += round * 11s;
      runner.feed(std::move(frame));
    }
  }
  runner.finish();
  const auto reason = static_cast<std::size_t>(CloseReason::SynTimeout);
  EXPECT_EQ(runner.ledger().connections_created, 150U);
  EXPECT_EQ(runner.ledger().connections_closed[reason], 100U);
  EXPECT_EQ(consumer.syns_ended[reason], 100U);
  EXPECT_EQ(consumer.opened, 0U);
  EXPECT_TRUE(runner.ledger().balances());
}

// The oldest goes first, whether it waits in compact form or not; a record is had where wanted.
TEST(SynCache, OldestSynGoesFirst) {
  constexpr std::uint32_t kSyns = 500;
  ShardConfig config = small_config();
  config.syn_cache_from = 4;
  RecordingConsumer consumer;
  ShardRunner runner(config, consumer);
  for (std::uint32_t i = 0; i < kSyns; ++i) runner.feed(flood_syn(i));
  runner.finish();
  std::uint64_t last = 0;
  std::uint32_t evicted = 0;
  for (const StreamEvent& event : consumer.events()) {
    if (event.kind != StreamEvent::Kind::Close) continue;
    const ConnectionRecord& record = consumer.connections()[event.connection].record;
    EXPECT_GT(record.first_packet, last);
    last = record.first_packet;
    evicted += record.close == CloseReason::Evicted ? 1 : 0;
  }
  EXPECT_EQ(evicted, kSyns - config.max_flows);
  EXPECT_EQ(consumer.violations(), "");
}

// Everybody is confirmed: there is no room for a SYN without the loss of one of them.
TEST(SynCache, AnsweredConnectionsOutliveTheFlood) {
  ShardConfig config = small_config();
  config.syn_cache_from = 0;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  const Endpoint client = endpoint4(1, 999);
  const Endpoint server = endpoint4(2, 80);
  runner.feed(PacketBuilder().from(client).to(server).flags("S").seq(7).build(kBase));
  for (std::uint32_t i = 0; i < 40; ++i) runner.feed(flood_syn(i));
  runner.feed(PacketBuilder().from(server).to(client).flags("S.").seq(9).ack(8).build(kBase + 1ms));
  for (std::uint32_t i = 1000; i < 4000; ++i) runner.feed(flood_syn(i));
  const Timestamp later = kBase + 10ms;
  runner.feed(PacketBuilder().from(client).to(server).flags("P.").seq(8).ack(10).payload("hello")
                  .build(later));
  runner.finish();
  EXPECT_EQ(runner.ledger().tcp.fates[static_cast<std::size_t>(Fate::Delivered)], 5U);
  EXPECT_EQ(runner.ledger().evicted[kUnconfirmed] + config.max_flows, 3041U);
  EXPECT_EQ(consumer.opened, consumer.closed);
}

}  // namespace
}  // namespace flowloom::test
