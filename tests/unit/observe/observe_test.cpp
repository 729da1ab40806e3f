// What a moment of a run looks like to Prometheus and in stats.jsonl: every count of the ledger
// under its name, nothing twice. The expectations are the snapshot that went in.
#include "observe/live_status.hpp"
#include "observe/metrics.hpp"
#include "observe/metrics_server.hpp"
#include "observe/status_line.hpp"
#include "observe/status_log.hpp"
#include "observe/status_record.hpp"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>
#include <rapidjson/document.h>

#include <fcntl.h>

#include <map>
#include <set>
#include <sstream>

#include "support/temp_folder.hpp"

namespace flowloom {
namespace {

using namespace std::chrono_literals;

/// Every count has a value of its own.
LiveStatus made_status() {
  LiveStatus status;
  std::uint64_t next = 1000;
  status.ledger.packets_received = ++next;
  status.ledger.packets_missed = ++next;
  for (std::uint64_t& verdict : status.ledger.verdicts) verdict = ++next;
  status.ledger.payload_seen = ++next;
  for (std::uint64_t& fate : status.ledger.fates) fate = ++next;
  status.ledger.datagrams = {{"reassembled", ++next}, {"expired", ++next}};
  status.ledger.connections_created = ++next;
  for (std::uint64_t& closed : status.ledger.connections_closed) closed = ++next;
  status.ledger.limits = {"reorder-memory"};
  WriterStatus writer;
  writer.name = "flows";
  writer.records = ++next;
  writer.bytes = ++next;
  status.ledger.writers.push_back(writer);
  status.connections_open = ++next;
  status.at = std::chrono::steady_clock::time_point{100s};
  status.elapsed = 7s;
  ThreadStatus thread{"worker0", {}, std::chrono::steady_clock::time_point{98s}};
  thread.report.ledger.received = ++next;
  thread.report.idle = 2500ms;
  thread.report.level(Resource::Connections) = {++next, 5000};
  status.threads.push_back(thread);
  return status;
}

/// "name{labels}" -> value, of the text that is served.
std::map<std::string, std::string> served(const LiveStatus& status) {
  std::istringstream text(
      prometheus::TextSerializer().Serialize(make_metrics(status, {.version = "9.9"})));
  std::map<std::string, std::string> values;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with('#')) continue;
    const std::size_t space = line.rfind(' ');
    EXPECT_TRUE(values.emplace(line.substr(0, space), line.substr(space + 1)).second) << line;
  }
  return values;
}

TEST(Metrics, EveryCountUnderItsName) {
  const LiveStatus status = made_status();
  auto values = served(status);
  EXPECT_EQ("1001", values["flowloom_packets_received_total"]);
  EXPECT_EQ("1002", values["flowloom_packets_missed_total"]);
  for (std::size_t i = 0; i < kVerdictCount; ++i) {
    const std::string name = "flowloom_packets_total{verdict=\"" + std::string(kVerdictNames[i]);
    EXPECT_EQ(std::to_string(status.ledger.verdicts[i]), values[name + "\"}"]) << name;
  }
  for (std::size_t i = 0; i < kFateCount; ++i) {
    const std::string name = "flowloom_payload_bytes_total{fate=\"" + std::string(kFateNames[i]);
    EXPECT_EQ(std::to_string(status.ledger.fates[i]), values[name + "\"}"]) << name;
  }
  for (std::size_t i = 0; i < kCloseReasonNames.size(); ++i) {
    const std::string name =
        "flowloom_connections_closed_total{reason=\"" + std::string(kCloseReasonNames[i]);
    EXPECT_EQ(std::to_string(status.ledger.connections_closed[i]), values[name + "\"}"]) << name;
  }
  EXPECT_EQ("1", values["flowloom_limit_reached{limit=\"reorder-memory\"}"]);
  EXPECT_EQ("0", values["flowloom_limit_reached{limit=\"max-flows\"}"]);
  EXPECT_EQ("1", values["flowloom_build_info{version=\"9.9\"}"]);
  EXPECT_EQ("7", values["flowloom_uptime_seconds"]);
  EXPECT_EQ("2.5", values["flowloom_thread_idle_seconds_total{thread=\"worker0\"}"]);
  EXPECT_EQ("2", values["flowloom_thread_silent_seconds{thread=\"worker0\"}"]);
  EXPECT_EQ("5000",
            values["flowloom_resource_capacity{thread=\"worker0\",resource=\"connections\"}"]);
  EXPECT_EQ(std::to_string(status.ledger.writers[0].records),
            values["flowloom_writer_records_total{writer=\"flows\"}"]);
}

TEST(Metrics, CountersKeepTheirDigits) {
  LiveStatus status;
  status.ledger.payload_seen = 1'234'567'890'123'456;
  auto values = served(status);
  EXPECT_EQ(1'234'567'890'123'456.0, std::stod(values["flowloom_payload_seen_bytes_total"]));
}

TEST(Metrics, NamesAreUniqueAndHaveAHelp) {
  std::set<std::string> names;
  for (const auto& family : make_metrics(made_status(), {.version = "1"})) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name;
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_EQ(family.type == prometheus::MetricType::Counter, family.name.ends_with("_total"));
  }
  EXPECT_GT(names.size(), 20u);
}

TEST(MetricsAddress, LoopbackOnly) {
  EXPECT_EQ("127.0.0.1:9464", parse_metrics_address("9464"));
  EXPECT_EQ("127.0.0.1:0", parse_metrics_address("0"));
  EXPECT_EQ("127.0.0.1:9464", parse_metrics_address("localhost:9464"));
  EXPECT_EQ("127.8.9.10:1", parse_metrics_address("127.8.9.10:1"));
  for (const std::string_view text :
       {"", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "0.0.0.0:80",
        "192.168.0.1:80", "example.org:80", "[::1]:80", "::1:80", "80 ", "-1", "127.0.0.1:80:80"}) {
    EXPECT_FALSE(parse_metrics_address(text)) << text;
  }
}

TEST(StatusRecord, IsOneObjectOnOneLine) {
  const LiveStatus status = made_status();
  const Timestamp now = from_nanoseconds(1'500'000'000'123'456'789);
  const std::string line = format_status_record(status, now);
  ASSERT_EQ(line.find('\n'), line.size() - 1);
  rapidjson::Document json;
  json.Parse(line.c_str());
  ASSERT_FALSE(json.HasParseError()) << line;
  EXPECT_STREQ("2017-07-14T02:40:00.123456789Z", json["time"].GetString());
  EXPECT_EQ(7.0, json["elapsed"].GetDouble());
  EXPECT_EQ(1001u, json["packets"]["received"].GetUint64());
  EXPECT_EQ(kVerdictCount, json["packets"]["verdicts"].MemberCount());
  EXPECT_EQ(kFateCount, json["payload_bytes"]["fates"].MemberCount());
  EXPECT_EQ(status.connections_open, json["open"].GetUint64());
  ASSERT_EQ(1u, json["threads"].Size());
  const rapidjson::Value& thread = json["threads"][0];
  EXPECT_STREQ("worker0", thread["name"].GetString());
  EXPECT_EQ(2.5, thread["idle"].GetDouble());
  EXPECT_EQ(2.0, thread["silent"].GetDouble());
  EXPECT_EQ(1u, thread["levels"].MemberCount());
  EXPECT_EQ(5000u, thread["levels"]["connections"]["capacity"].GetUint64());
}

TEST(StatusLine, RatesLoadsAndWhatIsFull) {
  StatusLine line;
  LiveStatus status;
  status.threads.resize(2);
  EXPECT_EQ("0 pps  0 bit/s  0 connections, 0 open  missed 0  dropped 0", line.text(status));
  status.elapsed = 2s;  // from here on there is something to compare with
  EXPECT_EQ("0 pps  0 bit/s  0 connections, 0 open  missed 0  dropped 0", line.text(status));
  status.elapsed = 4s;
  status.ledger.packets_received = 25'000;
  status.ledger.payload_seen = 1'000'000;
  status.ledger.connections_created = 7;
  status.ledger.packets_missed = 3;
  status.ledger.shed.records = 2;
  status.ledger.writers.resize(2);
  status.ledger.writers[1].dropped = 4;
  status.connections_open = 5;
  status.threads[0].report.idle = 500ms;
  status.threads[1].report.idle = 3s;  // asked a little later
  status.threads[1].report.level(Resource::Connections) = {40, 100};
  EXPECT_EQ("12.5 kpps  4.00 Mbit/s  7 connections, 5 open  missed 3  dropped 6  load 75/0 %",
            line.text(status));
  status.threads[0].report.level(Resource::ExportBytes) = {83, 100};
  EXPECT_EQ("12.5 kpps  4.00 Mbit/s  7 connections, 5 open  missed 3  dropped 6  load 75/0 %"
            "  export_bytes 83 %",
            line.text(status));
}

TEST(StatusLog, WritesWhenItIsDueAndNeverToCatchUp) {
  const test::TempFolder folder;
  Descriptor file(::open((folder / "log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  StatusLog log(RecordWriter("stats", std::move(file)), 2s);
  LiveStatus status;
  for (const auto elapsed : {0ms, 1999ms, 2000ms, 2100ms, 3999ms, 4000ms, 19'500ms, 19'999ms,
                             20'000ms, 21'000ms}) {
    status.elapsed = elapsed;
    log.look(status);
  }
  log.finish(status);
  std::istringstream text(test::read_file(folder / "log"));
  std::vector<double> times;
  for (std::string line; std::getline(text, line);) {
    rapidjson::Document json;
    json.Parse(line.c_str());
    times.push_back(json["elapsed"].GetDouble());
  }
  EXPECT_EQ((std::vector<double>{2, 4, 19.5, 20, 21}), times);
  EXPECT_EQ(5u, log.status().records);
}

}  // namespace
}  // namespace flowloom
