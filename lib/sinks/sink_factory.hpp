// From the names of `--write LIST` to sinks. A new writer is one row in sink_factory.cpp.
#pragma once

#include "export/stream_message.hpp"
#include "inspect/scan_detector.hpp"
#include "sinks/couchdb_sink.hpp"
#include "sinks/flows_sink.hpp"
#include "sinks/lines_sink.hpp"
#include "sinks/output_folder.hpp"
#include "sinks/pack_sink.hpp"
#include "sinks/streams_sink.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flowloom {

/// What standard output shows of connections.
enum class StandardOutput : std::uint8_t { Nothing, Lines, Json };

struct SinkSettings {
  /// Names, comma separated. Empty: "flows,streams" with an output folder, nothing without one.
  std::string write;
  const OutputFolder* folder = nullptr;  ///< nullptr: only standard output; outlives the sinks
  StandardOutput standard_output = StandardOutput::Lines;
  int standard_output_fd = 1;
  StreamsSettings streams;
  Pace pace = Pace::Stored;
  RotateSettings rotate;        ///< `interval` is the pipeline's business
  WithSha256 sha256 = WithSha256::No;
  KeepEvidence evidence = KeepEvidence::No;
  ScanSettings scan;                     ///< of the writer "alerts"
  std::string summary_columns;  ///< of app-flow; empty: the ten
  std::uint64_t couchdb_content = kCouchdbContentDefault;
  std::string couchdb_spool;    ///< empty: couchdb-spool in the output folder
  PrintMode print = PrintMode::None;
  std::uint64_t print_bytes = kPrintBytesDefault;
  Colours colours = Colours::No;
};

/// Why there are no sinks: the user asked for what cannot be, or an output cannot be made.
enum class SinkFault : std::uint8_t { Settings, Output };

/// The sinks in the order in which they see a message, or one clear sentence why not.
struct SinkSet {
  std::vector<std::unique_ptr<Sink>> sinks;
  std::string error;
  SinkFault fault = SinkFault::Settings;  ///< where there is an error
  /// `--write none`: nothing is written, so no writer core is needed.
  bool none = false;
};

SinkSet make_sinks(const SinkSettings& settings);

enum class FolderGiven : std::uint8_t { No, Yes };

/// One sentence where make_sinks() would refuse these settings, or nothing; touches no file, so
/// that a mistake is told before an output folder is made or emptied.
std::string check_sinks(const SinkSettings& settings, FolderGiven folder);

/// "alerts, flows, none, streams": for messages and --help.
std::string known_sinks();

}  // namespace flowloom
