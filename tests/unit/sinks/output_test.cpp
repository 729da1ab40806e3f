// The output folder, stats.json and the factory: what users meet first when something is wrong.
#include "sinks/sink_factory.hpp"

#include "sink_test_support.hpp"
#include "sinks/stats_file.hpp"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

namespace flowloom {
namespace {

using test::read_file;
using test::TempFolder;
using test::write_file;

TEST(OutputFolderTest, IsMadeWithItsParents) {
  TempFolder temp;
  const OutputFolder folder(temp / "a/b/c", ExistingFiles::Refuse);
  EXPECT_TRUE(folder.valid()) << folder.error();
  EXPECT_TRUE(std::filesystem::is_directory(temp / "a/b/c"));
}

TEST(OutputFolderTest, RefusesANonEmptyOne) {
  TempFolder temp;
  write_file(temp / "precious", "data");
  const OutputFolder folder(temp.path(), ExistingFiles::Refuse);
  EXPECT_FALSE(folder.valid());
  EXPECT_NE(std::string::npos, folder.error().find("is not empty"));
  EXPECT_NE(std::string::npos, folder.error().find(temp.path()));
  EXPECT_EQ(std::string::npos, folder.error().find('\n'));
}

TEST(OutputFolderTest, ForceReplacesAnEarlierRunAndNothingElse) {
  TempFolder temp;
  const std::string stream = "10.1.1.1.80-10.1.1.2.99-C123456789012345678";
  std::filesystem::create_directories(temp / "streams/ab");
  for (const std::string name : {"flows.jsonl", "stats.json", "precious", "streams/notes.txt"}) {
    write_file(temp / name, "old");
  }
  for (const std::string folder : {"streams/", "streams/ab/"}) {
    write_file(temp / folder + stream, "old");
    write_file(temp / folder + stream + ".part", "old");
  }
  const OutputFolder folder(temp.path(), ExistingFiles::Replace);
  EXPECT_TRUE(folder.valid()) << folder.error();
  EXPECT_EQ((std::vector<std::string>{"precious", "streams/notes.txt"}),
            test::files_below(temp.path()));
  EXPECT_FALSE(std::filesystem::exists(temp / "streams/ab"));
}

TEST(OutputFolderTest, AFileIsNoFolder) {
  TempFolder temp;
  write_file(temp / "file", "");
  for (const std::string& path : {temp / "file", temp / "file/below"}) {
    const OutputFolder folder(path, ExistingFiles::Replace);
    EXPECT_FALSE(folder.valid());
    EXPECT_NE(std::string::npos, folder.error().find(path)) << folder.error();
    EXPECT_NE(std::string::npos, folder.error().find("ot a directory")) << folder.error();
  }
}

TEST(OutputFolderTest, SystemFolderThatNobodyMayWrite) {
  const OutputFolder folder("/proc/flowloom", ExistingFiles::Refuse);
  EXPECT_FALSE(folder.valid());
  EXPECT_FALSE(folder.error().empty());
}

LedgerSnapshot example_ledger() {
  LedgerSnapshot ledger;
  ledger.packets_received = 10;
  ledger.packets_missed = 2;
  ledger.packets_handed_over = 9;
  ledger.verdicts[static_cast<std::size_t>(Verdict::Tcp)] = 9;
  ledger.verdicts[static_cast<std::size_t>(Verdict::Udp)] = 1;
  ledger.payload_seen = 77;
  ledger.fates[static_cast<std::size_t>(Fate::Delivered)] = 77;
  ledger.datagrams = {{"reassembled", 3}, {"expired", 0}};
  ledger.limits = {"max-flows"};
  ledger.connections_created = 4;
  ledger.connections_closed[static_cast<std::size_t>(CloseReason::Eof)] = 4;
  ledger.bad_timestamps = 1;
  WriterStatus writer;
  writer.name = "flows";
  writer.records = 3;
  writer.dropped = 1;
  writer.first_error = "No \"space\"\n";
  ledger.writers.push_back(writer);
  return ledger;
}

TEST(StatsTest, HasTheKeysOfTheContractInOrder) {
  rapidjson::Document json;
  json.Parse(format_stats(example_ledger()).c_str());
  ASSERT_FALSE(json.HasParseError());
  std::vector<std::string> keys;
  for (const auto& member : json.GetObject()) keys.emplace_back(member.name.GetString());
  EXPECT_EQ((std::vector<std::string>{"packets", "payload_bytes", "datagrams", "limits",
                                      "connections", "writers"}),
            keys);
  EXPECT_EQ(10u, json["packets"]["received"].GetUint64());
  EXPECT_EQ(2u, json["packets"]["missed"].GetUint64());
  EXPECT_EQ(9u, json["packets"]["handed_over"].GetUint64());
  EXPECT_EQ(kVerdictCount, json["packets"]["verdicts"].MemberCount());
  EXPECT_EQ(9u, json["packets"]["verdicts"]["tcp"].GetUint64());
  EXPECT_EQ(77u, json["payload_bytes"]["fates"]["delivered"].GetUint64());
  EXPECT_EQ(3u, json["datagrams"]["reassembled"].GetUint64());
  EXPECT_STREQ("max-flows", json["limits"][0].GetString());
  EXPECT_EQ(4u, json["connections"]["closed"]["eof"].GetUint64());
  EXPECT_FALSE(json["connections"]["closed"].HasMember("open"));
  EXPECT_EQ(1u, json["writers"]["flows"]["dropped"].GetUint64());
  EXPECT_STREQ("No \"space\"\n", json["writers"]["flows"]["error"].GetString());
}

TEST(StatsTest, WhatOnlyLiveRunsHaveIsAbsentElsewhere) {
  LedgerSnapshot ledger = example_ledger();
  rapidjson::Document offline;
  offline.Parse(format_stats(ledger).c_str());
  EXPECT_FALSE(offline["packets"].HasMember("interfaces"));
  EXPECT_FALSE(offline.HasMember("shed"));

  ledger.interfaces = {{"tap0", 7, 0}, {"tap1", 3, 2}};
  ledger.shed = {.bytes = 11, .records = 12, .packets = 13, .probes = 14};
  rapidjson::Document live;
  live.Parse(format_stats(ledger).c_str());
  ASSERT_FALSE(live.HasParseError());
  EXPECT_EQ(7u, live["packets"]["interfaces"]["tap0"]["received"].GetUint64());
  EXPECT_EQ(2u, live["packets"]["interfaces"]["tap1"]["missed"].GetUint64());
  EXPECT_EQ(11u, live["shed"]["bytes"].GetUint64());
  EXPECT_EQ(12u, live["shed"]["records"].GetUint64());
  EXPECT_EQ(13u, live["shed"]["packets"].GetUint64());
  EXPECT_EQ(14u, live["shed"]["probes"].GetUint64());
}

TEST(StatsTest, FileAppearsWhole) {
  TempFolder temp;
  write_file(temp / "stats.json", "old");
  EXPECT_EQ("", write_stats(example_ledger(), temp / "stats.json"));
  EXPECT_EQ(format_stats(example_ledger()), read_file(temp / "stats.json"));
  EXPECT_EQ(1u, test::files_below(temp.path()).size());
}

TEST(StatsTest, FailureIsOneSentenceAndLeavesTheOldFile) {
  TempFolder temp;
  write_file(temp / "stats.json", "old");
  {
    test::FileSizeLimit limit(10);
    const std::string error = write_stats(example_ledger(), temp / "stats.json");
    EXPECT_EQ(0u, error.find("cannot write " + temp / "stats.json"));
  }
  EXPECT_EQ("old", read_file(temp / "stats.json"));
  EXPECT_EQ(1u, test::files_below(temp.path()).size());
  EXPECT_NE("", write_stats(example_ledger(), temp / "missing/stats.json"));
}

TEST(StatsTest, DeviceIsWrittenToAndNotReplaced) {
  EXPECT_EQ("", write_stats(example_ledger(), "/dev/null"));
  EXPECT_NE("", write_stats(example_ledger(), "/dev/full"));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(StatsTest, LossIsOneSentence) {
  WriterStatus writer;
  writer.name = "flows";
  EXPECT_EQ("", describe_loss(writer));
  writer.dropped = 3;
  writer.dropped_bytes = 1970;
  writer.first_error = "No space left on device";
  EXPECT_EQ("the writer flows failed: No space left on device; 3 records (1970 bytes) are lost",
            describe_loss(writer));
}

class FactoryTest : public ::testing::Test {
 protected:
  std::vector<std::string> names(const SinkSettings& settings) {
    SinkSet set = make_sinks(settings);
    EXPECT_EQ("", set.error);
    std::vector<std::string> all;
    for (const auto& sink : set.sinks) all.push_back(sink->status().name);
    return all;
  }
  TempFolder temp_;
  OutputFolder folder_{temp_ / "out", ExistingFiles::Refuse};
};

using Names = std::vector<std::string>;

TEST_F(FactoryTest, DefaultsFollowTheContract) {
  SinkSettings settings;
  EXPECT_EQ((Names{"stdout"}), names(settings));
  settings.folder = &folder_;
  EXPECT_EQ((Names{"streams", "flows", "stdout"}), names(settings));
  settings.write = "flows";
  settings.standard_output = StandardOutput::Nothing;
  EXPECT_EQ((Names{"flows"}), names(settings));
}

TEST_F(FactoryTest, NoneWritesNothing) {
  SinkSettings settings;
  settings.write = "none";
  EXPECT_EQ((Names{"none"}), names(settings));
  EXPECT_TRUE(make_sinks(settings).none);
  settings.write = "none,flows";
  EXPECT_NE("", make_sinks(settings).error);
}

TEST_F(FactoryTest, UnknownNameListsTheKnownOnes) {
  SinkSettings settings;
  settings.write = "flows,sterams";
  settings.folder = &folder_;
  const SinkSet set = make_sinks(settings);
  EXPECT_EQ("unknown writer 'sterams' in --write; known are: " + known_sinks(), set.error);
  EXPECT_NE(set.error.find("alerts, app-flow, couchdb, flows"), std::string::npos);
  EXPECT_TRUE(set.sinks.empty());
}

TEST_F(FactoryTest, WhatNeedsAFolderSaysSo) {
  SinkSettings settings;
  settings.write = "flows";
  EXPECT_NE(std::string::npos, make_sinks(settings).error.find("-o DIR"));
  settings.write.clear();
  settings.print = PrintMode::Ascii;
  settings.print_bytes = 0;
  EXPECT_NE(std::string::npos, make_sinks(settings).error.find("-o DIR"));
}

TEST_F(FactoryTest, JsonInsteadOfLines) {
  int ends[2];
  ASSERT_EQ(0, ::pipe(ends));
  const Descriptor in(ends[0]);
  Descriptor out(ends[1]);
  SinkSettings settings;
  settings.standard_output = StandardOutput::Json;
  settings.standard_output_fd = out.get();
  SinkSet set = make_sinks(settings);
  ASSERT_EQ(1u, set.sinks.size());
  test::MessageBuilder builder;
  test::feed(*set.sinks[0], builder);
  set.sinks[0]->finish();
  std::string text(4096, '\0');
  const ssize_t count = ::read(in.get(), text.data(), text.size());
  ASSERT_GT(count, 0);
  text.resize(static_cast<std::size_t>(count));
  EXPECT_EQ(0u, text.find("{\"uid\":\"C"));
  EXPECT_EQ('\n', text.back());
}

}  // namespace
}  // namespace flowloom
