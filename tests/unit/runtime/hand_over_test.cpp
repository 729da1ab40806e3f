// Packets at the wrong worker: a capture is dealt out to the sources of two or more workers so that
// directions, fragments and tunnels come apart, and every connection must come to what it comes to
// with one source: bytes, gaps, close, history and counts, in the same order.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/memory_source.hpp"
#include "runtime/engine.hpp"
#include "support/dealt_capture.hpp"
#include "support/recording_writer.hpp"

namespace flowloom::test {
namespace {

Outcome run_dealt(const std::vector<MemoryFrame>& frames, const EngineSettings& settings,
                  const Deal& deal, const Delays& delays = {}) {
  std::vector<std::vector<MemoryFrame>> dealt(settings.workers);
  for (std::size_t i = 0; i < frames.size(); ++i) dealt[deal(i, frames[i])].push_back(frames[i]);
  std::vector<MemorySource> memory;
  for (const auto& part : dealt) memory.emplace_back(part);
  std::vector<PacketSource*> sources;
  for (MemorySource& source : memory) sources.push_back(&source);
  const Outcome outcome = run(settings, sources, delays);
  for (std::size_t i = 0; i < memory.size(); ++i) {
    EXPECT_EQ(memory[i].released(), dealt[i].size());
  }
  return outcome;
}

// case: J12
TEST(HandOver, EveryConnectionIsTheSameHoweverItsPacketsAreDealt) {
  const std::vector<MemoryFrame> frames = capture(1, 300);
  const Outcome one = run_one_queue(frames);
  for (const unsigned workers : {2U, 4U}) {
    for (const NamedDeal& deal : all_deals(workers)) {
      SCOPED_TRACE(std::to_string(workers) + " workers, " + deal.name);
      const Outcome split = run_dealt(frames, settings(workers, kBurstMax), deal.deal);
      EXPECT_GT(split.ledger.handed_over, 0U);
      expect_same(one, split);
    }
  }
}

TEST(HandOver, BurstsMakeNoDifference) {
  const std::vector<MemoryFrame> frames = capture(2, 100);
  const Outcome one = run_one_queue(frames);
  for (const std::uint32_t burst : {1U, 7U}) {
    SCOPED_TRACE("burst " + std::to_string(burst));
    expect_same(one, run_dealt(frames, settings(3, burst), in_turn(3)));
  }
}

/// What a source in turn waits for before the next packet of the capture.
enum class NextWhen : std::uint8_t { Received, Released };

/// Hands its packets over when it is their turn among those of all sources, one at a time, and has
/// nothing in between.
class SourceInTurn final : public PacketSource {
 public:
  SourceInTurn(const std::vector<MemoryFrame>& frames, std::vector<std::size_t> numbers,
               std::atomic<std::size_t>& turn, NextWhen next)
      : memory_(frames), numbers_(std::move(numbers)), turn_(turn), when_(next) {}
  SourceState receive(Burst& burst) override {
    burst.size = 0;
    if (next_ == numbers_.size()) return SourceState::End;
    if (taken_ > released_ && when_ == NextWhen::Released) return SourceState::Idle;
    if (turn_.load() != numbers_[next_]) return SourceState::Idle;
    const std::uint32_t limit = burst.limit;
    burst.limit = 1;
    const SourceState state = memory_.receive(burst);
    burst.limit = limit;
    ++next_;
    ++taken_;
    if (when_ == NextWhen::Received) turn_.fetch_add(1);
    return state;
  }
  void release(Burst& burst) override {
    memory_.release(burst);
    released_ += burst.size;
    if (when_ == NextWhen::Released) turn_.fetch_add(burst.size);
  }
  [[nodiscard]] SourceStats stats() const override { return memory_.stats(); }

 private:
  MemorySource memory_;
  std::vector<std::size_t> numbers_;
  std::size_t next_ = 0;
  std::size_t taken_ = 0;
  std::size_t released_ = 0;
  std::atomic<std::size_t>& turn_;
  const NextWhen when_;
};

void expect_same_in_turn(WhenFull when_full, NextWhen next) {
  const std::vector<MemoryFrame> frames = capture(3, 40);
  const Outcome one = run_one_queue(frames);
  for (const NamedDeal& deal : all_deals(2)) {
    SCOPED_TRACE(deal.name);
    std::vector<std::vector<MemoryFrame>> dealt(2);
    std::vector<std::vector<std::size_t>> numbers(2);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const unsigned source = deal.deal(i, frames[i]);
      dealt[source].push_back(frames[i]);
      numbers[source].push_back(i);
    }
    std::atomic<std::size_t> turn{0};
    SourceInTurn a(dealt[0], numbers[0], turn, next);
    SourceInTurn b(dealt[1], numbers[1], turn, next);
    EngineSettings s = settings(2, kBurstMax);
    s.when_full = when_full;
    s.order = next == NextWhen::Released ? SourceOrder::AsReceived : SourceOrder::Recorded;
    expect_same(one, run(s, {&a, &b}));
  }
}

// Sources that have nothing are not waited for; still nothing may pass a packet that another source
// received before.
TEST(HandOver, SourcesThatAreSilentInBetweenHoldUpNobody) {
  expect_same_in_turn(WhenFull::Wait, NextWhen::Received);
}

// As live ports do it, whose workers have room.
TEST(HandOver, LivePacketsAreInOrderWhereThereIsRoom) {
  expect_same_in_turn(WhenFull::Shed, NextWhen::Released);
}

// Any one worker may be held up: of those that wait for each other one can always go on.
TEST(HandOver, FullLanesBlockNobodyForEver) {
  const std::vector<MemoryFrame> frames = capture(4, 400);
  ASSERT_GT(frames.size(), 8 * HandOverLane::kPackets);
  const Outcome one = run_one_queue(frames);
  for (const unsigned late : {0U, 1U, 2U}) {
    SCOPED_TRACE("late: " + std::to_string(late));
    for (const NamedDeal& deal : {all_deals(3)[0], all_deals(3)[5]}) {
      const Delays delays{.late_worker = late, .late = std::chrono::milliseconds{50}};
      expect_same(one, run_dealt(frames, settings(3, kBurstMax), deal.deal, delays));
    }
  }
}

// Workers that wait for the writer still get their packets to those it waits for.
TEST(HandOver, NothingIsLostWithLittleExportMemoryAndASlowWriter) {
  const std::vector<MemoryFrame> frames = capture(5, 100);
  const Outcome one = run_one_queue(frames);
  for (const unsigned workers : {2U, 4U}) {
    EngineSettings s = settings(workers, kBurstMax);
    s.export_memory = std::uint64_t{1} << 20;
    const Delays delays{.message = std::chrono::milliseconds{1}};
    expect_same(one, run_dealt(frames, s, in_turn(workers), delays));
  }
}

/// Where `first` begins there is a datagram of the largest size in two fragments, and so on.
void put_large_datagrams(std::vector<MemoryFrame>& frames, std::size_t first, std::size_t count) {
  constexpr std::size_t kHeaders = 14 + kIpv4MinHeaderBytes;
  constexpr std::size_t kHalf = 32000;
  for (std::size_t i = 0; i < 2 * count; ++i) {
    std::vector<std::uint8_t> bytes(kHeaders + kHalf);
    bytes[12] = 0x08;
    std::uint8_t* ip = &bytes[14];
    const auto put16 = [ip](std::size_t at, std::size_t value) {
      ip[at] = static_cast<std::uint8_t>(value >> 8);
      ip[at + 1] = static_cast<std::uint8_t>(value);
    };
    ip[0] = 0x45;
    put16(2, kIpv4MinHeaderBytes + kHalf);
    put16(4, i / 2);
    put16(6, i % 2 == 0 ? 0x2000 : kHalf / 8);
    ip[8] = 64;
    ip[9] = kTcpProtocol;
    put16(12, 0x0a01);
    put16(14, 1);
    put16(16, 0x0a01);
    put16(18, 2);
    if (i % 2 == 0) {
      put16(20, 1000 + i / 2);  // a connection for each
      put16(22, 80);
      put16(24, 7);
      ip[32] = 0x50;
      ip[33] = 0x10;
    }
    frames.insert(frames.begin() + static_cast<std::ptrdiff_t>(first + i),
                  {.stamp = saturating_add(frames[first].stamp, Duration{-1}), .bytes = bytes});
  }
  for (std::size_t i = 1; i < frames.size(); ++i) {
    frames[i].stamp = std::max(frames[i].stamp, saturating_add(frames[i - 1].stamp, Duration{1}));
  }
}

// More of them than there is memory for at a time, all for workers that come late.
TEST(HandOver, DatagramsWaitForTheMemoryOfOthers) {
  std::vector<MemoryFrame> frames = capture(6, 20);
  constexpr std::size_t kDatagrams = 300;
  put_large_datagrams(frames, 10, kDatagrams);
  MemorySource source(frames);
  EngineSettings one_queue = settings(1, kBurstMax);
  one_queue.shard.checksum = ChecksumMode::None;
  const Outcome one = run(one_queue, {&source});
  EXPECT_GE(one.ledger.datagrams.reassembled, kDatagrams);
  EngineSettings s = settings(2, kBurstMax);
  s.shard.checksum = ChecksumMode::None;
  const Delays delays{.late_worker = 1, .late = std::chrono::milliseconds{30}};
  expect_same(one, run_dealt(frames, s, in_turn(2), delays));
}

// A live worker that is held up: nobody waits for it for long, and what did not fit into its lanes
// is counted, packet by packet.
TEST(HandOver, LivePacketsDoNotWaitForAWorker) {
  const std::vector<MemoryFrame> frames = capture(7, 800);
  ASSERT_GT(frames.size(), 16 * HandOverLane::kPackets);
  for (const unsigned late : {0U, 1U}) {
    SCOPED_TRACE("late: " + std::to_string(late));
    EngineSettings s = settings(2, kBurstMax);
    s.when_full = WhenFull::Shed;
    s.order = SourceOrder::AsReceived;
    const Delays delays{.late_worker = late, .late = std::chrono::milliseconds{400}};
    const auto all_to_the_other = [=](std::size_t, const MemoryFrame&) { return 1 - late; };
    const Outcome outcome = run_dealt(frames, s, all_to_the_other, delays);
    const Ledger& ledger = outcome.ledger;
    EXPECT_EQ(ledger.received, frames.size());
    const std::uint64_t shed = ledger.verdicts[static_cast<std::size_t>(Verdict::LaneFull)];
    EXPECT_GT(shed, 100U);
    EXPECT_LT(shed, frames.size());
    EXPECT_EQ(ledger.connections_created, outcome.connections.size());
  }
}

TEST(HandOver, StopsEarlyWithABalancedLedger) {
  const std::vector<MemoryFrame> frames = capture(8, 300);
  std::vector<std::vector<MemoryFrame>> dealt(2);
  for (std::size_t i = 0; i < frames.size(); ++i) dealt[i % 2].push_back(frames[i]);
  MemorySource a(dealt[0]);
  MemorySource b(dealt[1]);
  RecordingWriter writer;
  std::unique_ptr<Engine> engine;
  TappedSource tapped(a, dealt[0].size() / 2, [&engine] { engine->stop(); });
  engine = std::make_unique<Engine>(settings(2, 7), std::vector<PacketSource*>{&tapped, &b},
                                    &writer);
  ThreadLauncher launcher;
  engine->run(launcher, std::chrono::seconds{1}, [](const RunStatus&) {});
  EXPECT_TRUE(engine->ledger().balances());
  EXPECT_TRUE(writer.finished());
  EXPECT_TRUE(writer.in_order());
  EXPECT_LT(engine->ledger().received, frames.size());
  EXPECT_GE(engine->ledger().received, dealt[0].size() / 2);
  EXPECT_EQ(engine->ledger().received, a.released() + b.released());
}

/// Runs until time-outs have ended as many connections, while all sources tell the time.
Outcome run_in_silence(const std::vector<MemoryFrame>& frames, const EngineSettings& settings,
                       std::size_t connections) {
  std::vector<std::vector<MemoryFrame>> dealt(settings.workers);
  for (std::size_t i = 0; i < frames.size(); ++i) dealt[i % dealt.size()].push_back(frames[i]);
  std::vector<std::unique_ptr<MemorySource>> memory;
  std::vector<std::unique_ptr<QuietSource>> quiet;
  std::vector<PacketSource*> sources;
  for (const auto& part : dealt) {
    memory.push_back(std::make_unique<MemorySource>(part));
    quiet.push_back(std::make_unique<QuietSource>(*memory.back(), frames.back().stamp));
    sources.push_back(quiet.back().get());
  }
  RecordingWriter writer;
  CountingWriter counting(writer, connections, [&] {
    for (const auto& source : quiet) source->end();
  });
  Engine engine(settings, sources, &counting);
  ThreadLauncher launcher;
  engine.run(launcher, std::chrono::seconds{1}, [](const RunStatus&) {});
  EXPECT_TRUE(engine.ledger().balances());
  EXPECT_TRUE(writer.in_order());
  return {engine.ledger(), writer.outcomes()};
}

// Silent queues: the input ends only when all connections have been ended by their time-outs, which
// come in the same order as with one queue.
TEST(HandOver, ConnectionsEndWithoutPacketsWhereAllSourcesTellTheTime) {
  const std::vector<MemoryFrame> frames = capture(10, 100);
  const auto impatient = [](unsigned workers) {
    EngineSettings s = settings(workers, kBurstMax);
    s.shard.idle_timeout = s.shard.closed_timeout = s.shard.syn_timeout = std::chrono::seconds{5};
    return s;
  };
  MemorySource memory(frames);
  const std::size_t connections = run(impatient(1), {&memory}).connections.size();
  const Outcome one = run_in_silence(frames, impatient(1), connections);
  EXPECT_EQ(one.ledger.connections_closed[static_cast<std::size_t>(CloseReason::Eof)], 0U);
  for (const unsigned workers : {2U, 4U}) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    const Outcome split = run_in_silence(frames, impatient(workers), connections);
    EXPECT_GT(split.ledger.handed_over, 0U);
    expect_same(one, split);
  }
}

EventKey key_at(std::int64_t clock, std::uint64_t number) {
  return {from_nanoseconds(clock), number, 0};
}

EventKey reach_of(HandOver& shared) {
  EventKey key = shared.reach_of_sources().key;
  key.sub = 0;
  return key;
}

TEST(HandOver, SilenceReachesAsFarAsTheLeastSourceHasTold) {
  HandOver shared(FlowOwners(3, {}));
  for (unsigned source = 0; source < 3; ++source) {
    shared.begins_to_receive(source);
    shared.has_nothing(source);
  }
  shared.begins_to_receive(0);
  shared.is_at(0, key_at(100, 5));
  shared.has_nothing(0);
  EXPECT_EQ(reach_of(shared), key_at(100, 5));
  shared.is_silent_until(0, from_nanoseconds(500));
  shared.is_silent_until(1, from_nanoseconds(300));
  EXPECT_EQ(reach_of(shared), key_at(100, 5)) << "the third has told nothing";
  shared.is_silent_until(2, from_nanoseconds(400));
  EXPECT_EQ(reach_of(shared), key_at(300, 0)) << "packets of that clock may come";
  shared.begins_to_receive(1);
  shared.is_silent_until(1, from_nanoseconds(350));
  EXPECT_EQ(reach_of(shared), key_at(350, 0)) << "what it has in hand is not earlier";
  shared.is_at(1, key_at(360, 1));
  EXPECT_EQ(reach_of(shared), key_at(360, 1)) << "the others have nothing in hand";
  shared.has_ended(1);
  EXPECT_EQ(reach_of(shared), key_at(400, 0)) << "who has ended is not waited for";
}

}  // namespace
}  // namespace flowloom::test
