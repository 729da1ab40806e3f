// A line on a terminal that says how far a long run is; nothing where standard error is no
// terminal.
#pragma once

#include <chrono>
#include <cstdint>

#include "runtime/progress.hpp"

namespace flowloom {

struct InputExtent;

class ProgressBar {
 public:
  enum class When : std::uint8_t { Never, OnTerminal };

  explicit ProgressBar(When when);
  void show(const Progress& progress, const InputExtent& extent);
  /// Takes the line away.
  void clear();

 private:
  bool enabled_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace flowloom
