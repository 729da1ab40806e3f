// Records stay whole whatever the file does: full, gone, slow, or smaller than a record.
#include "sinks/record_writer.hpp"

#include "sink_test_support.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace flowloom {
namespace {

using test::create_file;
using test::FileSizeLimit;
using test::read_file;
using test::TempFolder;

void write_line(RecordWriter& writer, const std::string& text) {
  writer.append(text);
  writer.append('\n');
  writer.end_record();
}

TEST(RecordWriterTest, WritesEverythingInOrder) {
  TempFolder folder;
  std::string expected;
  {
    RecordWriter writer("test", create_file(folder / "out"));
    for (int i = 0; i < 100'000; ++i) {
      const std::string line = std::to_string(i);
      write_line(writer, line);
      expected += line + '\n';
    }
    writer.flush();
    EXPECT_EQ(100'000u, writer.status().records);
    EXPECT_EQ(expected.size(), writer.status().bytes);
    EXPECT_EQ(0u, writer.status().dropped);
  }
  EXPECT_EQ(expected, read_file(folder / "out"));
}

TEST(RecordWriterTest, RecordLongerThanTheBuffer) {
  TempFolder folder;
  const std::string big(3 * RecordWriter::kBufferBytes + 17, 'b');
  RecordWriter writer("test", create_file(folder / "out"));
  write_line(writer, "before");
  write_line(writer, big);
  write_line(writer, "after");
  writer.flush();
  EXPECT_EQ(3u, writer.status().records);
  EXPECT_EQ("before\n" + big + "\nafter\n", read_file(folder / "out"));
}

TEST(RecordWriterTest, FullFileKeepsWholeRecordsAndGoesOnWhenThereIsSpace) {
  TempFolder folder;
  RecordWriter writer("test", create_file(folder / "out"));
  {
    FileSizeLimit limit(25);
    for (int i = 0; i < 5; ++i) write_line(writer, "123456789");
    writer.flush();
    EXPECT_EQ("123456789\n123456789\n", read_file(folder / "out")) << "cut to whole records";
    EXPECT_EQ(2u, writer.status().records);
    EXPECT_EQ(3u, writer.status().dropped);
    EXPECT_EQ(30u, writer.status().dropped_bytes);
    EXPECT_FALSE(writer.status().first_error.empty());
  }
  write_line(writer, "later");
  writer.flush();
  EXPECT_EQ("123456789\n123456789\nlater\n", read_file(folder / "out"));
  EXPECT_EQ(3u, writer.status().records);
  EXPECT_EQ(26u, writer.status().bytes);
}

TEST(RecordWriterTest, LongRecordThatBreaksInTheMiddleLeavesNothing) {
  TempFolder folder;
  RecordWriter writer("test", create_file(folder / "out"));
  write_line(writer, "whole");
  {
    FileSizeLimit limit(RecordWriter::kBufferBytes * 3 / 2);
    write_line(writer, std::string(4 * RecordWriter::kBufferBytes, 'x'));
    writer.flush();
  }
  EXPECT_EQ("whole\n", read_file(folder / "out"));
  write_line(writer, "next");
  writer.flush();
  EXPECT_EQ("whole\nnext\n", read_file(folder / "out"));
  EXPECT_EQ(2u, writer.status().records);
  EXPECT_EQ(1u, writer.status().dropped);
  EXPECT_EQ(11u, writer.status().bytes);
  EXPECT_EQ(4 * RecordWriter::kBufferBytes + 1, writer.status().dropped_bytes);
}

TEST(RecordWriterTest, DevFullLosesEverythingAndSaysSo) {
  RecordWriter writer("test", Descriptor(::open("/dev/full", O_WRONLY | O_CLOEXEC)));
  for (int i = 0; i < 10; ++i) write_line(writer, "record");
  writer.flush();
  EXPECT_EQ(0u, writer.status().records);
  EXPECT_EQ(10u, writer.status().dropped);
  EXPECT_EQ("No space left on device", writer.status().first_error);
}

TEST(RecordWriterTest, ReaderThatLeft) {
  ::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(0, ::pipe(ends));
  ::close(ends[0]);
  RecordWriter writer("test", Descriptor(ends[1]));
  write_line(writer, "lost");
  writer.flush();
  write_line(writer, "lost");
  writer.flush();
  EXPECT_EQ(2u, writer.status().dropped);
  EXPECT_EQ("Broken pipe", writer.status().first_error);
}

TEST(RecordWriterTest, WaitsForASlowPipeThatDoesNotBlock) {
  int ends[2];
  ASSERT_EQ(0, ::pipe2(ends, O_NONBLOCK));
  const std::string record(RecordWriter::kBufferBytes - 1, 'p');
  std::string received;
  std::jthread reader([&, in = Descriptor(ends[0])] {
    std::vector<char> buffer(4096);
    while (received.size() < 4 * (record.size() + 1)) {
      const ssize_t count = ::read(in.get(), buffer.data(), buffer.size());
      if (count > 0) received.append(buffer.data(), static_cast<std::size_t>(count));
    }
  });
  RecordWriter writer("test", Descriptor(ends[1]));
  for (int i = 0; i < 4; ++i) write_line(writer, record);
  writer.flush();
  reader.join();
  EXPECT_EQ(4u, writer.status().records);
  EXPECT_EQ(std::string(record.size(), 'p') + '\n', received.substr(0, record.size() + 1));
}

}  // namespace
}  // namespace flowloom
