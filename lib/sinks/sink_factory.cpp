// See sink_factory.hpp.
#include "sinks/sink_factory.hpp"

#include "sinks/alerts_sink.hpp"
#include "sinks/app_flow_sink.hpp"
#include "sinks/counting_sink.hpp"
#include "sinks/evidence_sink.hpp"
#include "sinks/pack_sink.hpp"
#include "sinks/pcap_sink.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>

namespace flowloom {
namespace {

constexpr std::string_view kNone = "none";
constexpr std::string_view kDefaultWriters = "flows,streams";

void fail(SinkSet& set, std::string_view what, int error) {
  set.error = fmt::format("cannot create {}: {}", what, describe_errno(error));
  set.fault = SinkFault::Output;
}

void make_streams(const SinkSettings& settings, std::string_view, SinkSet& set) {
  Descriptor folder = settings.folder->create_folder("streams");
  if (!folder.valid()) return fail(set, settings.folder->path() + "/streams", errno);
  set.sinks.push_back(std::make_unique<StreamsSink>(std::move(folder), settings.streams));
}

/// A file of records that can be begun anew; nothing where it cannot be made.
std::optional<RecordWriter> make_records(const SinkSettings& settings, const char* writer,
                                         const char* name, SinkSet& set) {
  RecordFile place(settings.folder->fd(), name);
  Descriptor file = place.create();
  if (!file.valid()) {
    fail(set, fmt::format("{}/{}", settings.folder->path(), name), errno);
    return std::nullopt;
  }
  return RecordWriter(writer, std::move(file), std::move(place), settings.rotate.bytes);
}

void make_flows(const SinkSettings& settings, std::string_view, SinkSet& set) {
  auto output = make_records(settings, "flows", "flows.jsonl", set);
  if (!output) return;
  set.sinks.push_back(std::make_unique<FlowsSink>(std::move(*output), settings.sha256));
}

void make_alerts(const SinkSettings& settings, std::string_view, SinkSet& set) {
  auto output = make_records(settings, "alerts", "alerts.jsonl", set);
  if (!output) return;
  set.sinks.push_back(std::make_unique<AlertsSink>(std::move(*output), settings.scan));
}

void make_evidence(const SinkSettings& settings, SinkSet& set) {
  auto output = make_records(settings, "evidence", "evidence.jsonl", set);
  if (output) set.sinks.push_back(std::make_unique<EvidenceSink>(std::move(*output)));
}

/// "pack", "pack=zstd" or "pack=zstd:LEVEL".
std::string read_compression(std::string_view argument, PackCompression& compression) {
  if (argument.empty()) return "";
  constexpr std::string_view kZstd = "zstd";
  compression = {.codec = PackCodec::Zstd, .level = ZSTD_CLEVEL_DEFAULT};
  const std::string_view level = argument.substr(std::min(kZstd.size(), argument.size()));
  bool good = argument.starts_with(kZstd);
  if (good && !level.empty()) {
    const auto end = level.data() + level.size();
    const auto read = std::from_chars(level.data() + 1, end, compression.level);
    good = level.front() == ':' && read.ec == std::errc{} && read.ptr == end &&
           compression.level >= 1 && compression.level <= ZSTD_maxCLevel();
  }
  if (good) return "";
  return fmt::format("--write pack={}: known are pack, pack=zstd and pack=zstd:LEVEL (1 to {})",
                     argument, ZSTD_maxCLevel());
}

std::string check_pack(std::string_view argument) {
  PackCompression compression;
  return read_compression(argument, compression);
}

void make_pack(const SinkSettings& settings, std::string_view argument, SinkSet& set) {
  PackCompression compression;
  set.error = read_compression(argument, compression);
  if (!set.error.empty()) return;
  Descriptor folder = settings.folder->create_folder(kPackFolder.data());
  if (!folder.valid()) return fail(set, settings.folder->path() + "/pack", errno);
  set.sinks.push_back(std::make_unique<PackSink>(
      std::move(folder), PackSettings{.compression = compression, .pace = settings.pace}));
}

void make_pcap(const SinkSettings& settings, std::string_view, SinkSet& set) {
  Descriptor folder = settings.folder->create_folder("pcap");
  if (!folder.valid()) return fail(set, settings.folder->path() + "/pcap", errno);
  set.sinks.push_back(std::make_unique<PcapSink>(
      std::move(folder),
      ConnectionFiles::Settings{.writer = "pcap", .suffix = std::string(kPcapSuffix)}));
}

void make_app_flow(const SinkSettings& settings, std::string_view, SinkSet& set) {
  std::vector<AppFlowColumn> columns;
  set.error = parse_app_flow_columns(settings.summary_columns, columns);
  if (!set.error.empty()) return;
  Descriptor folder = settings.folder->create_folder("app-flow");
  if (!folder.valid()) return fail(set, settings.folder->path() + "/app-flow", errno);
  set.sinks.push_back(std::make_unique<AppFlowSink>(
      std::move(folder),
      ConnectionFiles::Settings{.writer = "app-flow", .suffix = std::string(kAppFlowSuffix)},
      std::move(columns)));
}

void make_couchdb(const SinkSettings& settings, std::string_view url, SinkSet& set) {
  const std::string path = settings.couchdb_spool.empty()
                               ? settings.folder->path() + "/couchdb-spool"
                               : settings.couchdb_spool;
  std::error_code ignored;  // what is wrong shows where it is opened
  std::filesystem::create_directories(path, ignored);
  Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return fail(set, path, errno);
  CouchdbSettings couchdb;
  couchdb.content_max = settings.couchdb_content;
  couchdb.sha256 = settings.sha256;
  couchdb.pace = settings.pace;
  couchdb.spool.url = url;
  set.sinks.push_back(std::make_unique<CouchdbSink>(std::move(folder), couchdb));
}

/// Rows stand in the order in which the sinks see a message: `streams` says where the bytes
/// went, those after it print that.
struct Row {
  std::string_view name;
  void (*make)(const SinkSettings& settings, std::string_view argument, SinkSet& set);
  /// What is wrong with NAME=ARGUMENT; nullptr: there is no argument.
  std::string (*check)(std::string_view argument) = nullptr;
};
constexpr Row kRows[] = {
    {"streams", make_streams},
    {"pack", make_pack, check_pack},
    {"flows", make_flows},
    {"alerts", make_alerts},
    {"pcap", make_pcap},
    {"app-flow", make_app_flow},
    {"couchdb", make_couchdb, check_couchdb_url}};

/// One word of the list: NAME or NAME=ARGUMENT.
struct Named {
  explicit Named(std::string_view word)
      : name(word.substr(0, word.find('='))),
        argument(word.substr(std::min(name.size() + 1, word.size()))) {}
  std::string_view name;
  std::string_view argument;
};

using Names = std::vector<Named>;

Names split(std::string_view list) {
  Names names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) names.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return names;
}

const Named* find(const Names& names, std::string_view name) {
  const auto at = std::find_if(names.begin(), names.end(),
                               [&](const Named& word) { return word.name == name; });
  return at == names.end() ? nullptr : &*at;
}

/// One sentence where a word of the list is unknown or its argument wrong.
std::string check_name(const Named& word) {
  if (word.name == kNone) return "";
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const Row& one) { return one.name == word.name; });
  if (row == std::end(kRows)) {
    return fmt::format("unknown writer '{}' in --write; known are: {}", word.name, known_sinks());
  }
  if (row->check != nullptr) return row->check(word.argument);
  return word.argument.empty()
             ? ""
             : fmt::format("the writer {} takes no argument such as '{}'", word.name,
                           word.argument);
}

Names writers_of(const SinkSettings& settings, FolderGiven folder) {
  const bool by_default = settings.write.empty() && folder == FolderGiven::Yes;
  return split(by_default ? kDefaultWriters : std::string_view(settings.write));
}

void add_standard_output(const SinkSettings& settings, SinkSet& set) {
  RecordWriter output("stdout", settings.standard_output_fd);
  switch (settings.standard_output) {
    case StandardOutput::Nothing:
      return;
    case StandardOutput::Json:
      set.sinks.push_back(std::make_unique<FlowsSink>(std::move(output), settings.sha256));
      return;
    case StandardOutput::Lines: {
      const LinesSettings lines{
          .print = settings.print,
          .print_bytes = settings.print_bytes,
          .gap_bytes = settings.streams.gap_fill == GapFill::Zero ? GapBytes::Present
                                                                  : GapBytes::Absent,
          .colours = settings.colours};
      std::unique_ptr<StreamStore> store;
      if (settings.folder != nullptr) store = std::make_unique<FileStore>(settings.folder->fd());
      set.sinks.push_back(
          std::make_unique<LinesSink>(std::move(output), lines, std::move(store)));
      return;
    }
  }
}

}  // namespace

std::string check_sinks(const SinkSettings& settings, FolderGiven folder) {
  const Names names = writers_of(settings, folder);
  for (const Named& word : names) {
    if (std::string wrong = check_name(word); !wrong.empty()) return wrong;
  }
  if (find(names, "app-flow") != nullptr) {
    std::vector<AppFlowColumn> columns;
    if (std::string wrong = parse_app_flow_columns(settings.summary_columns, columns);
        !wrong.empty()) {
      return wrong;
    }
  } else if (!settings.summary_columns.empty()) {
    return "--summary-columns are those of the writer app-flow: add --write app-flow";
  }
  const bool evidence = settings.evidence == KeepEvidence::Yes;
  if (evidence && (folder == FolderGiven::No || find(names, kNone) != nullptr)) {
    return "--overlap-evidence writes a file: it needs -o DIR, and no --write none";
  }
  if (find(names, kNone) != nullptr) {
    return names.size() == 1 ? "" : "--write none goes with no other writer";
  }
  if (!names.empty() && folder == FolderGiven::No) {
    return fmt::format("--write {} needs an output folder: add -o DIR", names.front().name);
  }
  if (settings.print != PrintMode::None && settings.print_bytes == 0 &&
      find(names, "streams") == nullptr) {
    return "--print-bytes 0 prints from the stream files: it needs -o DIR and the streams writer";
  }
  return "";
}

SinkSet make_sinks(const SinkSettings& settings) {
  SinkSet set;
  const auto folder = settings.folder != nullptr ? FolderGiven::Yes : FolderGiven::No;
  set.error = check_sinks(settings, folder);
  if (!set.error.empty()) return set;
  const Names names = writers_of(settings, folder);
  set.none = find(names, kNone) != nullptr;
  if (set.none) {
    set.sinks.push_back(std::make_unique<CountingSink>());
    return set;
  }
  for (const Row& row : kRows) {
    const Named* word = find(names, row.name);
    if (word == nullptr) continue;
    row.make(settings, word->argument, set);
    if (!set.error.empty()) return set;
  }
  if (settings.evidence == KeepEvidence::Yes) make_evidence(settings, set);
  if (!set.error.empty()) return set;
  add_standard_output(settings, set);
  return set;
}

std::string known_sinks() {
  std::vector<std::string_view> names{kNone};
  for (const Row& row : kRows) names.push_back(row.name);
  std::sort(names.begin(), names.end());
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace flowloom
