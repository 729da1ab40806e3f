#include "bench_report.hpp"

#include <fmt/format.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace flowloom {

namespace {

/// What a frame occupies on the wire beyond its bytes in memory: FCS, preamble, gap (IEEE 802.3).
constexpr std::uint64_t kWireOverheadBytes = 4 + 8 + 12;
constexpr double kBitsPerByte = 8;

struct Sums {
  Spent engine;
  Spent floor;
  std::array<Spent, kPassCount> stages;
  std::optional<CopyFigures> copy;
  std::uint64_t payload_bytes = 0;
  std::uint64_t delivered_bytes = 0;
  std::uint64_t objects_left = 0;
  std::uint64_t expected_bytes = 0;
  std::uint64_t connections = 0;
  std::uint64_t disturbed_passes = 0;
  std::size_t reserved_bytes = 0;
  bool balanced = true;
  // Rates add up over the workers, each over its own time.
  double seconds = 0;
  double packets_per_second = 0;
  double payload_bytes_per_second = 0;
  double wire_bytes_per_second = 0;
  double connections_per_second = 0;
};

double seconds_of(const Spent& spent) {
  return std::max(std::chrono::duration<double>(spent.wall).count(), 1e-9);
}

Sums sums_of(std::span<const BenchFigures> workers) {
  Sums sums;
  for (const BenchFigures& w : workers) {
    const double seconds = seconds_of(w.engine);
    const std::uint64_t wire = w.frame_bytes + w.engine.packets * kWireOverheadBytes;
    sums.engine += w.engine;
    sums.floor += w.floor;
    for (std::size_t i = 0; i < kPassCount; ++i) sums.stages[i] += w.stages[i];
    if (w.copy) sums.copy = sums.copy.value_or(CopyFigures{}) += *w.copy;
    sums.payload_bytes += w.payload_bytes;
    sums.delivered_bytes += w.delivered_bytes;
    sums.objects_left += w.objects_left;
    sums.expected_bytes += w.expected_bytes;
    sums.connections += w.connections;
    sums.disturbed_passes += w.disturbed_passes;
    sums.reserved_bytes += w.reserved_bytes;
    sums.balanced = sums.balanced && w.balanced;
    sums.seconds = std::max(sums.seconds, seconds);
    sums.packets_per_second += static_cast<double>(w.engine.packets) / seconds;
    sums.payload_bytes_per_second += static_cast<double>(w.payload_bytes) / seconds;
    sums.wire_bytes_per_second += static_cast<double>(wire) / seconds;
    sums.connections_per_second += static_cast<double>(w.connections) / seconds;
  }
  return sums;
}

struct Stage {
  std::string_view name;
  double ns;
};

/// Each pass does one thing more than the one before; the last stage is the rest of the whole.
std::vector<Stage> stages_of(const Sums& sums) {
  const auto ns = [&](Pass pass) {
    return sums.stages[static_cast<std::size_t>(pass)].wall_ns_per_packet();
  };
  if (sums.stages[0].packets == 0) return {}; // too short a run
  return {{"receive", ns(Pass::Receive)},
          {"parse", ns(Pass::Parse) - ns(Pass::Receive)},
          {"checksum", ns(Pass::Checksum) - ns(Pass::Parse)},
          {"lookup", ns(Pass::Lookup) - ns(Pass::Checksum)},
          {"track", sums.engine.wall_ns_per_packet() - ns(Pass::Lookup)}};
}

/// A field of the report: name and value, or name and a list of stages.
struct Field {
  std::string_view name;
  std::variant<std::string, std::uint64_t, double, bool, std::vector<Stage>> value;
};

/// What copying to a writer adds to the report.
void add_fields(const CopyFigures& copy, double engine_ns, std::vector<Field>& fields) {
  const double floor = copy.floor.wall_ns_per_packet();
  fields.emplace_back("copy_floor_ns_per_packet", floor);
  fields.emplace_back("copy_floor_ratio", floor > 0 ? engine_ns / floor : 0);
  fields.emplace_back("writer_cpu_ns_per_packet", copy.writer.cpu_ns_per_packet());
  fields.emplace_back("writer_waits", copy.waits);
  fields.emplace_back("export_bytes_left", copy.memory_left);
}

std::vector<Field> fields_of(const BenchRequest& request, std::span<const BenchFigures> workers) {
  constexpr double kMega = 1e6;
  constexpr double kGiga = 1e9;
  const Sums sums = sums_of(workers);
  const double floor = sums.floor.wall_ns_per_packet();
  std::vector<Field> fields = {
      {"traffic", request.traffic},
      {"source", request.source},
      {"consume", request.consume},
      {"flows", request.flows},
      {"workers", std::uint64_t{workers.size()}},
      {"packets", sums.engine.packets},
      {"payload_bytes", sums.payload_bytes},
      {"connections", sums.connections},
      {"seconds", sums.seconds},
      {"mpps", sums.packets_per_second / kMega},
      {"gbps", sums.payload_bytes_per_second * kBitsPerByte / kGiga},
      {"wire_gbps", sums.wire_bytes_per_second * kBitsPerByte / kGiga},
      {"connections_per_second", sums.connections_per_second},
      {"ns_per_packet", sums.engine.wall_ns_per_packet()},
      {"cpu_ns_per_packet", sums.engine.cpu_ns_per_packet()}};
  if (sums.engine.cycles > 0) {
    fields.emplace_back("cycles_per_packet", static_cast<double>(sums.engine.cycles) /
                                                 static_cast<double>(sums.engine.packets));
  }
  fields.emplace_back("floor_ns_per_packet", floor);
  fields.emplace_back("floor_ratio", floor > 0 ? sums.engine.wall_ns_per_packet() / floor : 0);
  if (sums.copy) add_fields(*sums.copy, sums.engine.wall_ns_per_packet(), fields);
  fields.emplace_back("stages", stages_of(sums));
  fields.emplace_back("disturbed_passes", sums.disturbed_passes);
  fields.emplace_back("reserved_bytes", std::uint64_t{sums.reserved_bytes});
  fields.emplace_back("ledger_balanced", sums.balanced);
  fields.emplace_back("delivered_bytes", sums.delivered_bytes);
  fields.emplace_back("expected_bytes", sums.expected_bytes);
  fields.emplace_back("objects_left", sums.objects_left);
  return fields;
}

using Json = rapidjson::PrettyWriter<rapidjson::StringBuffer>;

void write_key(Json& json, std::string_view name) {
  json.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
}

struct JsonValue {
  Json& json;
  void operator()(const std::string& s) const {
    json.String(s.data(), static_cast<rapidjson::SizeType>(s.size()));
  }
  void operator()(std::uint64_t n) const { json.Uint64(n); }
  void operator()(double d) const { json.Double(d); }
  void operator()(bool b) const { json.Bool(b); }
  void operator()(const std::vector<Stage>& stages) const {
    json.StartObject();
    for (const Stage& stage : stages) {
      write_key(json, stage.name);
      json.Double(stage.ns);
    }
    json.EndObject();
  }
};

void print_json(const std::vector<Field>& fields) {
  constexpr int kDecimals = 3;
  rapidjson::StringBuffer buffer;
  Json json(buffer);
  json.SetMaxDecimalPlaces(kDecimals);
  json.StartObject();
  for (const Field& field : fields) {
    write_key(json, field.name);
    std::visit(JsonValue{json}, field.value);
  }
  json.EndObject();
  fmt::print("{}\n", buffer.GetString());
}

void print_row(std::string_view name, std::string_view value) {
  fmt::print("{:<24}{:>16}\n", name, value);
}

struct TableValue {
  std::string_view name;
  void operator()(const std::string& s) const { print_row(name, s); }
  void operator()(std::uint64_t n) const { print_row(name, fmt::format("{}", n)); }
  void operator()(double d) const { print_row(name, fmt::format("{:.2f}", d)); }
  void operator()(bool b) const { print_row(name, b ? "yes" : "no"); }
  void operator()(const std::vector<Stage>& stages) const {
    for (const Stage& stage : stages) {
      print_row(fmt::format("  {} ns", stage.name), fmt::format("{:.2f}", stage.ns));
    }
  }
};

}  // namespace

bool is_exact(std::span<const BenchFigures> workers) {
  return std::ranges::all_of(workers, [](const BenchFigures& w) {
    return w.balanced && w.tracked_bytes == w.expected_bytes &&
           w.delivered_bytes == w.expected_bytes && w.objects_left == 0 &&
           (!w.copy || w.copy->memory_left == 0);
  });
}

void print_report(const BenchRequest& request, std::span<const BenchFigures> workers,
                  BenchFormat format) {
  const std::vector<Field> fields = fields_of(request, workers);
  if (format == BenchFormat::Json) return print_json(fields);
  for (const Field& field : fields) std::visit(TableValue{field.name}, field.value);
}

}  // namespace flowloom
