// Repetitions that say something else are told alike, whether the delivered bytes were copied or
// are still in the chunks of the capture, and whether those had to be used again early.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "io/capture_source.hpp"
#include "io/memory_source.hpp"
#include "runtime/engine.hpp"
#include "support/capture_file.hpp"
#include "support/engine_parts.hpp"
#include "support/packet_builder.hpp"
#include "support/recording_writer.hpp"

namespace flowloom::test {
namespace {

/// A sender that now and then sends again what it sent so many segments ago, with other bytes.
std::vector<testing::Record> repeating_sender(std::size_t segment_bytes, std::size_t segments,
                                              unsigned seed) {
  std::mt19937 random(seed);
  const Endpoint client = endpoint4(1, 40000);
  const Endpoint server = endpoint4(2, 80);
  std::vector<testing::Record> records;
  const auto send = [&](const PacketBuilder& packet) {
    records.push_back({static_cast<std::int64_t>(records.size()) * 100, packet.build(kBase).bytes});
  };
  const auto from_client = [&] { return PacketBuilder().from(client).to(server); };
  const auto from_server = [&] { return PacketBuilder().from(server).to(client); };
  send(from_client().seq(999).flags("S").window_scale(9));
  send(from_server().seq(4999).ack(1000).flags("S.").window_scale(9));
  send(from_client().seq(1000).ack(5000).flags("."));
  std::uint32_t seq = 1000;
  std::string bytes(segment_bytes, ' ');
  for (std::size_t i = 0; i < segments; ++i) {
    for (char& byte : bytes) byte = static_cast<char>('a' + random() % 26);
    send(from_client().seq(seq).ack(5000).flags("P.").payload(bytes));
    seq += static_cast<std::uint32_t>(segment_bytes);
    send(from_server().seq(5000).ack(seq).flags(".").window(65535));
    if (random() % 8 != 0) continue;
    const std::uint32_t back = 1 + static_cast<std::uint32_t>(random() % 1500);
    if (back > i) continue;
    for (char& byte : bytes) byte = static_cast<char>('a' + random() % 26);
    send(from_client().seq(seq - back * static_cast<std::uint32_t>(segment_bytes)).ack(5000)
             .flags("P.").payload(bytes));
  }
  return records;
}

struct Outcome {
  std::string text;
  std::uint64_t conflicts = 0;
};

Outcome run(PacketSource& source, unsigned workers) {
  RecordingWriter writer;
  Engine engine(engine_settings(1000, workers, kBurstMax), {&source}, &writer);
  ThreadLauncher launcher;
  engine.run(launcher, std::chrono::milliseconds{1000}, [](const RunStatus&) {});
  EXPECT_TRUE(engine.ledger().balances());
  Outcome outcome;
  for (const std::string& line : writer.outcomes()) outcome.text += line + "\n";
  for (const auto& [number, c] : writer.connections()) {
    outcome.conflicts += c.record.sides[0].overlap_conflicts;
  }
  return outcome;
}

TEST(KeptFrames, TellTheSameConflictsAsCopies) {
  const testing::TemporaryFolder folder;
  for (const std::size_t segment_bytes : {std::size_t{30}, std::size_t{1400}, std::size_t{9000}}) {
    SCOPED_TRACE(segment_bytes);
    const auto records = repeating_sender(segment_bytes, 4000, 7);
    std::vector<MemoryFrame> frames;
    for (const auto& record : records) {
      frames.push_back({.stamp = from_nanoseconds(record.microseconds * 1000),
                        .bytes = record.bytes});
    }
    MemorySource memory(frames);
    const Outcome copied = run(memory, 1);
    EXPECT_GT(copied.conflicts, 50U);

    const std::string path = folder.file("repeating.pcap");
    testing::write_bytes(path, testing::pcap_bytes(records));
    for (const std::size_t chunks : {std::size_t{2}, std::size_t{32}}) {
      for (const unsigned workers : {1U, 2U}) {
        SCOPED_TRACE(std::to_string(chunks) + " chunks, " + std::to_string(workers) + " workers");
        CaptureSource file({path}, {.chunks = chunks});
        const Outcome kept = run(file, workers);
        EXPECT_EQ(kept.conflicts, copied.conflicts);
        EXPECT_EQ(kept.text, copied.text);
      }
    }
  }
}

}  // namespace
}  // namespace flowloom::test
