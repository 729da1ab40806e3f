// The engine: messages in the same order and with the same content for any number of workers and
// any burst size; nothing is lost with little memory, a slow writer or a late worker; an early
// stop leaves a ledger that balances.
#include "runtime/engine.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "io/memory_source.hpp"
#include "support/engine_parts.hpp"
#include "support/random_conversations.hpp"
#include "support/recording_writer.hpp"

namespace flowloom::test {
namespace {

using std::chrono::milliseconds;

std::vector<Conversation> conversations(std::uint32_t count, const TrafficShape& shape,
                                        std::uint64_t seed) {
  std::mt19937_64 random(seed);
  return make_conversations(count, shape, random);
}

std::vector<MemoryFrame> frames_of(const std::vector<Conversation>& all, Duration step,
                                   std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<MemoryFrame> frames;
  for (Frame& frame : interleaved(all, step, random)) {
    frames.push_back({.stamp = frame.stamp, .bytes = std::move(frame.bytes)});
  }
  // Not everything is TCP.
  for (std::size_t i = 5; i < frames.size(); i += 50) {
    frames.insert(frames.begin() + static_cast<std::ptrdiff_t>(i),
                  {.stamp = frames[i].stamp, .bytes = std::vector<std::uint8_t>(20, 0)});
  }
  return frames;
}

EngineSettings settings(unsigned workers, std::uint32_t burst) {
  return engine_settings(8000, workers, burst);
}

void run(Engine& engine, Launcher& launcher) {
  engine.run(launcher, milliseconds{1000}, [](const RunStatus&) {});
}

void expect_sound(const Engine& engine, const RecordingWriter& writer) {
  EXPECT_TRUE(engine.ledger().balances());
  EXPECT_TRUE(writer.finished());
  EXPECT_TRUE(writer.in_order());
  EXPECT_EQ(engine.ledger().connections_created, writer.connections().size());
  std::uint64_t delivered = 0;
  for (const auto& [number, c] : writer.connections()) {
    EXPECT_TRUE(c.closed);
    for (unsigned d = 0; d < 2; ++d) {
      const SideRecord& side = c.record.sides[d];
      EXPECT_EQ(side.stream_bytes, c.bytes[d].size());
      EXPECT_EQ(side.gap_count, c.gaps[d].size());
      delivered += c.bytes[d].size();
    }
  }
  EXPECT_EQ(engine.ledger().tcp.fates[static_cast<std::size_t>(Fate::Delivered)], delivered);
}

/// Whether our own limits may have cut what was captured.
enum class Cuts { None, Allowed };

/// Bytes of every connection against what was sent.
void expect_truth(const RecordingWriter& writer, const std::vector<Conversation>& all,
                  Cuts cuts = Cuts::None) {
  std::map<Endpoint, const Conversation*> by_originator;
  for (const Conversation& c : all) by_originator[c.originator] = &c;
  ASSERT_EQ(writer.connections().size(), all.size());
  for (const auto& [number, received] : writer.connections()) {
    const Conversation& c = *by_originator.at(received.record.sides[0].endpoint);
    for (unsigned d = 0; d < 2; ++d) {
      std::vector<bool> missing(c.streams[d].bytes.size(), false);
      std::vector<bool> cut = missing;
      for (const Gap& gap : received.gaps[d]) {
        for (StreamOffset i = gap.offset; i < gap.offset + gap.length; ++i) {
          missing.at(static_cast<std::size_t>(i)) = true;
          cut[static_cast<std::size_t>(i)] = cuts == Cuts::Allowed && gap.cause == GapCause::Cut;
        }
      }
      std::string expected;
      for (std::size_t i = 0; i < missing.size(); ++i) {
        if (!cut[i]) {
          ASSERT_EQ(missing[i], !c.streams[d].captured[i]);
        }
        if (!missing[i]) expected += c.streams[d].bytes[i];
      }
      ASSERT_TRUE(received.bytes[d] == expected);
    }
  }
}

// case: J12
TEST(Engine, SameMessagesForAnyWorkersAndBursts) {
  const auto all = conversations(400, {.loss_percent = 5}, 1);
  const std::vector<MemoryFrame> frames = frames_of(all, std::chrono::microseconds{200}, 2);
  std::string first;
  for (const unsigned workers : {1U, 2U, 4U}) {
    for (const std::uint32_t burst : {32U, 1U, 7U}) {
      SCOPED_TRACE(std::to_string(workers) + " workers, burst " + std::to_string(burst));
      MemorySource source(frames);
      RecordingWriter writer;
      Engine engine(settings(workers, burst), {&source}, &writer);
      ThreadLauncher launcher;
      run(engine, launcher);
      expect_sound(engine, writer);
      expect_truth(writer, all);
      EXPECT_EQ(engine.ledger().received, frames.size());
      EXPECT_EQ(source.released(), frames.size());
      if (first.empty()) first = writer.text();
      ASSERT_EQ(writer.text(), first);
    }
  }
}

// On a silent interface the source tells the time: the input ends only when all connections have
// been ended by their time-outs.
TEST(Engine, ConnectionsEndWithoutPacketsWhereTheSourceTellsTheTime) {
  const auto all = conversations(200, {.stream_bytes_max = 3000}, 13);
  const std::vector<MemoryFrame> frames = frames_of(all, std::chrono::microseconds{200}, 14);
  for (const unsigned workers : {1U, 2U, 4U}) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    MemorySource memory(frames);
    QuietSource source(memory, frames.back().stamp);
    RecordingWriter writer;
    CountingWriter counting(writer, all.size(), [&] { source.end(); });
    EngineSettings s = settings(workers, 32);
    s.shard.idle_timeout = std::chrono::seconds{2};
    s.shard.closed_timeout = milliseconds{500};
    Engine engine(s, {&source}, &counting);
    ThreadLauncher launcher;
    run(engine, launcher);
    expect_sound(engine, writer);
    expect_truth(writer, all);
  }
}

// Short time-outs: timers end connections on workers that see no packets for long.
TEST(Engine, SameTimeOutsForAnyWorkers) {
  const auto all = conversations(300, {.stream_bytes_max = 300}, 3);
  const std::vector<MemoryFrame> frames = frames_of(all, milliseconds{20}, 4);
  std::string first;
  for (const unsigned workers : {1U, 2U, 4U}) {
    for (const std::uint32_t burst : {32U, 1U}) {
      MemorySource source(frames);
      RecordingWriter writer;
      EngineSettings s = settings(workers, burst);
      s.shard.idle_timeout = std::chrono::seconds{2};
      s.shard.syn_timeout = milliseconds{300};
      s.shard.closed_timeout = milliseconds{500};
      Engine engine(s, {&source}, &writer);
      ThreadLauncher launcher;
      run(engine, launcher);
      expect_sound(engine, writer);
      if (first.empty()) first = writer.text();
      ASSERT_EQ(writer.text(), first) << workers << " workers, burst " << burst;
    }
  }
}

TEST(Engine, ALateWorkerHoldsUpNobodyForEver) {
  const auto all = conversations(300, {}, 5);
  const std::vector<MemoryFrame> frames = frames_of(all, std::chrono::microseconds{200}, 6);
  ASSERT_GT(frames.size(), 4 * 2048u); // more than the rings hold
  std::string first;
  for (const unsigned late : {9U, 0U, 3U}) { // 9: nobody
    MemorySource source(frames);
    RecordingWriter writer;
    Engine engine(settings(4, 32), {&source}, &writer);
    LateLauncher launcher(late, milliseconds{150});
    run(engine, launcher);
    expect_sound(engine, writer);
    expect_truth(writer, all);
    if (first.empty()) first = writer.text();
    EXPECT_EQ(writer.text(), first);
  }
}

TEST(Engine, NothingIsLostWithLittleExportMemoryAndASlowWriter) {
  const auto all = conversations(
      40, {.stream_bytes_max = 400000, .segment_bytes_max = 1460, .loss_percent = 3}, 7);
  const std::vector<MemoryFrame> frames = frames_of(all, std::chrono::microseconds{50}, 8);
  for (const unsigned workers : {1U, 2U, 4U}) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    MemorySource source(frames);
    RecordingWriter writer(milliseconds{1});
    EngineSettings s = settings(workers, 32);
    s.export_memory = std::uint64_t{1} << 20;
    Engine engine(s, {&source}, &writer);
    ThreadLauncher launcher;
    run(engine, launcher);
    expect_sound(engine, writer);
    expect_truth(writer, all);
  }
}

/// Writes nothing before it is told to.
class HeldWriter final : public MessageWriter {
 public:
  explicit HeldWriter(MessageWriter& inner) : inner_(inner) {}
  void go() { go_.store(true); }
  void write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) override {
    while (!go_.load()) std::this_thread::sleep_for(milliseconds{1});
    inner_.write(messages, inlet);
  }
  void idle() override { inner_.idle(); }
  void finish() override { inner_.finish(); }

 private:
  MessageWriter& inner_;
  std::atomic<bool> go_{false};
};

// A writer that does nothing until the last packet has come: whoever waited for it would wait for
// ever. What did not fit meanwhile is cut, and all that is known of it is in the records.
TEST(Engine, LivePacketsDoNotWaitForTheWriter) {
  const auto all = conversations(
      40, {.stream_bytes_max = 400000, .segment_bytes_max = 1460, .loss_percent = 3}, 7);
  const std::vector<MemoryFrame> frames = frames_of(all, std::chrono::microseconds{50}, 8);
  ASSERT_GT(frames.size(), 4 * 2048u); // more than the rings hold
  for (const unsigned workers : {1U, 2U, 4U}) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    MemorySource memory(frames);
    RecordingWriter writer;
    HeldWriter held(writer);
    TappedSource source(memory, frames.size() - kBurstMax, [&] { held.go(); });
    EngineSettings s = settings(workers, 32);
    s.export_memory = std::uint64_t{1} << 20;
    s.when_full = WhenFull::Shed;
    Engine engine(s, {&source}, &held);
    ThreadLauncher launcher;
    run(engine, launcher);
    expect_sound(engine, writer);
    expect_truth(writer, all, Cuts::Allowed);
    const std::uint64_t cut =
        engine.ledger().tcp.fates[static_cast<std::size_t>(Fate::CutWriter)];
    EXPECT_GT(cut, 1'000'000U);
    EXPECT_EQ(cut, engine.shed().bytes);
    EXPECT_EQ(0U, engine.shed().records);
    EXPECT_TRUE(engine.ledger().limits[static_cast<std::size_t>(Limit::Writers)]);
  }
}

TEST(Engine, SmallReorderMemoryStaysSound) {
  const auto all = conversations(
      60, {.stream_bytes_max = 60000, .segment_bytes_max = 1460, .reorder_distance = 40}, 9);
  const std::vector<MemoryFrame> frames = frames_of(all, std::chrono::microseconds{50}, 10);
  for (const unsigned workers : {1U, 2U}) {
    MemorySource source(frames);
    RecordingWriter writer;
    EngineSettings s = settings(workers, 32);
    s.shard.reorder_bytes = 1;
    Engine engine(s, {&source}, &writer);
    ThreadLauncher launcher;
    run(engine, launcher);
    expect_sound(engine, writer);
  }
}

TEST(Engine, StopsEarlyWithABalancedLedger) {
  const auto all = conversations(300, {}, 11);
  const std::vector<MemoryFrame> frames = frames_of(all, std::chrono::microseconds{200}, 12);
  for (const unsigned workers : {1U, 2U, 4U}) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    MemorySource source(frames);
    RecordingWriter writer;
    std::unique_ptr<Engine> engine;
    TappedSource tapped(source, frames.size() / 2, [&engine] { engine->stop(); });
    engine = std::make_unique<Engine>(settings(workers, 7),
                                      std::vector<PacketSource*>{&tapped}, &writer);
    ThreadLauncher launcher;
    run(*engine, launcher);
    expect_sound(*engine, writer);
    EXPECT_LT(engine->ledger().received, frames.size());
    EXPECT_GT(engine->ledger().received, frames.size() / 2 - 100);
    EXPECT_GT(writer.connections().size(), 0u);
  }
}

// Hardware queues: each worker has a source of its own.
TEST(Engine, SourcesOfTheirOwn) {
  const auto all = conversations(200, {}, 13);
  const std::vector<Conversation> left(all.begin(), all.begin() + 100);
  const std::vector<Conversation> right(all.begin() + 100, all.end());
  MemorySource a(frames_of(left, std::chrono::microseconds{200}, 15));
  MemorySource b(frames_of(right, std::chrono::microseconds{200}, 16));
  RecordingWriter writer;
  Engine engine(settings(2, 32), {&a, &b}, &writer);
  ThreadLauncher launcher;
  run(engine, launcher);
  expect_sound(engine, writer);
  expect_truth(writer, all);
}

TEST(Engine, CountsWithoutAWriter) {
  const auto all = conversations(100, {}, 17);
  const std::vector<MemoryFrame> frames = frames_of(all, std::chrono::microseconds{200}, 18);
  for (const unsigned workers : {1U, 3U}) {
    MemorySource source(frames);
    EngineSettings s = settings(workers, 32);
    s.output = Export::None;
    Engine engine(s, {&source}, nullptr);
    ThreadLauncher launcher;
    run(engine, launcher);
    std::uint64_t sent = 0;
    for (const Conversation& c : all) {
      sent += c.streams[0].bytes.size() + c.streams[1].bytes.size();
    }
    EXPECT_EQ(engine.counted_bytes(), sent);
    EXPECT_TRUE(engine.ledger().balances());
  }
}

/// Holds back the end of its packets until it may come.
class HeldSource final : public PacketSource {
 public:
  explicit HeldSource(PacketSource& source) : source_(source) {}
  void let_go() { held_.store(false); }
  SourceState receive(Burst& burst) override {
    const SourceState state = source_.receive(burst);
    return state == SourceState::End && held_.load() ? SourceState::Idle : state;
  }
  void release(Burst& burst) override { source_.release(burst); }
  [[nodiscard]] SourceStats stats() const override { return {.missed = 7, .bad_timestamps = 0}; }

 private:
  PacketSource& source_;
  std::atomic<bool> held_{true};
};

// What the threads tell while they run adds up to what the ledger says at the end.
TEST(Engine, TellsHowFarItIs) {
  const auto all = conversations(100, {}, 19);
  const std::vector<MemoryFrame> frames = frames_of(all, std::chrono::microseconds{200}, 20);
  for (const unsigned workers : {1U, 3U}) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    MemorySource memory(frames);
    HeldSource source(memory);
    RecordingWriter writer;
    Engine engine(settings(workers, 32), {&source}, &writer);
    ThreadLauncher launcher;
    RunStatus last;
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    engine.run(launcher, milliseconds{5}, [&](const RunStatus& status) {
      const bool late = std::chrono::steady_clock::now() > give_up;
      if (status.ledger.received < frames.size() && !late) return;
      if (last.threads.empty()) last = status;
      source.let_go();
    });
    const Ledger ledger = engine.ledger();
    ASSERT_EQ(last.threads.size(), workers == 1 ? 1u : 4u);
    EXPECT_EQ(last.threads[0].name, workers == 1 ? "worker0" : "rx0");
    EXPECT_EQ(last.ledger.received, ledger.received);
    EXPECT_EQ(last.ledger.verdicts, ledger.verdicts);
    EXPECT_EQ(last.ledger.tcp.payload_seen, ledger.tcp.payload_seen);
    EXPECT_EQ(last.ledger.connections_created, 100u);
    EXPECT_EQ(last.source.missed, 7u);
    std::uint64_t open = 0;
    for (ThreadStatus& thread : last.threads) {
      open += thread.report.level(Resource::Connections).used;
      EXPECT_EQ(thread.report.level(Resource::Connections).capacity == 0, thread.name == "rx0");
    }
    const auto ended = std::accumulate(last.ledger.connections_closed.begin(),
                                       last.ledger.connections_closed.end(), std::uint64_t{0});
    EXPECT_EQ(open + ended, 100u) << "a connection is open or has ended";
    expect_sound(engine, writer);
  }
}

TEST(Engine, EmptyInput) {
  for (const unsigned workers : {1U, 2U}) {
    MemorySource source({});
    RecordingWriter writer;
    Engine engine(settings(workers, 32), {&source}, &writer);
    ThreadLauncher launcher;
    run(engine, launcher);
    expect_sound(engine, writer);
    EXPECT_TRUE(writer.text().empty());
  }
}

}  // namespace
}  // namespace flowloom::test
