// Who goes when there is no room: the order against a model that keeps plain lists, what is
// confirmed, what summaries count, and the ledger of every pool that runs out.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "support/recording_consumer.hpp"
#include "support/shard_runner.hpp"
#include "support/summary_consumer.hpp"

namespace flowloom::test {
namespace {

using namespace std::chrono_literals;

const Timestamp kBase = from_nanoseconds(1'700'000'000'000'000'000);
constexpr std::size_t kUnconfirmed = static_cast<std::size_t>(EvictionClass::Unconfirmed);
constexpr std::size_t kClosed = static_cast<std::size_t>(EvictionClass::Closed);
constexpr std::size_t kHalfOpen = static_cast<std::size_t>(EvictionClass::HalfOpen);
constexpr std::size_t kOpen = static_cast<std::size_t>(EvictionClass::Open);

std::uint64_t evicted(const Ledger& ledger, std::size_t its) { return ledger.evicted[its]; }
bool reached(const Ledger& ledger, Limit limit) {
  return ledger.limits[static_cast<std::size_t>(limit)];
}

/// Frames of the connections of one host, each named by the port of its client.
class Clients {
 public:
  Frame up(std::uint16_t port, std::string_view flags, std::uint32_t seq,
           std::string_view bytes = "", std::uint32_t ack = 501) {
    return frame(endpoint4(1, port), endpoint4(2, 80), flags, seq, ack, bytes);
  }
  Frame down(std::uint16_t port, std::string_view flags, std::uint32_t seq,
             std::string_view bytes = "", std::uint32_t ack = 101) {
    return frame(endpoint4(2, 80), endpoint4(1, port), flags, seq, ack, bytes);
  }
  void pass(Duration time) { now_ += time; }
  /// All that follow are on this VLAN; 0: none.
  void tag(std::uint16_t vlan) { vlan_ = vlan; }
  [[nodiscard]] Timestamp now() const { return now_; }

 private:
  Frame frame(const Endpoint& from, const Endpoint& to, std::string_view flags, std::uint32_t seq,
              std::uint32_t ack, std::string_view bytes) {
    now_ += 1us;
    PacketBuilder packet;
    if (vlan_ != 0) packet.vlan(vlan_);
    return packet.from(from).to(to).flags(flags).seq(seq).ack(ack).payload(bytes).build(now_);
  }
  Timestamp now_ = kBase;
  std::uint16_t vlan_ = 0;
};

// --- the order of eviction, against plain lists

/// What the rules of docs/tcp.md say, with everything found by looking at everything.
class Model {
 public:
  explicit Model(std::size_t capacity) : capacity_(capacity) {}

  struct Client {
    std::uint16_t port;
    unsigned heard = 0;          ///< bits: up, down
    std::uint32_t in_order = 0;
    std::uint32_t next = 0;
    std::uint32_t highest[2] = {0, 0};  ///< ends, by side
    bool confirmed = false;
    bool closed = false;
    std::size_t closed_at = 0;
  };

  /// Returns the port that was evicted for it, or 0.
  std::uint16_t segment(std::uint16_t port, unsigned side, std::uint32_t seq,
                        std::uint32_t length) {
    ++time_;
    std::uint16_t victim = 0;
    auto it = find(port);
    if (it == clients_.end()) {
      if (clients_.size() == capacity_) victim = evict();
      clients_.push_back({.port = port});
      it = clients_.end() - 1;
    }
    it->heard |= 1U << side;
    it->in_order = it->in_order > 0 && seq == it->next ? it->in_order + 1 : 1;
    it->next = seq + length;
    it->highest[side] = std::max(it->highest[side], it->next);
    if (it->heard == 3 || it->in_order == 3) it->confirmed = true;
    return victim;
  }
  void close(std::uint16_t port) {
    find(port)->closed = true;
    find(port)->closed_at = time_;
  }
  [[nodiscard]] bool has_prey() const {
    return std::any_of(clients_.begin(), clients_.end(),
                       [](const Client& c) { return !c.confirmed || c.closed; });
  }
  [[nodiscard]] std::size_t size() const { return clients_.size(); }
  [[nodiscard]] bool knows(std::uint16_t port) { return find(port) != clients_.end(); }
  [[nodiscard]] const Client& client(std::uint16_t port) { return *find(port); }

 private:
  std::deque<Client>::iterator find(std::uint16_t port) {
    return std::find_if(clients_.begin(), clients_.end(),
                        [port](const Client& c) { return c.port == port; });
  }
  std::uint16_t evict() {
    const auto is_unconfirmed = [](const Client& c) { return !c.confirmed; };
    const auto unconfirmed = std::count_if(clients_.begin(), clients_.end(), is_unconfirmed);
    auto victim = first_closed();
    const std::size_t part = capacity_ / Shard::kPartForUnconfirmed;
    if (victim == clients_.end() || static_cast<std::size_t>(unconfirmed) >= part) {
      const auto oldest = std::find_if(clients_.begin(), clients_.end(), is_unconfirmed);
      if (oldest != clients_.end()) victim = oldest;
    }
    const std::uint16_t port = victim == clients_.end() ? std::uint16_t{0} : victim->port;
    if (victim != clients_.end()) clients_.erase(victim);
    return port;
  }

  std::deque<Client>::iterator first_closed() {
    auto first = clients_.end();
    for (auto c = clients_.begin(); c != clients_.end(); ++c) {
      if (c->closed && (first == clients_.end() || c->closed_at < first->closed_at)) first = c;
    }
    return first;
  }

  std::size_t capacity_;
  std::size_t time_ = 0;
  std::deque<Client> clients_;
};

/// Remembers the port of every connection that was evicted.
class Witness final : public StreamConsumer {
 public:
  void on_data(const EventKey&, const ConnectionView&, ConsumerSlot&, Direction, StreamOffset,
               ByteView) override {}
  void on_close(const EventKey&, const ConnectionView& view, ConsumerSlot&) override {
    ConnectionRecord record;
    view.describe(record);
    if (record.close != CloseReason::Evicted) return;
    const SideRecord& client = record.sides[record.sides[0].endpoint.port == 80 ? 1 : 0];
    evicted.push_back(client.endpoint.port);
  }
  std::vector<std::uint16_t> evicted;
};

TEST(Eviction, OrderIsThatOfTheModel) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    const auto pick = [&](std::uint64_t end) { return static_cast<std::uint32_t>(random() % end); };
    ShardConfig config = small_config();
    config.max_flows = 8 + pick(72);
    Witness witness;
    ShardRunner runner(config, witness, 1);
    Model model(config.max_flows);
    Clients clients;
    std::vector<std::uint16_t> expected;
    std::uint16_t next_port = 1024;
    for (int step = 0; step < 1500; ++step) {
      // Another segment of a client that is there, or the first of a new one.
      const bool old = pick(3) > 0 && next_port > 1024;
      const auto port = static_cast<std::uint16_t>(
          old ? 1024 + pick(std::min(next_port - 1024U, 3000U)) : next_port);
      if (old && (!model.knows(port) || model.client(port).closed)) continue;
      if (!old && model.size() == config.max_flows && !model.has_prey()) continue;
      if (!old) ++next_port;
      const unsigned side = pick(4) == 0 ? 1 : 0;
      const std::uint32_t seq = old && pick(2) == 0 ? model.client(port).next : 100 + pick(5);
      const std::uint16_t victim = model.segment(port, side, seq, 1);
      if (victim != 0) expected.push_back(victim);
      runner.feed(side == 0 ? clients.up(port, "P.", seq, "x")
                            : clients.down(port, "P.", seq, "y"));
      if (pick(12) == 0 && model.client(port).confirmed) {
        // A RST that must be believed: behind everything that its sender has sent.
        const std::uint32_t at = model.client(port).highest[side];
        model.segment(port, side, at, 0);
        runner.feed(side == 0 ? clients.up(port, "R", at) : clients.down(port, "R", at));
        model.close(port);
      }
      ASSERT_EQ(expected, witness.evicted) << "seed " << seed << ", step " << step;
      ASSERT_EQ(model.size(), runner.shard().connections());
    }
    runner.finish();
    EXPECT_TRUE(runner.ledger().balances());
    EXPECT_GT(expected.size(), 50U);
  }
}

// --- what confirms

TEST(Eviction, BothSidesConfirm) {
  ShardConfig config = small_config();
  config.max_flows = 16;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  Clients clients;
  runner.feed(clients.up(1000, "S", 100));
  runner.feed(clients.down(1000, "S.", 500));
  for (std::uint16_t i = 0; i < 200; ++i) {
    runner.feed(clients.up(static_cast<std::uint16_t>(2000 + i), "S", 7));
  }
  runner.feed(clients.up(1000, ".", 101));
  runner.feed(clients.up(1000, "P.", 101, "hello"));
  runner.finish();
  EXPECT_EQ(evicted(runner.ledger(), kUnconfirmed), 185U);
  EXPECT_EQ(runner.ledger().connections_created, 201U);
  EXPECT_EQ(consumer.bytes(), 5U);
  expect_accounted(runner.ledger(), consumer);
}

TEST(Eviction, ThreeSegmentsInOrderConfirm) {
  struct Case {
    std::vector<std::uint32_t> sequence;  ///< of segments of one byte
    bool survives;
  };
  const Case cases[] = {{{100, 101, 102}, true},
                        {{100, 101}, false},
                        {{100, 100, 100, 100}, false},
                        {{100, 102, 103}, false},
                        {{100, 102, 103, 104}, true},
                        {{102, 101, 100}, false},
                        {{100, 101, 101, 102, 103}, true}};
  for (const Case& one : cases) {
    ShardConfig config = small_config();
    config.max_flows = 16;
    SummaryConsumer consumer;
    ShardRunner runner(config, consumer);
    Clients clients;
    for (const std::uint32_t seq : one.sequence) runner.feed(clients.up(1000, "P.", seq, "x"));
    for (std::uint16_t i = 0; i < 100; ++i) {
      runner.feed(clients.up(static_cast<std::uint16_t>(2000 + i), "S", 7));
    }
    runner.finish();
    const bool survived = std::any_of(
        consumer.closed().begin(), consumer.closed().end(), [](const ConnectionRecord& record) {
          return record.sides[0].endpoint.port == 1000 || record.sides[1].endpoint.port == 1000;
        });
    EXPECT_EQ(survived, one.survives) << one.sequence.size() << " from " << one.sequence[0];
    expect_accounted(runner.ledger(), consumer);
  }
}

// --- classes

TEST(Eviction, ConfirmedGoOnlyWhereNobodyElseIs) {
  ShardConfig config = small_config();
  config.max_flows = 16;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  Clients clients;
  const auto client = [](std::uint32_t i) { return static_cast<std::uint16_t>(1000 + i); };
  for (std::uint32_t i = 0; i < 16; ++i) {
    runner.feed(clients.up(client(i), "S", 100));
    runner.feed(clients.down(client(i), "S.", 500));
    if (i < 4) continue; // half open
    runner.feed(clients.up(client(i), ".", 101));
    runner.feed(clients.up(client(i), "P.", 101, "hello"));
    if (i < 10) continue; // open
    runner.feed(clients.up(client(i), "R.", 106));
  }
  for (std::uint32_t i = 0; i < 16; ++i) { // confirmed as well, so that nobody goes at once
    runner.feed(clients.up(client(100 + i), "S", 100));
    runner.feed(clients.down(client(100 + i), "S.", 500));
    runner.feed(clients.up(client(100 + i), ".", 101));
  }
  runner.flush();
  EXPECT_EQ(evicted(runner.ledger(), kUnconfirmed), 0U);
  EXPECT_EQ(evicted(runner.ledger(), kClosed), 6U);
  EXPECT_EQ(evicted(runner.ledger(), kHalfOpen), 4U);
  EXPECT_EQ(evicted(runner.ledger(), kOpen), 6U);
  runner.finish();
  EXPECT_EQ(consumer.sum().count(), 0U);
  expect_accounted(runner.ledger(), consumer);
}

// Who has closed and only lingers must not take the room that newcomers need until they are
// confirmed, else those evict each other as soon as they come.
TEST(Eviction, LingeringLeavesRoomToNewcomers) {
  ShardConfig config = small_config();
  config.max_flows = 1024;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  Clients clients;
  constexpr std::uint16_t kConnections = 20'000;
  constexpr std::uint16_t kStepsApart = 20; // so that 80 are open at a time
  for (std::uint16_t i = 0; i < kConnections + 4 * kStepsApart; ++i) {
    const auto client = [&](unsigned step) { // which connection takes its step, if any
      const int its = i - static_cast<int>(step) * kStepsApart;
      return static_cast<std::uint16_t>(its >= 0 && its < kConnections ? 1024 + its : 0);
    };
    if (const auto port = client(0)) runner.feed(clients.up(port, "S", 100));
    if (const auto port = client(1)) runner.feed(clients.down(port, "S.", 500));
    if (const auto port = client(2)) runner.feed(clients.up(port, "P.", 101, "hello"));
    if (const auto port = client(3)) runner.feed(clients.down(port, "F.", 501, "", 106));
    if (const auto port = client(4)) runner.feed(clients.up(port, "F.", 106, "", 502));
  }
  runner.flush();
  EXPECT_EQ(evicted(runner.ledger(), kUnconfirmed), 0U);
  EXPECT_GT(evicted(runner.ledger(), kClosed), 10'000U);
  EXPECT_EQ(runner.ledger().tcp.fates[static_cast<std::size_t>(Fate::Delivered)],
            5U * kConnections);
  runner.finish();
  expect_accounted(runner.ledger(), consumer);
}

// --- summaries

TEST(Eviction, SummariesCountEverythingOnceASecond) {
  ShardConfig config = small_config();
  config.max_flows = 100;
  config.probes = ReportProbes::Yes;  // more that is decided at the borders of ticks
  for (const std::uint32_t burst : {1U, 32U}) {
    SummaryConsumer consumer;
    ShardRunner runner(config, consumer, burst);
    Clients clients;
    constexpr std::uint32_t kEach = 4000;
    for (std::uint32_t i = 0; i < kEach; ++i) {
      const auto port = static_cast<std::uint16_t>(1024 + i * 4);
      runner.feed(clients.up(port, "S", 100));
      runner.feed(clients.up(static_cast<std::uint16_t>(port + 1), ".", 100));
      runner.feed(clients.up(static_cast<std::uint16_t>(port + 2), "P.", 100, "abc"));
      runner.feed(clients.up(static_cast<std::uint16_t>(port + 3), "R", 100));
      clients.pass(1ms);
    }
    runner.finish();
    const Ledger& ledger = runner.ledger();
    EXPECT_EQ(ledger.connections_created, 4 * kEach);
    const EvictionSummary sum = consumer.sum();
    EXPECT_EQ(sum.count(), evicted(ledger, kUnconfirmed));
    EXPECT_EQ(sum.count(), 4 * kEach - 100);
    for (const std::uint64_t kind : sum.connections) EXPECT_EQ(kind, kEach - 25);
    EXPECT_EQ(sum.packets, sum.count());
    EXPECT_EQ(sum.payload_bytes, 3 * (kEach - 25));
    EXPECT_EQ(fate(ledger, Fate::CutEviction), 3 * (kEach - 25));
    EXPECT_EQ(sum.senders.estimate(), 1U);
    EXPECT_EQ(sum.receivers.estimate(), 1U);
    expect_accounted(ledger, consumer);
    // The base is 1,700,000,000 s: seconds 0 to 4, some of them begun.
    EXPECT_EQ(consumer.summaries().size(), 5U);
    for (std::size_t i = 0; i < consumer.summaries().size(); ++i) {
      const EvictionSummary& one = consumer.summaries()[i];
      EXPECT_LE(one.start, one.end);
      const Duration end = consumer.keys()[i].clock - kBase;
      EXPECT_GE(end, std::chrono::seconds{i + 1} - 1ns);
      EXPECT_LT(end, std::chrono::seconds{i + 1} + 9ms);
      EXPECT_LE(one.end, consumer.keys()[i].clock);
    }
  }
}

TEST(Eviction, ARecordForEachWhereAConsumerWantsThem) {
  ShardConfig config = small_config();
  config.max_flows = 16;
  RecordingConsumer consumer;
  ShardRunner runner(config, consumer);
  Clients clients;
  for (std::uint32_t i = 0; i < 100; ++i) {
    runner.feed(clients.up(static_cast<std::uint16_t>(1024 + i), "P.", 100, "abc"));
  }
  runner.finish();
  EXPECT_EQ(consumer.violations(), "");
  EXPECT_EQ(consumer.connections().size(), 100U);
  EXPECT_EQ(fate(runner.ledger(), Fate::Delivered), 300U);
  EXPECT_EQ(evicted(runner.ledger(), kUnconfirmed), 84U);
}

// --- pressure

TEST(Eviction, PressureEndsTheOldAndSparesTheYoung) {
  ShardConfig config = small_config();
  config.max_flows = 160;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  Clients clients;
  std::uint16_t port = 1024;
  const auto add = [&](std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) runner.feed(clients.up(port++, ".", 100));
    runner.flush();
  };
  add(145);
  clients.pass(4s);
  runner.advance_clock(clients.now());
  EXPECT_EQ(runner.shard().connections(), 145U); // 15/16 are 150
  add(6);
  clients.pass(2s);
  runner.advance_clock(clients.now());
  EXPECT_EQ(runner.shard().connections(), 6U);
  EXPECT_TRUE(reached(runner.ledger(), Limit::Pressure));
  EXPECT_FALSE(reached(runner.ledger(), Limit::MaxFlows));
  clients.pass(2s);
  runner.advance_clock(clients.now());
  EXPECT_EQ(runner.shard().connections(), 6U); // no pressure any more
  runner.finish();
  EXPECT_EQ(consumer.sum().count(), 145U);
  expect_accounted(runner.ledger(), consumer);
}

TEST(Eviction, PressureShortensLingering) {
  ShardConfig config = small_config();
  config.max_flows = 16;
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  Clients clients;
  for (std::uint16_t port = 1024; port < 1024 + 16; ++port) {
    runner.feed(clients.up(port, "S", 100));
    runner.feed(clients.down(port, "R.", 0));
  }
  clients.pass(6s);
  runner.advance_clock(clients.now());
  EXPECT_EQ(runner.shard().connections(), 0U);
  EXPECT_EQ(runner.ledger().hurried, 16U);
  EXPECT_EQ(runner.ledger().connections_closed[static_cast<std::size_t>(CloseReason::Rst)], 16U);
  runner.finish();
  expect_accounted(runner.ledger(), consumer);
}

// --- pages

TEST(Eviction, UnconfirmedLeavePagesToOthers) {
  ShardConfig config = small_config();
  config.max_flows = 4096;
  config.reorder_bytes = 64 * sizeof(ReorderPage);
  SummaryConsumer consumer;
  ShardRunner runner(config, consumer);
  Clients clients;
  runner.feed(clients.up(1000, "S", 100));
  runner.feed(clients.down(1000, "S.", 500));
  runner.feed(clients.up(1000, ".", 101));
  for (std::uint16_t i = 0; i < 1000; ++i) {
    runner.feed(clients.up(static_cast<std::uint16_t>(2000 + i), "P.", 7, "x"));
  }
  runner.feed(clients.up(1000, "P.", 106, "world"));
  for (std::uint16_t i = 0; i < 1000; ++i) {
    runner.feed(clients.up(static_cast<std::uint16_t>(3000 + i), "P.", 7, "x"));
  }
  runner.feed(clients.up(1000, "P.", 101, "hello"));
  runner.finish();
  const Ledger& ledger = runner.ledger();
  EXPECT_TRUE(reached(ledger, Limit::ReorderMemory));
  EXPECT_EQ(fate(ledger, Fate::CutMemory), 0U);
  EXPECT_GT(fate(ledger, Fate::CutEviction), 1900U);
  EXPECT_EQ(fate(ledger, Fate::CutEviction) + fate(ledger, Fate::Delivered), 2010U);
  for (const ConnectionRecord& record : consumer.closed()) {
    if (record.sides[0].endpoint.port != 1000) continue;
    EXPECT_EQ(record.sides[0].stream_bytes, 10U);
    EXPECT_EQ(record.sides[0].gap_bytes, 0U);
  }
  expect_accounted(ledger, consumer);
}

// Whatever is thrown at a table of a few: every connection and byte is accounted for.
TEST(Eviction, NothingIsLostFromSight) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const auto pick = [&](std::uint64_t end) { return static_cast<std::uint32_t>(random() % end); };
    ShardConfig config = small_config();
    config.max_flows = 1 + pick(30);
    config.reorder_bytes = pick(2) == 0 ? 1 : 1 << 20;
    if (pick(3) == 0) config.tcp.depth = 1 + pick(20);
    if (pick(3) == 0) config.tcp.urgent = UrgentMode::Drop;
    SummaryConsumer consumer;
    ShardRunner runner(config, consumer, pick(2) == 0 ? 1 : 32);
    Clients clients;
    constexpr std::string_view kFlags[] = {"S", "S.", ".", "P.", "P.", "F.", "R", "UP.", "-"};
    for (int i = 0; i < 400; ++i) {
      const auto port = static_cast<std::uint16_t>(1024 + pick(60));
      const std::string_view flags = kFlags[pick(std::size(kFlags))];
      const std::string bytes(pick(2) == 0 ? 0 : 1 + pick(9), 'x');
      if (pick(10) == 0) clients.pass(std::chrono::milliseconds{pick(6000)});
      clients.tag(static_cast<std::uint16_t>(pick(3)));
      runner.feed(pick(2) == 0 ? clients.up(port, flags, 100 + pick(12), bytes)
                               : clients.down(port, flags, 500 + pick(12), bytes, 100 + pick(12)));
    }
    runner.finish();
    ASSERT_NO_FATAL_FAILURE(expect_accounted(runner.ledger(), consumer));
    EXPECT_TRUE(runner.shard().memory_in_use() == Shard::MemoryInUse{}) << seed;
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

// --- how many different

TEST(Spread, IsAboutRight) {
  std::mt19937_64 random(1);
  for (const std::uint64_t count : {1U, 10U, 100U, 1000U, 100'000U}) {
    Spread spread;
    Spread other;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t hash = random();
      spread.add(hash);
      spread.add(hash);
      if (i % 2 == 0) other.add(hash);
    }
    other.join(spread);
    EXPECT_NEAR(static_cast<double>(spread.estimate()), static_cast<double>(count),
                static_cast<double>(count) * 0.3 + 0.5);
    EXPECT_EQ(other.estimate(), spread.estimate());
  }
  EXPECT_EQ(Spread{}.estimate(), 0U);
}

}  // namespace
}  // namespace flowloom::test
