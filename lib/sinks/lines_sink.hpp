// A line per connection that carried a handshake or payload, when it ends:
//   [+] 10.1.1.101:3177 - 10.1.1.1:80 (CTS: 476B | STC: 435B) gaps: 2 (1460B)
// and under it, where asked for, the first bytes of both directions, originator first:
//   >> 10.1.1.101:3177 -> 10.1.1.1:80, 300 of 476 bytes
//   << 10.1.1.1:80 -> 10.1.1.101:3177, 300 of 435 bytes
// with marks where bytes are missing or segments contradicted each other (stream_printer.hpp).
#pragma once

#include "sinks/connection_map.hpp"
#include "sinks/record_writer.hpp"
#include "sinks/sink.hpp"
#include "sinks/stream_printer.hpp"
#include "sinks/stream_store.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace flowloom {

inline constexpr std::uint64_t kPrintBytesDefault = 300;
/// Beginnings of streams that are still running, of all connections together; a stream whose
/// beginning does not fit any more is printed as far as it was kept.
inline constexpr std::uint64_t kKeptBytesMax = std::uint64_t{64} << 20;

/// Where the content comes from that is printed: what is kept of the messages, or the store.
enum class PrintFrom : std::uint8_t { Messages, Store };

struct LinesSettings {
  PrintMode print = PrintMode::None;
  std::uint64_t print_bytes = kPrintBytesDefault;  ///< per direction; 0: all, from the store
  PrintFrom from = PrintFrom::Messages;
  GapBytes gap_bytes = GapBytes::Absent;           ///< in the store
  Colours colours = Colours::No;
};

class LinesSink final : public Sink {
 public:
  /// `store` may be nullptr: then of "all" what the messages and kept beginnings have.
  LinesSink(RecordWriter output, const LinesSettings& settings,
            std::unique_ptr<StreamStore> store = nullptr)
      : output_(std::move(output)), settings_(settings), store_(std::move(store)) {}

  [[nodiscard]] SinkNeeds needs() const override {
    const bool prints = settings_.print != PrintMode::None;
    return {.gap_lists = prints, .bytes = prints};
  }
  void consume(StreamEvent& event) override;
  void flush() override { output_.flush(); }
  void finish() override { output_.flush(); }
  [[nodiscard]] WriterStatus status() const override { return output_.status(); }

 private:
  using Beginnings = std::array<std::vector<std::uint8_t>, 2>;

  void keep_beginnings(const StreamMessage& message);
  void write_line(const ConnectionRecord& record);
  void print_direction(StreamEvent& event, Direction direction);
  void print_known(const StreamEvent& event, Direction direction, std::uint64_t limit);
  bool print_stored(StreamEvent& event, Direction direction, std::uint64_t limit);
  StreamPrinter printer(const StreamEvent& event, Direction direction, std::uint64_t limit,
                        GapBytes gap_bytes);
  void print_marker(const ConnectionRecord& record, Direction direction, std::uint64_t shown);
  void forget(const ConnectionRecord& record);

  RecordWriter output_;
  LinesSettings settings_;
  std::unique_ptr<StreamStore> store_;
  std::string text_;
  ConnectionMap<Beginnings> beginnings_;
  std::uint64_t kept_bytes_ = 0;
};

}  // namespace flowloom
