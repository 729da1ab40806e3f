// stats.json: the ledger of a run, and what it tells the user of writers that failed.
#pragma once

#include "export/ledger_snapshot.hpp"

#include <string>

namespace flowloom {

/// The ledger as JSON, ending in a line feed.
std::string format_stats(const LedgerSnapshot& ledger);

/// The same on one line and without the braces around all: to stand in a larger object.
std::string format_stats_members(const LedgerSnapshot& ledger);

/// Writes it to `path` ("-": standard output). A file appears under its name when it is
/// complete; a device or pipe is written to directly. Returns one sentence where that failed.
std::string write_stats(const LedgerSnapshot& ledger, const std::string& path);

/// "the writer flows failed: No space left on device; 3 records (1970 bytes) are lost" for the
/// user, or nothing where the writer wrote everything.
std::string describe_loss(const WriterStatus& writer);

}  // namespace flowloom
