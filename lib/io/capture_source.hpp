// Capture files as one source of packets: a single file straight into the burst, several merged by
// each file's own clock. Files are opened when their time comes and closed at their end.
#pragma once

#include <array>
#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/capture_reader.hpp"
#include "io/chunk_pool.hpp"
#include "io/input_file.hpp"
#include "io/input_problem.hpp"
#include "io/packet_source.hpp"
#include "net/packet_clock_rule.hpp"

namespace flowloom {

struct CaptureSettings {
  /// Small enough to stay in the second-level cache between read() and the parser. With many inputs
  /// it shrinks, so that files whose times overlap do not need memory without bound.
  std::size_t chunk_bytes = std::size_t{128} << 10;
  /// What the consumer may hold without releasing; then receive() returns Idle.
  std::size_t chunks = 32;
  /// Descriptors for regular files; 0: a quarter of what the process may open.
  std::size_t open_files_max = 0;
};

/// For a progress bar; may be asked for from another thread.
struct CaptureProgress {
  std::uint64_t bytes_read;
  std::uint64_t bytes_total;  ///< of regular files as they were at the start
};

class CaptureSource final : public PacketSource {
 public:
  /// `paths` in the order of the command line; "-" is standard input. Looks at the first packet of
  /// each regular file; what keeps it from being read at all already stands in problems().
  explicit CaptureSource(std::vector<std::string> paths, CaptureSettings settings = {});
  ~CaptureSource() override;

  SourceState receive(Burst& burst) override;

  /// Releases every packet up to the number of the burst's last one.
  void release(Burst& burst) override;
  ByteView keep_released(std::uint64_t packets, FrameKeeper& keeper) override {
    return pool_.keep_released(packets, keeper);
  }

  [[nodiscard]] SourceStats stats() const override;

  /// In the order in which they were met; complete when receive() has returned End.
  [[nodiscard]] const std::vector<InputProblem>& problems() const { return problems_; }
  [[nodiscard]] CaptureProgress progress() const;

 private:
  /// When a packet's turn comes; ties go by the order of the command line.
  struct Key {
    Timestamp clock;
    std::uint32_t input;
    auto operator<=>(const Key&) const = default;
  };

  /// A file that was looked at and waits for its time.
  struct Pending {
    Key key;
    std::string path;
  };

  /// An open file and its next packets, with their clocks.
  struct Stream {
    Stream(std::string path, CaptureSource& source, std::uint32_t input)
        : reader(std::move(path), source.pool_, source.budget_), key{kTimeMin, input} {}

    [[nodiscard]] bool empty() const { return begin == end; }
    /// The next packet is there, but its clock depends on the one behind it.
    [[nodiscard]] bool waits() const { return last_waits && begin + 1 == end; }

    CaptureReader reader;
    PacketClockRule rule;
    Key key;  // of the packet at `begin`; while the batch is empty, not later than the next one
    std::uint64_t bytes_counted = 0;
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    bool last_waits = false;
    std::array<Packet, kBurstMax> batch;
  };

  enum class Filled : std::uint8_t { Packets, Wait, End };

  void look_at(std::uint32_t input, const std::string& path);
  Filled read_more(Stream& stream);
  Filled fill(Stream& stream);
  Filled settle_clock(Stream& stream);
  static bool set_clocks(Stream& stream, std::span<Packet> packets);
  bool open_due();
  void insert(std::unique_ptr<Stream> stream);
  void sift_down();
  void close(Stream& stream);
  void take_run(Stream& stream, Burst& burst, std::uint32_t limit);
  [[nodiscard]] Key next_of_others() const;
  static void keep_last(Stream& stream, Burst& burst);
  void number_in_order(Burst& burst, std::uint8_t input);
  bool number_usual(Stream& stream, Burst& burst);
  Filled receive_alone(Burst& burst, std::uint32_t limit);
  Filled receive_merged(Burst& burst, std::uint32_t limit);

  ChunkPool pool_;
  DescriptorBudget budget_;
  std::vector<Pending> pending_;                  // sorted, the earliest last
  std::vector<std::unique_ptr<Stream>> streams_;  // heap by key, the earliest first
  std::vector<InputProblem> problems_;
  Timestamp clock_{kTimeMin};
  std::uint64_t number_ = 0;
  std::uint64_t bad_timestamps_ = 0;  // of closed files
  std::uint64_t bytes_total_ = 0;
  std::atomic<std::uint64_t> bytes_read_{0};
};

}  // namespace flowloom
