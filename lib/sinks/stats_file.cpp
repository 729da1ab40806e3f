// See stats_file.hpp.
#include "sinks/stats_file.hpp"

#include "sinks/descriptor.hpp"
#include "sinks/json_memory.hpp"
#include "sinks/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/writer.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

namespace flowloom {
namespace {

using PrettyJson =
    rapidjson::PrettyWriter<JsonBuffer, rapidjson::UTF8<>, rapidjson::UTF8<>, JsonMemory>;
using PlainJson = rapidjson::Writer<JsonBuffer, rapidjson::UTF8<>, rapidjson::UTF8<>, JsonMemory>;

template <class Json>
void key(Json& json, std::string_view name) {
  json.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
}

template <class Json>
void text(Json& json, std::string_view value) {
  json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
}

template <class Json>
void number(Json& json, std::string_view name, std::uint64_t value) {
  key(json, name);
  json.Uint64(value);
}

/// An object of every name with its count.
template <class Json, class Names, class Counts>
void counts(Json& json, std::string_view name, const Names& names, const Counts& values) {
  key(json, name);
  json.StartObject();
  for (std::size_t i = 0; i < names.size(); ++i) number(json, names[i], values[i]);
  json.EndObject();
}

template <class Json>
void write_connections(Json& json, const LedgerSnapshot& ledger) {
  key(json, "connections");
  json.StartObject();
  number(json, "created", ledger.connections_created);
  key(json, "closed");
  json.StartObject();
  for (std::size_t i = 0; i < kCloseReasonNames.size(); ++i) {
    const std::uint64_t count = ledger.connections_closed[i];
    if (static_cast<CloseReason>(i) == CloseReason::Open && count == 0) continue;
    number(json, kCloseReasonNames[i], count);
  }
  json.EndObject();
  if (ledger.connections_closed[static_cast<std::size_t>(CloseReason::Evicted)] > 0) {
    counts(json, "evicted", kEvictionClassNames, ledger.evicted);
  }
  if (ledger.hurried > 0) number(json, "hurried", ledger.hurried);
  json.EndObject();
}

template <class Json>
void write_writers(Json& json, const LedgerSnapshot& ledger) {
  key(json, "writers");
  json.StartObject();
  for (const WriterStatus& writer : ledger.writers) {
    key(json, writer.name);
    json.StartObject();
    number(json, "records", writer.records);
    number(json, "dropped", writer.dropped);
    number(json, "bytes", writer.bytes);
    if (writer.dropped_bytes > 0) number(json, "dropped_bytes", writer.dropped_bytes);
    if (writer.rotations > 0) number(json, "rotations", writer.rotations);
    if (!writer.first_error.empty()) {
      key(json, "error");
      text(json, writer.first_error);
    }
    json.EndObject();
  }
  json.EndObject();
}

template <class Json>
void write_interfaces(Json& json, const LedgerSnapshot& ledger) {
  if (ledger.interfaces.empty()) return;
  key(json, "interfaces");
  json.StartObject();
  for (const InterfaceStatus& interface : ledger.interfaces) {
    key(json, interface.name);
    json.StartObject();
    number(json, "received", interface.received);
    number(json, "missed", interface.missed);
    json.EndObject();
  }
  json.EndObject();
}

template <class Json>
void write_shed(Json& json, const LedgerSnapshot& ledger) {
  if (!ledger.shed.any()) return;
  key(json, "shed");
  json.StartObject();
  number(json, "bytes", ledger.shed.bytes);
  number(json, "records", ledger.shed.records);
  number(json, "packets", ledger.shed.packets);
  number(json, "probes", ledger.shed.probes);
  json.EndObject();
}

template <class Json>
void write_members(Json& json, const LedgerSnapshot& ledger) {
  key(json, "packets");
  json.StartObject();
  number(json, "received", ledger.packets_received);
  number(json, "missed", ledger.packets_missed);
  number(json, "handed_over", ledger.packets_handed_over);
  write_interfaces(json, ledger);
  counts(json, "verdicts", kVerdictNames, ledger.verdicts);
  number(json, "bad_timestamps", ledger.bad_timestamps);
  json.EndObject();
  key(json, "payload_bytes");
  json.StartObject();
  number(json, "seen", ledger.payload_seen);
  counts(json, "fates", kFateNames, ledger.fates);
  json.EndObject();
  key(json, "datagrams");
  json.StartObject();
  for (const NamedCount& entry : ledger.datagrams) number(json, entry.name, entry.count);
  json.EndObject();
  key(json, "limits");
  json.StartArray();
  for (const std::string& limit : ledger.limits) text(json, limit);
  json.EndArray();
  write_shed(json, ledger);
  write_connections(json, ledger);
  write_writers(json, ledger);
}

bool is_special(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
}

std::string failed(const std::string& path, int error) {
  return fmt::format("cannot write {}: {}", path, describe_errno(error));
}

}  // namespace

std::string format_stats(const LedgerSnapshot& ledger) {
  JsonBuffer buffer;
  PrettyJson json(buffer);
  json.SetIndent(' ', 1);
  json.SetFormatOptions(rapidjson::kFormatSingleLineArray);
  json.StartObject();
  write_members(json, ledger);
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + '\n';
}

std::string format_stats_members(const LedgerSnapshot& ledger) {
  JsonBuffer buffer;
  PlainJson json(buffer);
  json.StartObject();
  write_members(json, ledger);
  json.EndObject();
  return std::string(buffer.GetString() + 1, buffer.GetSize() - 2);
}

std::string write_stats(const LedgerSnapshot& ledger, const std::string& path) {
  const std::string text = format_stats(ledger);
  if (path == "-") {
    const WriteResult result = write_fully(STDOUT_FILENO, text.data(), text.size());
    return result.error == 0 ? "" : failed("standard output", result.error);
  }
  constexpr mode_t kFileMode = 0666;
  const bool direct = is_special(path);
  const std::string written = direct ? path : path + ".part";
  Descriptor file(::open(written.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
  if (!file.valid()) return failed(path, errno);
  int error = write_fully(file.get(), text.data(), text.size()).error;
  if (const int close_error = file.close(); error == 0) error = close_error;
  if (error == 0 && !direct && ::rename(written.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0 && !direct) ::unlink(written.c_str());
  return error == 0 ? "" : failed(path, error);
}

std::string describe_loss(const WriterStatus& writer) {
  if (writer.first_error.empty() && writer.dropped == 0) return "";
  return fmt::format("the writer {} failed: {}; {} records ({} bytes) are lost", writer.name,
                     writer.first_error, writer.dropped, writer.dropped_bytes);
}

}  // namespace flowloom
