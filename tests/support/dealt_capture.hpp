// A random capture that is dealt out to several sources, so that directions, fragments and tunnels
// come apart, and what an engine makes of it with one source and with several.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "io/capture_source.hpp"
#include "io/memory_source.hpp"
#include "net/decode.hpp"
#include "net/five_tuple.hpp"
#include "perf/gen/random_capture.hpp"
#include "runtime/engine.hpp"
#include "support/engine_parts.hpp"
#include "support/recording_writer.hpp"
#include "support/temp_folder.hpp"

namespace flowloom::test {

/// Random conversations with everything that the generator can do. No two stamps are equal: their
/// order is all that is left of the capture's when it is dealt out.
inline std::vector<MemoryFrame> capture(std::uint64_t seed, std::uint64_t conversations) {
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

inline EngineSettings settings(unsigned workers, std::uint32_t burst) {
  return engine_settings(20'000, workers, burst);
}

struct Outcome {
  Ledger ledger;
  std::vector<std::string> connections;
};

/// What holds a run up.
struct Delays {
  unsigned late_worker = 0;
  std::chrono::milliseconds late{0};
  std::chrono::milliseconds message{0};  ///< for the writer
};

inline Outcome run(const EngineSettings& settings, const std::vector<PacketSource*>& sources,
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

inline Outcome run_one_queue(const std::vector<MemoryFrame>& frames) {
  MemorySource source(frames);
  const Outcome outcome = run(settings(1, kBurstMax), {&source});
  EXPECT_EQ(outcome.ledger.handed_over, 0U);
  EXPECT_GT(outcome.ledger.datagrams.reassembled, 0U);
  return outcome;
}

/// Equal but for the count of hand-overs.
inline void expect_same(const Outcome& one, const Outcome& split) {
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

inline Packet decoded(const MemoryFrame& frame) {
  Packet packet{};
  packet.frame = frame.bytes.data();
  packet.captured = static_cast<std::uint32_t>(frame.bytes.size());
  packet.wire_length = std::max(packet.captured, frame.wire_length);
  packet.link = frame.link;
  decode(packet, {});
  return packet;
}

inline Deal in_turn(unsigned sources) {
  return [=](std::size_t number, const MemoryFrame&) {
    return static_cast<unsigned>(number % sources);
  };
}

/// A tap with a fibre for each direction.
inline Deal by_direction(unsigned sources) {
  return [=](std::size_t, const MemoryFrame& frame) {
    Packet packet = decoded(frame);
    if (packet.verdict != Verdict::Tcp) return 0U;
    hash_flow(packet, {});
    return packet.has(packet_flags::kFromLower) ? 0U : sources - 1;
  };
}

/// Fragments on one queue, all else on another.
inline Deal by_fragment(unsigned sources) {
  return [=](std::size_t, const MemoryFrame& frame) {
    return decoded(frame).verdict == Verdict::Fragment ? sources - 1 : 0U;
  };
}

/// As a NIC that knows no tunnels: what is wrapped goes elsewhere.
inline Deal by_wrapping(unsigned sources) {
  return [=](std::size_t number, const MemoryFrame& frame) {
    const Packet packet = decoded(frame);
    if (packet.has(packet_flags::kEncapsulated)) return static_cast<unsigned>(number) % sources;
    return 0U;
  };
}

/// Runs of frames on one source, so that it runs far ahead of the others or behind.
inline Deal in_runs(unsigned sources, std::uint64_t seed) {
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

inline std::vector<NamedDeal> all_deals(unsigned sources) {
  return {{"in turn", in_turn(sources)},
          {"by direction", by_direction(sources)},
          {"fragments apart", by_fragment(sources)},
          {"tunnels apart", by_wrapping(sources)},
          {"in runs", in_runs(sources, sources)},
          {"one queue gets all", [=](std::size_t, const MemoryFrame&) { return sources - 1; }}};
}

}  // namespace flowloom::test
