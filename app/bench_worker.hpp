// What one worker of `flowloom bench` measures: the whole data path on one thread, chunk by chunk,
// and in turns with it the floor, so that a noisy neighbour hits both. A few chunks in between are
// taken apart into stages; their figures never mix with those of the whole.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "bench_feed.hpp"
#include "bench_writer.hpp"
#include "copy_floor.hpp"
#include "cycle_counter.hpp"
#include "net/decode.hpp"
#include "pipeline/front.hpp"
#include "pipeline/shard.hpp"
#include "stream/counting_consumer.hpp"

namespace flowloom {

/// Time that packets took.
struct Spent {
  std::uint64_t packets = 0;
  std::chrono::nanoseconds wall{};
  std::chrono::nanoseconds cpu{};  ///< of the thread: what others took from the core is not in it
  std::uint64_t cycles = 0;        ///< 0: the counter is not readable

  Spent& operator+=(const Spent& other);
  [[nodiscard]] double wall_ns_per_packet() const;
  [[nodiscard]] double cpu_ns_per_packet() const;
};

/// What a pass does with each burst; each does what the one before it does, and more.
enum class Pass : std::uint8_t {
  Receive,   ///< received, first line of each frame read, released: the floor
  Parse,     ///< and decoded and hashed, fragments aside
  Checksum,  ///< and the TCP checksum computed
  Lookup,    ///< and the connection looked up
  Whole,     ///< the engine: everything, and delivered
  Copy       ///< received and the payload copied, nothing else: what copying cannot go below
};
inline constexpr std::size_t kPassCount = 6;

struct BenchSettings {
  ShardConfig shard;
  /// Bytes are copied, and handed to a writer; none: counted in place.
  std::optional<ExporterConfig> exporter;
  std::size_t chunk_packets = 2048;
  std::uint64_t warm_up_packets = 0;
  std::chrono::nanoseconds duration{};  ///< of the timed engine passes
};

/// What is measured where bytes are copied to a writer.
struct CopyFigures {
  Spent floor;   ///< of other chunks than the engine's
  Spent writer;  ///< CPU time of its thread, for packets of all chunks
  std::uint64_t waits = 0;        ///< times that the worker waited for the writer
  std::uint64_t memory_left = 0;  ///< bytes of blocks that did not come home

  CopyFigures& operator+=(const CopyFigures& other);
};

struct BenchFigures {
  Spent engine;
  Spent floor;
  std::array<Spent, kPassCount> stages;  ///< of other chunks than `engine` and `floor`
  std::uint64_t payload_bytes = 0;       ///< in the engine's timed packets
  std::uint64_t frame_bytes = 0;
  std::uint64_t connections = 0;  ///< begun in the engine's timed packets
  std::uint64_t disturbed_passes = 0;  ///< the thread lost its core: its CPU time counts
  std::optional<CopyFigures> copy;
  bool balanced = false;          ///< the ledger, after the last connection ended
  std::uint64_t tracked_bytes = 0;    ///< delivered by the shard, as its ledger has it
  std::uint64_t delivered_bytes = 0;  ///< that the consumer, or the writer, was given
  std::uint64_t expected_bytes = 0;
  std::uint64_t objects_left = 0;  ///< of all pools, after the last connection ended
  std::size_t reserved_bytes = 0;
};

class BenchWorker final : FrameKeeper {
 public:
  /// `feed` is this worker's own. Reserves the engine's memory.
  BenchWorker(BenchFeed& feed, const BenchSettings& settings);

  /// Set-up and warm-up, untimed: every connection stands and every page was touched.
  void set_up();
  /// Measures. Called once, on the thread that called set_up().
  void measure();
  /// Ends all connections.
  void finish();

  /// Runs beside these on a thread of its own; nullptr: bytes are counted in place.
  [[nodiscard]] BenchWriter* writer() { return writer_.get(); }

  /// Holds the result against the truth. Preconditions: finish() and the writer have returned.
  [[nodiscard]] BenchFigures figures();

 private:
  template <class Work>
  void run_bursts(std::size_t packets, Work work);
  void run_pass(Pass pass, std::size_t packets);
  struct ChunkContent {
    std::uint64_t payload_bytes = 0;
    std::uint64_t frame_bytes = 0;
  };
  void measure_pass(Pass pass, std::size_t packets, const CycleCounter& cycles, Spent& spent);
  void measure_chunk(std::size_t packets, const ChunkContent& content, const CycleCounter& cycles);
  void measure_stages(std::size_t packets, const CycleCounter& cycles);
  void measure_copying(std::size_t packets, const CycleCounter& cycles);
  void measure_chunks(const CycleCounter& cycles);
  StreamConsumer& consumer();
  [[nodiscard]] std::uint64_t waits() const;
  void before_reuse(ByteView memory) override { shard_.save_delivered(memory); }
  void decode_burst();
  void run_engine(std::size_t packets);

  BenchFeed& feed_;
  const BenchSettings settings_;
  const DecodeOptions decode_options_;
  Front front_;
  CountingConsumer counting_;
  std::unique_ptr<BenchWriter> writer_;
  std::optional<CopyFloor> copy_floor_;
  Shard shard_;
  Burst burst_;
  std::uint64_t sink_ = 0;  // what passes compute, so that it has to be computed
  BenchFigures figures_;
};

}  // namespace flowloom
