// A line on a terminal that says how far a long run is: of its input where that has an end, else
// what happens now. Nothing where standard error is no terminal.
#pragma once

#include <cstdint>

#include "observe/live_status.hpp"
#include "observe/status_line.hpp"

namespace flowloom {

/// How far the input is, where it has an end.
struct InputExtent {
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_total = 0;  ///< 0: unknown
};

class ProgressBar {
 public:
  enum class When : std::uint8_t { Never, OnTerminal };

  explicit ProgressBar(When when);
  void show(const LiveStatus& status, const InputExtent& extent);
  /// Takes the line away.
  void clear();

 private:
  bool enabled_;
  bool shown_ = false;
  StatusLine now_;
};

}  // namespace flowloom
