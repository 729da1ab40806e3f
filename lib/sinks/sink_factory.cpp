// See sink_factory.hpp.
#include "sinks/sink_factory.hpp"

#include "sinks/alerts_sink.hpp"
#include "sinks/counting_sink.hpp"
#include "sinks/evidence_sink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace flowloom {
namespace {

constexpr std::string_view kNone = "none";
constexpr std::string_view kDefaultWriters = "flows,streams";

void fail(SinkSet& set, std::string_view what, int error) {
  set.error = fmt::format("cannot create {}: {}", what, describe_errno(error));
  set.fault = SinkFault::Output;
}

void make_streams(const SinkSettings& settings, SinkSet& set) {
  Descriptor folder = settings.folder->create_folder("streams");
  if (!folder.valid()) return fail(set, settings.folder->path() + "/streams", errno);
  set.sinks.push_back(std::make_unique<StreamsSink>(std::move(folder), settings.streams));
}

void make_flows(const SinkSettings& settings, SinkSet& set) {
  Descriptor file = settings.folder->create_file("flows.jsonl");
  if (!file.valid()) return fail(set, settings.folder->path() + "/flows.jsonl", errno);
  set.sinks.push_back(
      std::make_unique<FlowsSink>(RecordWriter("flows", std::move(file)), settings.sha256));
}

void make_alerts(const SinkSettings& settings, SinkSet& set) {
  Descriptor file = settings.folder->create_file("alerts.jsonl");
  if (!file.valid()) return fail(set, settings.folder->path() + "/alerts.jsonl", errno);
  set.sinks.push_back(
      std::make_unique<AlertsSink>(RecordWriter("alerts", std::move(file)), settings.scan));
}

void make_evidence(const SinkSettings& settings, SinkSet& set) {
  Descriptor file = settings.folder->create_file("evidence.jsonl");
  if (!file.valid()) return fail(set, settings.folder->path() + "/evidence.jsonl", errno);
  set.sinks.push_back(std::make_unique<EvidenceSink>(RecordWriter("evidence", std::move(file))));
}

/// Rows stand in the order in which the sinks see a message: `streams` says where the bytes
/// went, those after it print that.
struct Row {
  std::string_view name;
  void (*make)(const SinkSettings& settings, SinkSet& set);
};
constexpr Row kRows[] = {{"streams", make_streams}, {"flows", make_flows}, {"alerts", make_alerts}};

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) names.push_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return names;
}

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_known(std::string_view name) {
  return name == kNone || std::any_of(std::begin(kRows), std::end(kRows),
                                      [&](const Row& row) { return row.name == name; });
}

std::vector<std::string_view> writers_of(const SinkSettings& settings, FolderGiven folder) {
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
          .out_folder = settings.folder != nullptr ? settings.folder->fd() : -1};
      set.sinks.push_back(std::make_unique<LinesSink>(std::move(output), lines));
      return;
    }
  }
}

}  // namespace

std::string check_sinks(const SinkSettings& settings, FolderGiven folder) {
  const std::vector<std::string_view> names = writers_of(settings, folder);
  for (const std::string_view name : names) {
    if (!is_known(name)) {
      return fmt::format("unknown writer '{}' in --write; known are: {}", name, known_sinks());
    }
  }
  const bool evidence = settings.evidence == KeepEvidence::Yes;
  if (evidence && (folder == FolderGiven::No || contains(names, kNone))) {
    return "--overlap-evidence writes a file: it needs -o DIR, and no --write none";
  }
  if (contains(names, kNone)) {
    return names.size() == 1 ? "" : "--write none goes with no other writer";
  }
  if (!names.empty() && folder == FolderGiven::No) {
    return fmt::format("--write {} needs an output folder: add -o DIR", names.front());
  }
  if (settings.print != PrintMode::None && settings.print_bytes == 0 &&
      !contains(names, "streams")) {
    return "--print-bytes 0 prints from the stream files: it needs -o DIR and the streams writer";
  }
  return "";
}

SinkSet make_sinks(const SinkSettings& settings) {
  SinkSet set;
  const auto folder = settings.folder != nullptr ? FolderGiven::Yes : FolderGiven::No;
  set.error = check_sinks(settings, folder);
  if (!set.error.empty()) return set;
  const std::vector<std::string_view> names = writers_of(settings, folder);
  set.none = contains(names, kNone);
  if (set.none) {
    set.sinks.push_back(std::make_unique<CountingSink>());
    return set;
  }
  for (const Row& row : kRows) {
    if (contains(names, row.name)) row.make(settings, set);
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
