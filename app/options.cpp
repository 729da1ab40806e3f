#include "options.hpp"

#include "base/random_seed.hpp"
#include "host/confinement.hpp"
#include "observe/metrics_server.hpp"
#include "sinks/app_flow_sink.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace flowloom {

namespace {

/// Shortest time-out that the timer wheel keeps exactly.
constexpr double kShortestTimeout = 0.1;
constexpr double kLongestTimeout = 1e9;

/// A source needs about 64 bytes for every port.
constexpr std::uint32_t kScanPortsMax = 1000;
constexpr std::uint32_t kScanHostsMax = 1'000'000;

Duration seconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

std::uint64_t quarter_of_ram() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page = sysconf(_SC_PAGESIZE);
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page) / 4;
}

unsigned default_workers() {
  const unsigned cores = std::thread::hardware_concurrency();
  return cores > 1 ? cores - 1 : 1;
}

/// The parser takes "-1" for the largest number there is.
std::string check_not_negative(const std::string& text) {
  return text.starts_with('-') ? fmt::format("{} is negative", text) : std::string{};
}

/// Written so that it refuses what is not a number, too.
std::string check_timeout(const std::string& text) {
  double value = 0;
  const bool good = CLI::detail::lexical_cast(text, value) && value >= kShortestTimeout &&
                    value <= kLongestTimeout;
  return good ? std::string{}
              : fmt::format("'{}' is not a number of seconds from {} to {:.0f}", text,
                            kShortestTimeout, kLongestTimeout);
}

/// 0, or not so short that the control thread does nothing else.
std::string check_interval(const std::string& text) {
  constexpr double kShortest = 0.1;
  double value = 0;
  const bool good = CLI::detail::lexical_cast(text, value) &&
                    (value == 0 || (value >= kShortest && value <= kLongestTimeout));
  return good ? std::string{}
              : fmt::format("'{}' is neither 0 nor a number of seconds from {}", text, kShortest);
}

template <class Rows>
std::vector<std::string> policy_names(const Rows& rows) {
  std::vector<std::string> list;
  for (const auto& row : rows) list.emplace_back(row.name);
  return list;
}

template <std::size_t N>
std::vector<std::string> names(const std::array<std::string_view, N>& list) {
  return {list.begin(), list.end()};
}

/// All but the default, which stands first.
template <class Rows>
std::string other_policies(const Rows& rows) {
  const std::vector<std::string> list = policy_names(rows);
  return fmt::format("{}", fmt::join(list.begin() + 1, list.end(), ", "));
}

/// Time-outs and what bounds memory.
void add_limit_options(CLI::App& command, CommonOptions& o) {
  const CLI::AsSizeValue size(false); // k, M, G are powers of 1024
  const CLI::Validator positive(check_not_negative, "");
  const CLI::Validator timeout(check_timeout, "");
  command.add_option("--idle-timeout", o.idle_timeout,
                     "Seconds of packet time without a packet that end a connection (3600)")
      ->option_text("S")->check(timeout);
  command.add_option("--syn-timeout", o.syn_timeout,
                     "The same while the handshake is incomplete (10)")
      ->option_text("S")->check(timeout);
  command.add_option("--closed-timeout", o.closed_timeout,
                     "Seconds that a closed connection lingers for late packets (60)")
      ->option_text("S")->check(timeout);
  command.add_option("--max-flows", o.max_flows, "Connections at a time (1000000)")
      ->option_text("N")->check(CLI::Range(16U, 200'000'000U));
  command.add_option("--memory", o.memory, "Reassembly memory (default: a quarter of RAM)")
      ->option_text("SIZE")->transform(size)->transform(positive)
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{1} << 46))
      ->default_str(fmt::format("{}", quarter_of_ram()));
  command.add_option("--depth", o.depth, "Bytes kept per direction (0: no limit)")
      ->option_text("SIZE")->transform(size)->transform(positive);
}

/// What a service needs.
void add_operation_options(CLI::App& command, CommonOptions& o) {
  command.add_option("--stats", o.stats, "The ledger as JSON (default: stats.json under -o)")
      ->option_text("FILE");
  command.add_option("--stats-interval", o.stats_interval,
                     "Seconds between statistics records in stats.jsonl under -o (0: none)")
      ->option_text("S")->check(CLI::Validator(check_interval, ""));
  command.add_option("--metrics", o.metrics,
                     "Serve Prometheus' /metrics on this port or loopback address, as "
                     "127.0.0.1:9464")
      ->option_text("ADDRESS");
  command.add_option("--user", o.user,
                     "Become this user once everything is open; with what --sandbox does")
      ->option_text("NAME");
  command.add_flag("--sandbox", o.sandbox,
                   "Give up capabilities, and the file system outside of the output folder");
  command.add_option("--rotate", o.rotate,
                     "Begin new record files at this size (100M), time (1h), or both (100M,1h)")
      ->option_text("WHEN");
}

void add_scan_options(CLI::App& command, CommonOptions& o) {
  command.add_option("--scan-ports", o.scan_ports,
                     "--write alerts: distinct ports of hosts that are still no scan (10)")
      ->option_text("N")->check(CLI::Range(1U, kScanPortsMax));
  command.add_option("--scan-delay", o.scan_delay,
                     "--write alerts: longest pause between them, in seconds (3)")
      ->option_text("S")->check(CLI::Validator(check_timeout, ""));
  command.add_option("--scan-hosts", o.scan_hosts,
                     "--write alerts: sources that are remembered at a time (8192)")
      ->option_text("N")->check(CLI::Range(1U, kScanHostsMax));
}

/// What single writers want to know.
void add_writer_options(CLI::App& command, CommonOptions& o) {
  const CLI::AsSizeValue size(false);
  const CLI::Validator positive(check_not_negative, "");
  command.add_option("--summary-columns", o.summary_columns,
                     "Columns of --write app-flow (default: the first ten): " +
                         known_app_flow_columns())
      ->option_text("LIST");
  command.add_option("--couchdb-content", o.couchdb_content,
                     "Bytes per direction that --write couchdb attaches (1M; 0: none)")
      ->option_text("SIZE")->transform(size)->transform(positive);
  command.add_option("--couchdb-spool", o.couchdb_spool,
                     "Folder for documents that the server does not have yet "
                     "(default: couchdb-spool under -o)")
      ->option_text("DIR");
}

}  // namespace

PrintMode PrintOptions::mode() const {
  return form == "ascii" ? PrintMode::Ascii
         : form == "hex" ? PrintMode::Hex
         : form == "raw" ? PrintMode::Raw
                         : PrintMode::None;
}

Colours PrintOptions::colours() const {
  if (colour != "auto") return colour == "always" ? Colours::Yes : Colours::No;
  const char* refused = std::getenv("NO_COLOR");  // https://no-color.org
  const bool wanted = refused == nullptr || *refused == '\0';
  return wanted && isatty(STDOUT_FILENO) == 1 ? Colours::Yes : Colours::No;
}

void add_print_options(CLI::App& command, PrintOptions& o) {
  const CLI::Validator positive(check_not_negative, "");
  command.add_option("--print", o.form, "Show the streams' content: ascii, hex or raw")
      ->option_text("FORM")->check(CLI::IsMember({"ascii", "hex", "raw"}));
  command.add_option("--print-bytes", o.bytes, "Bytes shown per direction (300; 0: all)")
      ->option_text("N")->check(positive);
  command.add_option("--color", o.colour,
                     "Colours of --print: auto (default: on a terminal only), always or never")
      ->option_text("WHEN")->check(CLI::IsMember({"auto", "always", "never"}));
}

void add_common_options(CLI::App& command, CommonOptions& o) {
  command.option_defaults()->always_capture_default();  // for --check-config
  command.add_option("-o,--out", o.out, "Folder for the files (created)")->option_text("DIR");
  command.add_flag("--force", o.force, "Write into a folder that is not empty");
  command.add_option("--write", o.write,
                     "Writers, comma separated: " + known_sinks() +
                         " (default with -o: flows,streams; none: track and count only)")
      ->option_text("LIST");
  command.add_option("-f,--filter", o.filter, "Only packets that match, pcap-filter(7)")
      ->option_text("EXPR");
  command.add_option("--workers", o.workers, "Worker threads (default: cores - 1)")
      ->option_text("N")->check(CLI::Range(1U, 64U))
      ->default_str(fmt::format("{}", default_workers()));
  command.add_option("--overlap", o.overlap,
                     "Which copy wins among bytes not yet delivered: bsd (default), " +
                         other_policies(kOverlapNames))
      ->option_text("POLICY")->check(CLI::IsMember(policy_names(kOverlapNames)));
  command.add_option("--deliver", o.deliver,
                     "When bytes in order are final: on arrival (default), or acked, when the "
                     "other side has acknowledged them")
      ->option_text("WHEN")->check(CLI::IsMember(names(kDeliverNames)));
  command.add_option("--urgent", o.urgent,
                     "Urgent bytes: inline in the stream (default), oob beside it, or drop")
      ->option_text("MODE")->check(CLI::IsMember(names(kUrgentNames)));
  command.add_flag("--overlap-evidence", o.overlap_evidence,
                   "Keep both versions of bytes that differ, in evidence.jsonl");
  command.add_option("--fragment-overlap", o.fragment_overlap,
                     "The same for IPv4 fragments: bsd (default), " +
                         other_policies(kFragmentOverlapNames))
      ->option_text("POLICY")->check(CLI::IsMember(policy_names(kFragmentOverlapNames)));
  command.add_option("--checksum", o.checksum,
                     "Wrong TCP checksums: auto tolerates offloading senders (default), all drops "
                     "every wrong one, none does not look")
      ->option_text("MODE")->check(CLI::IsMember({"auto", "all", "none"}));
  add_limit_options(command, o);
  add_writer_options(command, o);
  add_print_options(command, o.print);
  command.add_option("--gap-fill", o.gap_fill, "zero: zero bytes stand where a gap is in a file")
      ->option_text("WITH")->check(CLI::IsMember({"zero"}));
  command.add_flag("--json", o.json, "Flow records on standard output instead of lines");
  command.add_flag("--sha256", o.sha256, "Add the SHA-256 of each direction to its record");
  add_operation_options(command, o);
  add_scan_options(command, o);
  command.add_option("--burst", o.burst, "Packets per burst (32); results do not depend on it")
      ->option_text("N")->check(CLI::Range(1U, kBurstMax));
  command.add_flag("-q,--quiet", o.quiet, "Errors only");
  command.add_flag("-v,--verbose", o.verbose, "Say more");
}

std::string check_options(const CommonOptions& o) {
  if (o.quiet && o.verbose) return "-q and -v exclude each other";
  RotateSettings rotate;
  if (std::string wrong = parse_rotation(o.rotate, rotate); !wrong.empty()) return wrong;
  if (!o.rotate.empty() && o.out.empty()) return "--rotate is for files: give -o DIR as well";
  HostUser user;
  if (std::string wrong = o.user.empty() ? "" : find_user(o.user, user); !wrong.empty()) {
    return fmt::format("--user {}: {}", o.user, wrong);
  }
  if (o.stats_interval > 0 && o.out.empty()) {
    return "--stats-interval writes stats.jsonl: give -o DIR as well";
  }
  if (!o.metrics.empty() && !parse_metrics_address(o.metrics)) {
    return fmt::format("--metrics {}: give a port, or a loopback address with one, such as "
                       "127.0.0.1:9464", o.metrics);
  }
  if (!o.print.form.empty() && o.json) return "--print and --json exclude each other";
  if (!o.print.form.empty() && o.print.bytes == 0 && o.out.empty()) {
    return "--print-bytes 0 reads whole streams back from their files: give -o DIR as well";
  }
  return {};
}

EngineSettings engine_settings(const CommonOptions& o) {
  EngineSettings s;
  s.workers = o.workers == 0 ? default_workers() : o.workers;
  s.burst = o.burst;
  const std::uint64_t memory = o.memory == 0 ? quarter_of_ram() : o.memory;
  // What is on its way to the writer needs little: the rest holds what came out of order.
  s.export_memory = std::clamp<std::uint64_t>(memory / 4, std::uint64_t{1} << 20,
                                              std::uint64_t{512} << 20);
  s.shard.reorder_bytes = memory > s.export_memory ? memory - s.export_memory : memory / 2;
  s.shard.max_flows = o.max_flows;
  s.shard.hold_first = HoldFirst::InFlood;
  s.shard.idle_timeout = seconds(o.idle_timeout);
  s.shard.syn_timeout = seconds(o.syn_timeout);
  s.shard.closed_timeout = seconds(o.closed_timeout);
  s.shard.checksum = o.checksum == "none"  ? ChecksumMode::None
                     : o.checksum == "all" ? ChecksumMode::All
                                           : ChecksumMode::Auto;
  s.farewell = Farewell::Summary;
  s.evidence = o.overlap_evidence ? KeepEvidence::Yes : KeepEvidence::No;
  s.shard.tcp.overlap = *overlap_policy_from_name(o.overlap);
  s.shard.tcp.deliver = *value_named<DeliverWhen>(kDeliverNames, o.deliver);
  s.shard.tcp.urgent = *value_named<UrgentMode>(kUrgentNames, o.urgent);
  s.defragment.ipv4_overlap = *fragment_overlap_from_name(o.fragment_overlap);
  if (o.depth != 0) {
    s.shard.tcp.depth = static_cast<StreamOffset>(
        std::min<std::uint64_t>(o.depth, std::numeric_limits<StreamOffset>::max()));
  }
  s.shard.seed = random_seed();
  return s;
}

SinkSettings sink_settings(const CommonOptions& o) {
  SinkSettings s;
  s.write = o.write;
  s.standard_output = o.json ? StandardOutput::Json : StandardOutput::Lines;
  s.evidence = o.overlap_evidence ? KeepEvidence::Yes : KeepEvidence::No;
  s.sha256 = o.sha256 ? WithSha256::Yes : WithSha256::No;
  s.streams.gap_fill = o.gap_fill == "zero" ? GapFill::Zero : GapFill::None;
  s.pace = o.pace;
  (void)parse_rotation(o.rotate, s.rotate);  // check_options() said what is wrong
  s.summary_columns = o.summary_columns;
  s.couchdb_content = o.couchdb_content;
  s.couchdb_spool = o.couchdb_spool;
  s.print = o.print.mode();
  s.print_bytes = o.print.bytes;
  s.colours = o.print.colours();
  s.scan.hosts = o.scan_hosts;
  s.scan.delay = seconds(o.scan_delay);
  s.scan.ports = o.scan_ports;
  return s;
}

}  // namespace flowloom
