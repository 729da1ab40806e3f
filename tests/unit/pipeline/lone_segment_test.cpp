// First segments that wait in compact form: whatever follows, the run is the same as with
// connections that are opened at once, but for on_open; and a flood of them is counted, ordered and
// forgotten whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "net/tcp_header.hpp"
#include "support/recording_consumer.hpp"
#include "support/shard_runner.hpp"
#include "support/summary_consumer.hpp"

namespace flowloom::test {
namespace {

using namespace std::chrono_literals;

const Timestamp kBase = from_nanoseconds(1'700'000'000'000'000'000);

/// Traffic of a few tuples, much of it SYNs, or out of the middle of connections: answered,
/// repeated, refused, out of order, continued after their time-out, with every option and oddity
/// that a first segment may have.
class Traffic {
 public:
  enum class Kind : std::uint8_t { Syns, Texts };
  Traffic(Kind kind, std::uint64_t seed) : kind_(kind), random_(seed) {}

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
    // On both sides of those that are taken for servers'.
    const auto port = static_cast<std::uint16_t>(1000 + pick(40));
    const bool v6 = port % 3 == 0;
    const bool client_is_lower = port % 2 == 0;
    const bool up = pick(5) < 3;
    const auto host = [&](bool client) {
      const unsigned n = client == client_is_lower ? 1 : 2;
      const auto its = static_cast<std::uint16_t>(client ? port : port % 5 == 0 ? 8080 : 80);
      return v6 ? endpoint6(static_cast<std::uint8_t>(n), its)
                : endpoint4(static_cast<std::uint8_t>(n), its);
    };
    constexpr std::array<std::string_view, 10> kUp = {"S", "S", "S", "S",  "S",
                                                      ".", "P.", "F.", "R", "SE"};
    constexpr std::array<std::string_view, 6> kDown = {"S.", "S.", "R.", ".", "P.", "S"};
    constexpr std::array<std::string_view, 10> kMiddle = {"P.", "P.", "P.", ".",  ".",
                                                          ".",  "P.", "F.", "R.", "S"};
    std::string_view flags = up ? kUp[pick(kUp.size())] : kDown[pick(kDown.size())];
    if (kind_ == Kind::Texts) flags = kMiddle[pick(kMiddle.size())];
    const bool syn = flags[0] == 'S';
    const std::uint32_t isn = (up ? 0xffffff00 : 500) + 1000 * pick(2);
    const std::uint32_t other = (up ? 500 : 0xffffff00) + 1000 * pick(2);
    PacketBuilder packet;
    packet.from(host(up)).to(host(!up)).flags(flags).window(static_cast<std::uint16_t>(pick(9000)));
    packet.seq(isn + (syn ? 0 : 1) + place()).ack(other + 1 + place());
    if (flags[0] == 'P' || pick(20) == 0) packet.payload(kWords.substr(pick(5), words()));
    if (syn) add_syn_options(packet);
    if (!syn && pick(2) == 0) packet.timestamps(1000 + pick(10), 1);
    add_oddities(packet);
    return packet.build(now_);
  }

  /// Where in its stream a segment is; the SYNs' traffic is all at the beginning.
  std::uint32_t place() { return kind_ == Kind::Syns ? 0 : 5 * pick(4); }
  /// Some of them are too long to be held.
  std::size_t words() {
    if (kind_ == Kind::Syns) return 5;
    return pick(6) == 0 ? 45 + pick(25) : 1 + pick(10);
  }

  void add_syn_options(PacketBuilder& packet) {
    if (pick(2) == 0) packet.mss(1460);
    if (pick(2) == 0) packet.timestamps(pick(1000), 0);
    if (pick(2) == 0) packet.window_scale(static_cast<std::uint8_t>(pick(17)));
    if (pick(3) == 0) packet.sack_permitted();
  }

  void add_oddities(PacketBuilder& packet) {
    constexpr std::uint8_t kMd5 = 19;
    if (pick(20) == 0) packet.option({kMd5, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7});
    if (pick(20) == 0) packet.vlan(7);
    if (pick(20) == 0) packet.checksum(PacketBuilder::Checksum::Bad);
  }

  static constexpr std::string_view kWords =
      "hello hello hello hello hello hello hello hello hello hello hello hello hello hello hello";
  Kind kind_;
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

void expect_the_same(const std::vector<Frame>& frames, std::uint64_t seed) {
  ShardConfig config = small_config();
  config.max_flows = 128; // nobody has to go
  const Outcome plain = run(frames, config, 1);
  EXPECT_GT(plain.ledger.connections_created, 200U);
  for (const HoldFirst hold : {HoldFirst::InFlood, HoldFirst::Always}) {
    for (const std::uint32_t burst : {1U, 7U, 32U}) {
      config.hold_first = hold;
      const Outcome held = run(frames, config, burst);
      ASSERT_EQ(plain.story, held.story) << "seed " << seed << ", burst " << burst;
      ASSERT_EQ(plain.ledger.connections_created, held.ledger.connections_created);
      ASSERT_EQ(plain.ledger.connections_closed, held.ledger.connections_closed);
      ASSERT_EQ(plain.ledger.verdicts, held.ledger.verdicts);
      ASSERT_EQ(plain.ledger.tcp.fates, held.ledger.tcp.fates);
      ASSERT_EQ(plain.ledger.tcp.payload_seen, held.ledger.tcp.payload_seen);
    }
  }
}

TEST(LoneSegment, HeldSynsChangeNothingThatIsTold) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    expect_the_same(Traffic(Traffic::Kind::Syns, seed).frames(1500), seed);
    if (HasFatalFailure()) return;
  }
}

TEST(LoneSegment, HeldTextsChangeNothingThatIsTold) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    expect_the_same(Traffic(Traffic::Kind::Texts, seed).frames(1500), seed);
    if (HasFatalFailure()) return;
  }
}

// One SYN that nobody answers, and so many after it that are answered and refused that there is no
// place left behind it: the others do without.
TEST(LoneSegment, OneThatWaitsLongHindersNobody) {
  constexpr std::uint32_t kOthers = 400;
  const Endpoint server = endpoint4(2, 80);
  std::vector<Frame> frames;
  const auto add = [&](PacketBuilder packet) {
    frames.push_back(packet.build(kBase + frames.size() * 5ms));
  };
  const auto client = [](std::uint32_t i) {
    return endpoint4(1, static_cast<std::uint16_t>(1000 + i));
  };
  add(PacketBuilder().from(client(0)).to(server).flags("S").seq(7));
  for (std::uint32_t i = 1; i <= kOthers; ++i) {
    add(PacketBuilder().from(client(i)).to(server).flags("S").seq(i));
    add(PacketBuilder().from(server).to(client(i)).flags("R.").ack(i + 1));
  }
  ShardConfig config = small_config();
  config.max_flows = 128;
  config.closed_timeout = 200ms;
  const Outcome plain = run(frames, config, 1);
  EXPECT_EQ(plain.ledger.connections_created, kOthers + 1);
  EXPECT_EQ(plain.ledger.limits, Ledger{}.limits);
  config.hold_first = HoldFirst::Always;
  const Outcome held = run(frames, config, 1);
  EXPECT_EQ(plain.story, held.story);
  EXPECT_EQ(held.ledger.limits, Ledger{}.limits);
}

// A text that waits in compact form is opened shortly before its grace is over, in the very tick of
// the wheel: what the grace decides comes before what a later packet in that tick does.
TEST(LoneSegment, GraceOfATextThatIsOpenedLateEndsInTime) {
  const auto text = [](std::uint16_t port, std::uint32_t seq, std::size_t size, Timestamp at) {
    return PacketBuilder().from(endpoint4(1, port)).to(endpoint4(2, 80)).flags("P.").seq(seq)
        .payload(std::string(size, 'x')).build(at);
  };
  constexpr std::size_t kTooLong = 900;  // to wait: opened at once
  ShardConfig config = small_config();
  config.hold_first = HoldFirst::Always;
  for (Duration shift{0}; shift < 10ms; shift += 1ms) { // wherever the tick's border is
    const Timestamp begin = kBase + shift;
    run({text(1000, 100, 4, begin), text(1000, 200, 4, begin + 199ms),
         text(1001, 100, kTooLong, begin + 202ms)}, config, 1);
  }
}

// --- a flood

constexpr std::size_t kSyn = static_cast<std::size_t>(UnconfirmedKind::Syn);
constexpr std::size_t kUnconfirmed = static_cast<std::size_t>(EvictionClass::Unconfirmed);

/// Each from an end point of its own.
PacketBuilder flood_packet(std::uint32_t i) {
  return PacketBuilder()
      .from(endpoint4(static_cast<std::uint8_t>(3 + i % 100), static_cast<std::uint16_t>(1000 + i)))
      .to(endpoint4(2, 80))
      .seq(i);
}

Frame flood_syn(std::uint32_t i) {
  return flood_packet(i).flags("S").mss(1460).build(kBase + i * 1us);
}

TEST(LoneSegment, FloodIsCountedInSummaries) {
  constexpr std::uint32_t kSyns = 5000;
  ShardConfig config = small_config();
  config.hold_first = HoldFirst::InFlood;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  for (std::uint32_t i = 0; i < kSyns; ++i) runner.feed(flood_syn(i));
  runner.flush();
  EXPECT_EQ(runner.shard().connections(), config.max_flows);
  EXPECT_LT(consumer.opened(), kSyns / 10);
  runner.finish();
  const Ledger& ledger = runner.ledger();
  EXPECT_TRUE(ledger.balances());
  EXPECT_EQ(ledger.connections_created, kSyns);
  EXPECT_EQ(ledger.evicted[kUnconfirmed], kSyns - config.max_flows);
  EXPECT_GT(consumer.unopened(CloseReason::Evicted), kSyns * 8 / 10);
  EXPECT_EQ(consumer.closed().size() + consumer.unopened(CloseReason::Eof), config.max_flows);
  EXPECT_EQ(ledger.connections_closed[static_cast<std::size_t>(CloseReason::Eof)],
            config.max_flows);
  const EvictionSummary sum = consumer.sum();
  EXPECT_EQ(sum.connections[kSyn], kSyns - config.max_flows);
  EXPECT_EQ(sum.packets, kSyns - config.max_flows);
  EXPECT_EQ(sum.ip_bytes, (kSyns - config.max_flows) * std::uint64_t{44});
  EXPECT_EQ(sum.start, kBase);
}

Frame flood_text(std::uint32_t i, std::string_view bytes) {
  return flood_packet(i).flags("P.").ack(7).payload(bytes).build(kBase + i * 1us);
}

// Bytes of those that were evicted are cut, of the others delivered.
TEST(LoneSegment, FloodOfTextsIsAccountedFor) {
  constexpr std::uint32_t kTexts = 5000;
  ShardConfig config = small_config();
  config.hold_first = HoldFirst::InFlood;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  for (std::uint32_t i = 0; i < kTexts; ++i) runner.feed(flood_text(i, i % 2 == 0 ? "x" : "yes"));
  runner.flush();
  EXPECT_EQ(runner.shard().connections(), config.max_flows);
  EXPECT_LE(runner.shard().memory_in_use().extras, config.max_flows / Shard::kHoldTextsFrom);
  EXPECT_LE(runner.shard().memory_in_use().pages, config.max_flows / Shard::kHoldTextsFrom);
  runner.finish();
  expect_accounted(runner.ledger(), consumer);
  EXPECT_EQ(consumer.closed().size(), config.max_flows);
  EXPECT_EQ(fate(runner.ledger(), Fate::Delivered), config.max_flows * 2U);
  EXPECT_EQ(fate(runner.ledger(), Fate::CutEviction), (kTexts - config.max_flows) * 2U);
  constexpr auto kData = static_cast<std::size_t>(UnconfirmedKind::Data);
  EXPECT_EQ(consumer.sum().connections[kData], kTexts - config.max_flows);
  EXPECT_EQ(consumer.sum().ip_bytes, (kTexts - config.max_flows) * std::uint64_t{42});
}

// Whether they are SYNs, have payload or none, and in which form they wait.
TEST(LoneSegment, OldestOfAllKindsGoesFirst) {
  constexpr std::uint32_t kSegments = 600;
  ShardConfig config = small_config();
  config.hold_first = HoldFirst::InFlood;
  RecordingConsumer consumer;
  ShardRunner runner(config, consumer);
  for (std::uint32_t i = 0; i < kSegments; ++i) {
    runner.feed(i % 3 == 0 ? flood_syn(i) : flood_text(i, i % 3 == 1 ? "" : "text"));
  }
  runner.flush();
  std::uint64_t last = 0;
  for (const StreamEvent& event : consumer.events()) {
    if (event.kind != StreamEvent::Kind::Close) continue;
    const ConnectionRecord& record = consumer.connections()[event.connection].record;
    EXPECT_EQ(record.close, CloseReason::Evicted);
    EXPECT_EQ(record.first_packet, ++last);
  }
  EXPECT_EQ(last, kSegments - config.max_flows);
  runner.finish();
  EXPECT_TRUE(runner.ledger().balances());
}

// Time ends them, too, and their place is free again.
TEST(LoneSegment, TimeOutsEndSynsWithoutARecord) {
  ShardConfig config = small_config();
  config.hold_first = HoldFirst::Always;
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
  EXPECT_EQ(consumer.unopened(CloseReason::SynTimeout), 100U);
  EXPECT_EQ(consumer.opened(), 0U);
  EXPECT_TRUE(runner.ledger().balances());
}

// The oldest goes first, whether it waits in compact form or not; a record is had where wanted.
TEST(LoneSegment, OldestSynGoesFirst) {
  constexpr std::uint32_t kSyns = 500;
  ShardConfig config = small_config();
  config.hold_first = HoldFirst::InFlood;
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
TEST(LoneSegment, AnsweredConnectionsOutliveTheFlood) {
  ShardConfig config = small_config();
  config.hold_first = HoldFirst::Always;
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
  EXPECT_EQ(consumer.opened(), consumer.closed().size());
}

}  // namespace
}  // namespace flowloom::test
