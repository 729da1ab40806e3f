// A record file that is begun anew: by number, after somebody moved it, beside a file of somebody
// else, and where there is no room for another one. Every record is in one file, once.
#include "sinks/record_file.hpp"

#include "sink_test_support.hpp"
#include "sinks/record_writer.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace flowloom {
namespace {

using test::open_folder;
using test::read_file;
using test::TempFolder;

struct Case {
  std::string_view text;
  std::uint64_t bytes;
  std::int64_t seconds;
};

TEST(ParseRotation, SizesTimesAndBoth) {
  for (const Case& c : {Case{"", 0, 0}, Case{"1K", 1024, 0}, Case{"100M", 104'857'600, 0},
                        Case{"2G", 2'147'483'648, 0}, Case{"30s", 0, 30}, Case{"5m", 0, 300},
                        Case{"1h", 0, 3600}, Case{"7d", 0, 604'800},
                        Case{"1h,100M", 104'857'600, 3600},
                        Case{"1T,1d", 1'099'511'627'776, 86400}}) {
    RotateSettings settings;
    EXPECT_EQ("", parse_rotation(c.text, settings)) << c.text;
    EXPECT_EQ(c.bytes, settings.bytes) << c.text;
    EXPECT_EQ(std::chrono::seconds{c.seconds}, settings.interval) << c.text;
  }
}

TEST(ParseRotation, RefusesWhatIsNeither) {
  for (const std::string_view text :
       {"10", "M", "0K", "0s", "1k", "1H", "1.5h", "-1h", "1h;2M", ",", "1h 2M", "9999999M",
        "999999d", "18446744073709551617K"}) {
    RotateSettings settings;
    EXPECT_NE("", parse_rotation(text, settings)) << text;
  }
}

TEST(RotatedName, NamesAndTheirRecognition) {
  EXPECT_EQ("flows-000001.jsonl", rotated_name("flows.jsonl", 1));
  EXPECT_EQ("flows-1234567.jsonl", rotated_name("flows.jsonl", 1'234'567));
  EXPECT_TRUE(is_rotated_name("flows-000001.jsonl", "flows.jsonl"));
  EXPECT_TRUE(is_rotated_name("flows-1234567.jsonl", "flows.jsonl"));
  for (const std::string_view other :
       {"flows.jsonl", "flows-00001.jsonl", "flows-00000a.jsonl", "flows_000001.jsonl",
        "flow-000001.jsonl", "flows-000001.json", "flows-000001.jsonl.gz", ""}) {
    EXPECT_FALSE(is_rotated_name(other, "flows.jsonl")) << other;
  }
}

class RotatingWriter : public testing::Test {
 protected:
  RecordWriter open(std::uint64_t rotate_bytes = 0) {
    RecordFile place(directory_.get(), "log.txt");
    Descriptor file = place.create();
    return {"log", std::move(file), std::move(place), rotate_bytes};
  }
  static void write(RecordWriter& writer, std::string_view record) {
    writer.append(record);
    writer.append('\n');
    writer.end_record();
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    return read_file(folder_ / name);
  }
  [[nodiscard]] std::size_t files() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator(folder_.path())) {
      ++count;
    }
    return count;
  }

  TempFolder folder_;
  Descriptor directory_ = open_folder(folder_.path());
};

TEST_F(RotatingWriter, GivesNumbersInOrder) {
  RecordWriter writer = open();
  for (const char* record : {"one", "two", "three"}) {
    write(writer, record);
    writer.rotate();
  }
  write(writer, "four");
  writer.flush();
  EXPECT_EQ("one\n", text("log-000001.txt"));
  EXPECT_EQ("two\n", text("log-000002.txt"));
  EXPECT_EQ("three\n", text("log-000003.txt"));
  EXPECT_EQ("four\n", text("log.txt"));
  EXPECT_EQ(4u, files());
  EXPECT_EQ(3u, writer.status().rotations);
  EXPECT_EQ(4u, writer.status().records);
}

TEST_F(RotatingWriter, LeavesAnEmptyFileWhereItIs) {
  RecordWriter writer = open();
  writer.rotate();
  writer.rotate();
  EXPECT_EQ(1u, files());
  EXPECT_EQ(0u, writer.status().rotations);
  EXPECT_EQ("", writer.status().rotation_error);
}

TEST_F(RotatingWriter, EndsAFileWithTheRecordThatReachesTheSize) {
  RecordWriter writer = open(10);
  for (const char* record : {"12345678", "1", "123", "a record longer than that", "x"}) {
    write(writer, record);
  }
  writer.flush();
  EXPECT_EQ("12345678\n1\n", text("log-000001.txt"));
  EXPECT_EQ("123\na record longer than that\n", text("log-000002.txt"));
  EXPECT_EQ("x\n", text("log.txt"));
}

TEST_F(RotatingWriter, BeginsANewFileWhereSomebodyMovedTheOldOne) {
  RecordWriter writer = open();
  write(writer, "before");
  std::filesystem::rename(folder_ / "log.txt", folder_ / "log.txt.1");
  write(writer, "between");
  writer.rotate();
  write(writer, "after");
  writer.flush();
  EXPECT_EQ("before\nbetween\n", text("log.txt.1"));
  EXPECT_EQ("after\n", text("log.txt"));
  EXPECT_EQ(2u, files());
}

TEST_F(RotatingWriter, ContinuesAFileThatSomebodyPutThere) {
  RecordWriter writer = open();
  write(writer, "before");
  writer.flush();
  std::filesystem::rename(folder_ / "log.txt", folder_ / "log.txt.1");
  { const Descriptor other = test::create_file(folder_ / "log.txt"); }
  writer.rotate();
  write(writer, "after");
  writer.flush();
  EXPECT_EQ("before\n", text("log.txt.1"));
  EXPECT_EQ("after\n", text("log.txt"));
}

TEST_F(RotatingWriter, NeverReplacesAFileWithTheNextNumber) {
  {
    const Descriptor other = test::create_file(folder_ / "log-000001.txt");
    ASSERT_EQ(4, ::write(other.get(), "keep", 4));
  }
  RecordWriter writer = open();
  write(writer, "record");
  writer.rotate();
  EXPECT_EQ("keep", text("log-000001.txt"));
  EXPECT_EQ("record\n", text("log-000002.txt"));
}

// The process may open no more files: records go on into the old one, under its old name.
TEST_F(RotatingWriter, GoesOnWhereNoFileCanBeMade) {
  RecordWriter writer = open();
  write(writer, "before");
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{0, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  writer.rotate();
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ("Too many open files", writer.status().rotation_error);
  EXPECT_EQ("before\n", text("log.txt"));
  write(writer, "after");
  writer.flush();
  EXPECT_EQ("before\nafter\n", text("log.txt"));
  EXPECT_EQ(0u, writer.status().dropped);
  EXPECT_EQ("", writer.status().first_error);
  writer.rotate();
  EXPECT_EQ("before\nafter\n", text("log-000001.txt"));
}

TEST_F(RotatingWriter, StandardOutputIsOnlyFlushed) {
  const Descriptor file = test::create_file(folder_ / "out");
  RecordWriter writer("stdout", file.get());
  write(writer, "record");
  writer.rotate();
  EXPECT_EQ("record\n", text("out"));
  EXPECT_EQ(0u, writer.status().rotations);
}

}  // namespace
}  // namespace flowloom
