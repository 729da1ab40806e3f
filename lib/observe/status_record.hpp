// A moment of a run as one line of JSON: stats.jsonl of `--stats-interval`.
#pragma once

#include "base/time.hpp"
#include "observe/live_status.hpp"

#include <string>

namespace flowloom {

/// The keys of stats.json, with the time, what is open now and what each thread told. One line,
/// with its end.
std::string format_status_record(const LiveStatus& status, Timestamp now);

}  // namespace flowloom
