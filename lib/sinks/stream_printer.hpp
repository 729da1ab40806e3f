// Prints one direction's bytes with marks where bytes are missing and where segments contradicted
// each other:
//   [gap: 1460 bytes, capture-loss]
//   [conflict: 3 bytes at 100, the copy that was held stays]
#pragma once

#include "sinks/content_printer.hpp"
#include "sinks/sink.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace flowloom {

/// Whether the bytes of a gap are among those that come (as zeros, with --gap-fill zero).
enum class GapBytes : std::uint8_t { Absent, Present };

/// Escape sequences; only where a terminal shows them.
enum class Colours : std::uint8_t { No, Yes };

class StreamPrinter {
 public:
  struct Settings {
    PrintMode mode = PrintMode::Ascii;
    GapBytes gap_bytes = GapBytes::Absent;
    Colours colours = Colours::No;
    std::uint64_t limit = UINT64_MAX;  ///< delivered bytes
  };
  /// `event` closes its connection and has its earlier gaps and conflicts.
  StreamPrinter(const Settings& settings, const StreamEvent& event, Direction direction,
                RecordWriter& output);
  /// Takes the next bytes; those beyond the limit are passed over.
  void print(ByteView piece);
  void finish();

 private:
  struct Mark {
    std::int64_t offset;
    std::int64_t length;
    bool is_gap;
    std::string_view says;  ///< a gap's cause, a conflict's outcome
  };
  void add_gaps(const StreamEvent& event);
  void add_conflicts(const StreamEvent& event);
  void add_conflict(const ConnectionRecord& record, const Conflict& conflict);
  void pass_marks();
  void show(const Mark& mark);
  [[nodiscard]] std::int64_t run_to_mark() const;

  Settings settings_;
  Direction direction_;
  RecordWriter& output_;
  ContentPrinter content_;
  std::vector<Mark> marks_;
  std::size_t next_ = 0;
  std::int64_t position_ = 0;  ///< in the stream, gaps included
  std::int64_t skip_ = 0;      ///< bytes of a gap that come and are not shown
  std::uint64_t left_;
  bool shows_all_;  ///< so that marks behind the last byte are shown as well
};

}  // namespace flowloom
