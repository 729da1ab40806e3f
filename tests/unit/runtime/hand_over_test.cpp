// Packets at the wrong worker: a capture is dealt out to the sources of two or more workers so that
// directions, fragments and tunnels come apart, and every connection must come to what it comes to
// with one source: bytes, gaps, close, history and counts, in the same order.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "io/capture_source.hpp"
#include "io/memory_source.hpp"
#include "net/decode.hpp"
#include "net/five_tuple.hpp"
#include "perf/gen/random_capture.hpp"
#include "runtime/engine.hpp"
#include "support/recording_writer.hpp"
#include "support/temp_folder.hpp"

namespace flowloom::test {
namespace {

/// Random conversations with everything that the generator can do. No two stamps are equal: their
/// order is all that is left of the capture's when it is dealt out.
std::vector<MemoryFrame> capture(std::uint64_t seed, std::uint64_t conversations) {
  const TempFolder folder;
  gen::RandomCaptureConfig config;
  config.path = folder / "random.pcap";
  config.conversations = conversations;
  config.talks.seed = seed;
  config.talks.allowed.set_all();
  config.talks.allowed.clear(gen::Feature::Large);
  gen::write_random_capture(config);
  CaptureSource source({config.path});
  std::vector<MemoryFrame> frames;
  Timestamp last = kTimeMin;
  Burst burst;
  while (source.receive(burst) == SourceState::Packets) {
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      const Packet& p = burst.packets[i];
      last = std::max(p.stamp, saturating_add(last, Duration{1}));
      frames.push_back({last, {p.frame, p.frame + p.captured}, p.wire_length, p.link});
    }
    source.release(burst);
  }
  EXPECT_GT(frames.size(), conversations * 5);
  return frames;
}

EngineSettings settings(unsigned workers, std::uint32_t burst) {
  EngineSettings s;
  s.shard.max_flows = 20000;
  s.shard.reorder_bytes = std::uint64_t{64} << 20;
  s.workers = workers;
  s.burst = burst;
  s.export_memory = std::uint64_t{64} << 20;
  return s;
}

struct Outcome {
  Ledger ledger;
  std::vector<std::string> connections;
};

/// Starts one thread late: the others run ahead as far as there is room.
class LateLauncher final : public Launcher {
 public:
  LateLauncher(unsigned late, std::chrono::milliseconds delay) : late_(late), delay_(delay) {}
  void launch(Role role, unsigned index, std::function<void()> body) override {
    const bool late = role == Role::Worker && index == late_;
    threads_.launch(role, index, [this, late, body = std::move(body)] {
      if (late) std::this_thread::sleep_for(delay_);
      body();
    });
  }
  void join() override { threads_.join(); }

 private:
  unsigned late_;
  std::chrono::milliseconds delay_;
  ThreadLauncher threads_;
};

/// What holds a run up.
struct Delays {
  unsigned late_worker = 0;
  std::chrono::milliseconds late{0};
  std::chrono::milliseconds message{0};  ///< for the writer
};

Outcome run(const EngineSettings& settings, const std::vector<PacketSource*>& sources,
            const Delays& delays = {}) {
  RecordingWriter writer(delays.message);
  Engine engine(settings, sources, &writer);
  LateLauncher launcher(delays.late_worker, delays.late);
  engine.run(launcher, std::chrono::seconds{1}, [](const RunStatus&) {});
  EXPECT_TRUE(engine.ledger().balances());
  EXPECT_TRUE(writer.finished());
  EXPECT_TRUE(writer.in_order());
  return {engine.ledger(), writer.outcomes()};
}

Outcome run_one_queue(const std::vector<MemoryFrame>& frames) {
  MemorySource source(frames);
  const Outcome outcome = run(settings(1, kBurstMax), {&source});
  EXPECT_EQ(outcome.ledger.handed_over, 0U);
  EXPECT_GT(outcome.ledger.datagrams.reassembled, 0U);
  return outcome;
}

/// Equal but for the count of hand-overs.
void expect_same(const Outcome& one, const Outcome& split) {
  EXPECT_EQ(one.ledger.received, split.ledger.received);
  EXPECT_EQ(one.ledger.verdicts, split.ledger.verdicts);
  EXPECT_EQ(one.ledger.tcp.payload_seen, split.ledger.tcp.payload_seen);
  EXPECT_EQ(one.ledger.tcp.fates, split.ledger.tcp.fates);
  EXPECT_EQ(one.ledger.tcp.anomalies, split.ledger.tcp.anomalies);
  EXPECT_EQ(one.ledger.connections_created, split.ledger.connections_created);
  EXPECT_EQ(one.ledger.connections_closed, split.ledger.connections_closed);
  EXPECT_EQ(one.ledger.datagram_verdicts, split.ledger.datagram_verdicts);
  EXPECT_EQ(one.ledger.datagrams.fragments, split.ledger.datagrams.fragments);
  EXPECT_EQ(one.ledger.datagrams.opened, split.ledger.datagrams.opened);
  EXPECT_EQ(one.ledger.datagrams.reassembled, split.ledger.datagrams.reassembled);
  EXPECT_EQ(one.ledger.datagrams.expired, split.ledger.datagrams.expired);
  EXPECT_EQ(one.ledger.datagrams.rejected, split.ledger.datagrams.rejected);
  ASSERT_EQ(one.connections.size(), split.connections.size());
  for (std::size_t i = 0; i < one.connections.size(); ++i) {
    ASSERT_EQ(one.connections[i], split.connections[i]) << "connection " << i;
  }
}

/// Which source a frame is dealt to.
using Deal = std::function<unsigned(std::size_t number, const MemoryFrame& frame)>;

Packet decoded(const MemoryFrame& frame) {
  Packet packet{};
  packet.frame = frame.bytes.data();
  packet.captured = static_cast<std::uint32_t>(frame.bytes.size());
  packet.wire_length = std::max(packet.captured, frame.wire_length);
  packet.link = frame.link;
  decode(packet, {});
  return packet;
}

Deal in_turn(unsigned sources) {
  return [=](std::size_t number, const MemoryFrame&) {
    return static_cast<unsigned>(number % sources);
  };
}

/// A tap with a fibre for each direction.
Deal by_direction(unsigned sources) {
  return [=](std::size_t, const MemoryFrame& frame) {
    Packet packet = decoded(frame);
    if (packet.verdict != Verdict::Tcp) return 0U;
    hash_flow(packet, {});
    return packet.has(packet_flags::kFromLower) ? 0U : sources - 1;
  };
}

/// Fragments on one queue, all else on another.
Deal by_fragment(unsigned sources) {
  return [=](std::size_t, const MemoryFrame& frame) {
    return decoded(frame).verdict == Verdict::Fragment ? sources - 1 : 0U;
  };
}

/// As a NIC that knows no tunnels: what is wrapped goes elsewhere.
Deal by_wrapping(unsigned sources) {
  return [=](std::size_t number, const MemoryFrame& frame) {
    const Packet packet = decoded(frame);
    if (packet.has(packet_flags::kEncapsulated)) return static_cast<unsigned>(number) % sources;
    return 0U;
  };
}

/// Runs of frames on one source, so that it runs far ahead of the others or behind.
Deal in_runs(unsigned sources, std::uint64_t seed) {
  struct Run {
    std::mt19937_64 random;
    std::size_t left = 0;
    unsigned source = 0;
  };
  const auto run = std::make_shared<Run>(Run{std::mt19937_64(seed)});
  return [=](std::size_t, const MemoryFrame&) {
    if (run->left-- == 0) {
      run->left = run->random() % 3000;
      run->source = static_cast<unsigned>(run->random() % sources);
    }
    return run->source;
  };
}

struct NamedDeal {
  const char* name;
  Deal deal;
};

std::vector<NamedDeal> all_deals(unsigned sources) {
  return {{"in turn", in_turn(sources)},
          {"by direction", by_direction(sources)},
          {"fragments apart", by_fragment(sources)},
          {"tunnels apart", by_wrapping(sources)},
          {"in runs", in_runs(sources, sources)},
          {"one queue gets all", [=](std::size_t, const MemoryFrame&) { return sources - 1; }}};
}

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

// case: R2-wrong-queue
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

/// Calls back at one of its packets.
class TappedSource final : public PacketSource {
 public:
  TappedSource(PacketSource& source, std::uint64_t at, std::function<void()> call)
      : source_(source), at_(at), call_(std::move(call)) {}
  SourceState receive(Burst& burst) override {
    const SourceState state = source_.receive(burst);
    if (burst.size > 0 && burst.packets[0].number >= at_ && call_) std::exchange(call_, {})();
    return state;
  }
  void release(Burst& burst) override { source_.release(burst); }
  [[nodiscard]] SourceStats stats() const override { return source_.stats(); }

 private:
  PacketSource& source_;
  std::uint64_t at_;
  std::function<void()> call_;
};

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

}  // namespace
}  // namespace flowloom::test
