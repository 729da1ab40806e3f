// The options that read, live and run share, and how they become settings.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>

#include "runtime/engine.hpp"
#include "sinks/sink_factory.hpp"

namespace flowloom {

/// Exit status (the contract): the highest of 2..5 that applies.
enum class ExitStatus : int {
  Ok = 0,
  Usage = 1,
  InputUnreadable = 2,
  InputDamaged = 3,
  WriterFailed = 4,
  Unbalanced = 5
};

/// How content is shown on standard output.
struct PrintOptions {
  std::string form;
  std::uint64_t bytes = kPrintBytesDefault;
  std::string colour = "auto";

  [[nodiscard]] PrintMode mode() const;
  [[nodiscard]] Colours colours() const;
};

void add_print_options(CLI::App& command, PrintOptions& options);

/// As the user gave them; defaults are the contract's.
struct CommonOptions {
  std::string out;
  bool force = false;
  std::string write;
  std::string filter;
  unsigned workers = 0;  ///< 0: cores - 1, at least 1
  std::string overlap = "bsd";
  std::string deliver = "arrival";
  std::string urgent = "inline";
  std::string fragment_overlap = "bsd";
  bool overlap_evidence = false;
  std::string checksum = "auto";
  double idle_timeout = 3600;
  double syn_timeout = 10;
  double closed_timeout = 60;
  std::uint32_t max_flows = 1'000'000;
  std::uint64_t memory = 0;  ///< 0: a quarter of RAM
  std::uint64_t depth = 0;   ///< 0: no limit
  std::string summary_columns;
  std::uint64_t couchdb_content = kCouchdbContentDefault;
  std::string couchdb_spool;
  PrintOptions print;
  std::string gap_fill;
  bool json = false;
  bool sha256 = false;
  std::string stats;
  std::string rotate;
  double stats_interval = 0;  ///< 0: no records of it
  std::string metrics;        ///< empty: not served
  std::string user;           ///< who the process becomes; empty: stays who it is
  bool sandbox = false;
  std::uint32_t scan_hosts = ScanSettings{}.hosts;
  double scan_delay = 3;
  std::uint32_t scan_ports = ScanSettings{}.ports;
  std::uint32_t burst = kBurstMax;
  bool quiet = false;
  bool verbose = false;
  Pace pace = Pace::Stored;  ///< the command's, no option
};

/// Registers them on a command.
void add_common_options(CLI::App& command, CommonOptions& options);

/// What is wrong between options, as one sentence; empty where nothing is.
std::string check_options(const CommonOptions& options);

EngineSettings engine_settings(const CommonOptions& options);
SinkSettings sink_settings(const CommonOptions& options);

}  // namespace flowloom
