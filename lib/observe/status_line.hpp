// What happens now, on one line: rates, connections, losses, how busy the threads are, and what is
// about to be full. For a terminal and the service manager.
#pragma once

#include "observe/live_status.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace flowloom {

/// "12.3 k", "4.56 M", "7 ": for a unit to follow.
std::string scaled(double value);

class StatusLine {
 public:
  /// Looks at a moment; rates are those since about a second before.
  [[nodiscard]] std::string text(const LiveStatus& status);

 private:
  /// Counts of a moment, for rates.
  struct Moment {
    std::chrono::nanoseconds elapsed{};
    std::uint64_t packets = 0;
    std::uint64_t payload = 0;
    std::vector<std::chrono::nanoseconds> idle{};  ///< by thread
  };
  void measure(const LiveStatus& status);
  void measure_loads(const Moment& now);

  Moment before_;
  std::string loads_;  ///< "load 3/97 %"
  double packets_per_second_ = 0;
  double bits_per_second_ = 0;
};

}  // namespace flowloom
