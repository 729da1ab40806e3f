// Stream files: their names, their content, their life as .part, and what a full disk leaves.
#include "sinks/streams_sink.hpp"

#include "sink_test_support.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>

namespace flowloom {
namespace {

using test::feed;
using test::files_below;
using test::FileSizeLimit;
using test::kOrig;
using test::kResp;
using test::MessageBuilder;
using test::read_file;

class StreamsSinkTest : public ::testing::Test {
 protected:
  StreamsSink make(const StreamsSettings& settings = {}) {
    return StreamsSink(test::open_folder(folder_.path()), settings);
  }
  /// The content of a file that an event names as "streams/...".
  std::string content(const std::string& name) {
    EXPECT_EQ(0u, name.find("streams/"));
    return read_file(folder_ / name.substr(8));
  }
  std::vector<std::string> files() { return files_below(folder_.path()); }

  test::TempFolder folder_;
};

std::string pattern(std::size_t size, unsigned seed = 1) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    seed = seed * 1664525 + 1013904223;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

TEST_F(StreamsSinkTest, WholeConnectionBecomesTwoFiles) {
  StreamsSink sink = make();
  MessageBuilder builder;
  builder.data(kOrig, pattern(476)).data(kResp, pattern(12'345, 2));
  builder.record().start = from_nanoseconds(1096281006123456789);
  builder.record().first_sequence = SeqNum(0x12345678);
  const auto names = feed(sink, builder);
  EXPECT_EQ("streams/10.1.1.101.3177-10.1.1.1.80-CzYVD3Dq9b5qz0RcYAs", names[0]);
  EXPECT_EQ("streams/10.1.1.1.80-10.1.1.101.3177-CzYVD3Dq9b5qz0RcYAs", names[1]);
  EXPECT_EQ(pattern(476), content(names[0]));
  EXPECT_EQ(pattern(12'345, 2), content(names[1]));
  EXPECT_EQ(2u, files().size());
  EXPECT_EQ(2u, sink.status().records);
  EXPECT_EQ(476u + 12'345u, sink.status().bytes);
}

TEST_F(StreamsSinkTest, NoByteNoFile) {
  StreamsSink sink = make();
  MessageBuilder builder;
  builder.data(kOrig, "x").gap(kResp, {.offset = 0, .length = 9, .cause = GapCause::Unknown});
  const auto names = feed(sink, builder);
  EXPECT_EQ("", names[1]);
  EXPECT_EQ(1u, files().size());
}

TEST_F(StreamsSinkTest, LongStreamIsPartUntilItCloses) {
  StreamsSink sink = make();
  MessageBuilder first;
  first.data(kOrig, "one ").progress();
  EXPECT_EQ("", feed(sink, first)[0]);
  ASSERT_EQ(1u, files().size());
  EXPECT_TRUE(files()[0].ends_with(".part"));
  MessageBuilder second;
  second.progress().after(first.message()).data(kOrig, "two ").data(kResp, "answer");
  feed(sink, second);
  MessageBuilder last;
  last.after(second.message()).data(kOrig, "three");
  const auto names = feed(sink, last);
  EXPECT_EQ("one two three", content(names[0]));
  EXPECT_EQ("answer", content(names[1]));
  for (const std::string& name : files()) EXPECT_FALSE(name.ends_with(".part")) << name;
  EXPECT_EQ(2u, sink.status().records);
  EXPECT_EQ(0u, sink.open_files());
}

TEST_F(StreamsSinkTest, LongStreamThatNeverClosesStaysPart) {
  StreamsSink sink = make();
  MessageBuilder builder;
  builder.data(kOrig, "kept").progress();
  feed(sink, builder);
  sink.finish();
  ASSERT_EQ(1u, files().size());
  EXPECT_TRUE(files()[0].ends_with(".part"));
  EXPECT_EQ("kept", read_file(folder_ / files()[0]));
}

// Two digits of base 36 count quarters of a second since 1970, and begin again after 1296 of them.
TEST(SpreadFolder, GoesByTheMomentOfTheFirstPacket) {
  constexpr std::int64_t kQuarter = 250'000'000;
  const std::pair<std::int64_t, std::string_view> rows[] = {
      {0, "00/"},
      {kQuarter - 1, "00/"},
      {kQuarter, "01/"},
      {10 * kQuarter, "0a/"},
      {36 * kQuarter, "10/"},
      {1295 * kQuarter, "zz/"},
      {1296 * kQuarter, "00/"},
      {6'800'000'000 * kQuarter, "kw/"},  // modulo 1296 that is 752 = 20 * 36 + 32
  };
  for (const auto& [start, folder] : rows) {
    EXPECT_EQ(folder, spread_folder(from_nanoseconds(start)).view()) << start;
  }
}

TEST(SpreadFolder, IsANameForEveryStamp) {
  for (const Timestamp start : {kTimeMin, from_nanoseconds(-1), kTimeMax}) {
    const auto folder = spread_folder(start);
    ASSERT_EQ(3U, folder.view().size());
    for (const char c : folder.view().substr(0, 2)) {
      EXPECT_TRUE((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) << c;
    }
  }
}

TEST_F(StreamsSinkTest, SpreadsOverFoldersInTheOrderOfClosing) {
  const auto at = [](int n) { return from_nanoseconds(n * std::int64_t{250'000'000}); };
  StreamsSink sink = make({.flat_files_max = 3});
  MessageBuilder early;
  early.number(100).data(kOrig, "early").progress().record().start = at(0);
  feed(sink, early);
  std::vector<std::string> names;
  for (int n = 1; n <= 5; ++n) {
    MessageBuilder builder;
    builder.number(static_cast<std::uint64_t>(n)).data(kOrig, "body").record().start = at(n);
    names.push_back(feed(sink, builder)[0]);
  }
  MessageBuilder late;
  late.number(100).after(early.message()).record().start = at(0);
  names.push_back(feed(sink, late)[0]);
  const std::string_view folders[] = {"", "", "", "04/", "05/", "00/"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ("streams/" + std::string(folders[i]) + "10.1.1.101.",
              names[i].substr(0, names[i].find("10.") + 11));
    EXPECT_EQ(i < 5 ? "body" : "early", content(names[i]));
  }
}

// A connection that lingers: its streams are whole, its record comes later.
TEST_F(StreamsSinkTest, WholeStreamHasItsNameBeforeItsConnectionEnds) {
  StreamsSink sink = make();
  MessageBuilder bytes;
  bytes.data(kOrig, "question").data(kResp, pattern(5000)).early(7);
  EXPECT_EQ("", feed(sink, bytes)[0]) << "nobody is told before the record comes";
  ASSERT_EQ(2u, files().size());
  for (const std::string& name : files()) EXPECT_FALSE(name.ends_with(".part")) << name;
  EXPECT_EQ(2u, sink.status().records);
  MessageBuilder close;
  close.closes(bytes.message());
  const auto names = feed(sink, close);
  EXPECT_EQ("question", content(names[0]));
  EXPECT_EQ(pattern(5000), content(names[1]));
  EXPECT_EQ(2u, files().size());
  EXPECT_EQ(2u, sink.status().records);
}

// A ticket is used again, and a direction that had a file then has none now.
TEST_F(StreamsSinkTest, TicketsAreUsedAgain) {
  StreamsSink sink = make();
  for (std::uint64_t n = 1; n <= 3; ++n) {
    MessageBuilder bytes;
    bytes.number(n).data(n == 2 ? kResp : kOrig, std::to_string(n)).early(1);
    feed(sink, bytes);
    MessageBuilder close;
    close.closes(bytes.message());
    const auto names = feed(sink, close);
    EXPECT_EQ(std::to_string(n), content(names[n == 2 ? 1 : 0]));
    EXPECT_EQ("", names[n == 2 ? 0 : 1]);
  }
}

// Wherever they were written first: the first three to close lie flat, and the others in folders.
TEST_F(StreamsSinkTest, PlacesOfEarlyStreamsGoByTheOrderOfClosing) {
  constexpr std::uint32_t kConnections = 8;
  std::vector<std::uint32_t> order = {1, 2, 3, 4, 5, 6, 7, 8};
  for (const std::size_t turn : {0U, 3U, 5U, 7U}) {
    test::TempFolder folder;
    StreamsSink sink(test::open_folder(folder.path()), {.flat_files_max = 3});
    std::rotate(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(turn), order.end());
    std::vector<MessageBuilder> bytes(kConnections);
    for (std::uint32_t n = 1; n <= kConnections; ++n) {
      bytes[n - 1].number(n).data(kOrig, std::to_string(n)).early(n);
      feed(sink, bytes[n - 1]);
    }
    for (std::size_t i = 0; i < kConnections; ++i) {
      MessageBuilder close;
      close.closes(bytes[order[i] - 1].message());
      const std::string name = feed(sink, close)[0].substr(8);
      EXPECT_EQ(i < 3, name.find('/') == std::string::npos) << name;
      EXPECT_EQ(std::to_string(order[i]), read_file(folder / name));
    }
    EXPECT_EQ(kConnections, files_below(folder.path()).size());
    EXPECT_TRUE(sink.status().first_error.empty());
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
      EXPECT_FALSE(std::filesystem::is_empty(entry)) << entry.path();
    }
  }
}

// Others close between: those are counted first, and early files have to move.
TEST_F(StreamsSinkTest, EarlyStreamsGiveWayToConnectionsThatEndBeforeThem) {
  StreamsSink sink = make({.flat_files_max = 2});
  std::vector<MessageBuilder> bytes(2);
  for (std::uint32_t n = 0; n < 2; ++n) {
    bytes[n].number(n + 1).data(kOrig, "early").early(n + 1);
    feed(sink, bytes[n]);
  }
  MessageBuilder whole;
  whole.number(3).data(kOrig, "whole");
  EXPECT_EQ('.', feed(sink, whole)[0][10]) << "streams/10.1.1.101...";
  std::array<std::string, 2> names;
  for (std::uint32_t n = 0; n < 2; ++n) {
    MessageBuilder close;
    close.closes(bytes[n].message());
    names[n] = feed(sink, close)[0];
    EXPECT_EQ("early", content(names[n]));
  }
  EXPECT_EQ('.', names[0][10]) << names[0];
  EXPECT_EQ('/', names[1][10]) << names[1];
  EXPECT_EQ(3u, files().size());
}

TEST_F(StreamsSinkTest, ReusedTupleDoesNotCollide) {
  StreamsSink sink = make();
  std::set<std::string> names;
  for (std::uint32_t reuse = 0; reuse < 50; ++reuse) {
    MessageBuilder builder;
    builder.data(kOrig, std::to_string(reuse)).record().reuse = reuse;
    const std::string name = feed(sink, builder)[0];
    EXPECT_EQ(std::to_string(reuse), content(name));
    EXPECT_TRUE(names.insert(name).second);
  }
}

/// Many connections grow in turn with few descriptors: every file is closed and reopened.
// case: L12
TEST_F(StreamsSinkTest, FewDescriptorsForManyLongStreams) {
  StreamsSink sink = make({.open_files_max = 3});
  constexpr std::uint64_t kConnections = 40;
  std::vector<MessageBuilder> last(kConnections);
  std::vector<std::string> expected(kConnections);
  for (unsigned round = 0; round < 4; ++round) {
    for (std::uint64_t n = 0; n < kConnections; ++n) {
      MessageBuilder builder;
      builder.number(n).progress();
      if (round > 0) builder.after(last[n].message());
      const std::string piece = pattern(500, static_cast<unsigned>(n * 7 + round));
      builder.data(n % 2 == 0 ? kOrig : kResp, piece);
      expected[n] += piece;
      feed(sink, builder);
      EXPECT_LE(sink.open_files(), 3u);
      last[n] = std::move(builder);
    }
  }
  for (std::uint64_t n = 0; n < kConnections; ++n) {
    MessageBuilder builder;
    builder.number(n).after(last[n].message());
    EXPECT_EQ(expected[n], content(feed(sink, builder)[n % 2]));
  }
  EXPECT_EQ(kConnections, sink.status().records);
  EXPECT_EQ("", sink.status().first_error);
}

TEST_F(StreamsSinkTest, DescriptorLimitOfTheProcess) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit low{24, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &low);
  StreamsSink sink = make({.open_files_max = 1000});
  for (std::uint64_t n = 0; n < 100; ++n) {
    MessageBuilder builder;
    builder.number(n).data(kOrig, "x").progress();
    feed(sink, builder);
  }
  EXPECT_LE(sink.open_files(), 12u);
  // Somebody else takes what is left: ours make room.
  std::vector<Descriptor> greedy;
  for (;;) {
    Descriptor fd(::dup(0));
    if (!fd.valid()) break;
    greedy.push_back(std::move(fd));
  }
  MessageBuilder builder;
  builder.number(1000).data(kOrig, "still written");
  EXPECT_EQ("streams/", feed(sink, builder)[0].substr(0, 8));
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ("", sink.status().first_error);
}

TEST_F(StreamsSinkTest, GapsAreLeftOutByDefault) {
  StreamsSink sink = make();
  MessageBuilder builder;
  builder.data(kOrig, "abcdef").gap(kOrig, {.offset = 3, .length = 4, .cause = GapCause::Cut});
  EXPECT_EQ("abcdef", content(feed(sink, builder)[0]));
}

TEST_F(StreamsSinkTest, GapFillZeroPutsEveryByteInItsPlace) {
  StreamsSink sink = make({.gap_fill = GapFill::Zero});
  MessageBuilder builder(8);
  builder.data(kOrig, "abcdefghijkl");
  builder.gap(kOrig, {.offset = 0, .length = 2, .cause = GapCause::Cut});
  builder.gap(kOrig, {.offset = 5, .length = 3, .cause = GapCause::Cut});
  builder.gap(kOrig, {.offset = 8, .length = 1, .cause = GapCause::Cut});
  builder.gap(kOrig, {.offset = 18, .length = 4, .cause = GapCause::Cut});
  using namespace std::string_literals;
  EXPECT_EQ("\0\0abc\0\0\0\0defghijkl\0\0\0\0"s, content(feed(sink, builder)[0]));
}

TEST_F(StreamsSinkTest, GapFillZeroAcrossMessages) {
  StreamsSink sink = make({.gap_fill = GapFill::Zero});
  MessageBuilder first;
  first.data(kOrig, "ab").gap(kOrig, {.offset = 2, .length = 3, .cause = GapCause::Cut}).progress();
  feed(sink, first);
  MessageBuilder second;
  second.progress().after(first.message()).data(kOrig, "cd");
  feed(sink, second);
  MessageBuilder last;
  last.after(second.message());
  last.gap(kOrig, {.offset = 7, .length = 1'000'000'000, .cause = GapCause::Cut});
  const std::string name = feed(sink, last)[0];
  const std::string path = folder_ / name.substr(8);
  EXPECT_EQ(1'000'000'007u, std::filesystem::file_size(path));
  struct stat info {};
  ASSERT_EQ(0, ::stat(path.c_str(), &info));
  EXPECT_LT(info.st_blocks, 1000) << "the gap takes no space";
  std::ifstream in(path, std::ios::binary);
  std::string head(8, '?');
  in.read(head.data(), 8);
  using namespace std::string_literals;
  EXPECT_EQ("ab\0\0\0cd\0"s, head);
}

TEST_F(StreamsSinkTest, ImpossibleGapsDoNoHarm) {
  StreamsSink sink = make({.gap_fill = GapFill::Zero});
  MessageBuilder builder;
  builder.data(kOrig, "abc");
  builder.gap(kOrig, {.offset = INT64_MIN, .length = -5, .cause = GapCause::Cut});
  builder.gap(kOrig, {.offset = INT64_MAX, .length = INT64_MAX, .cause = GapCause::Cut});
  builder.record().sides[0].gap_bytes = UINT64_MAX;
  feed(sink, builder);
  EXPECT_LE(files().size(), 1u);
}

TEST_F(StreamsSinkTest, FullDiskLosesOneStreamAndTheRestGoesOn) {
  StreamsSink sink = make();
  {
    FileSizeLimit limit(1000);
    MessageBuilder big;
    big.number(1).data(kOrig, pattern(5000));
    EXPECT_EQ("", feed(sink, big)[0]) << "an incomplete stream has no final name";
    MessageBuilder small;
    small.number(2).data(kOrig, "small");
    EXPECT_EQ("small", content(feed(sink, small)[0]));
  }
  EXPECT_EQ(1u, sink.status().records);
  EXPECT_EQ(1u, sink.status().dropped);
  EXPECT_EQ(4000u, sink.status().dropped_bytes);
  EXPECT_FALSE(sink.status().first_error.empty());
  const auto names = files();
  const auto part = std::find_if(names.begin(), names.end(),
                                 [](const std::string& name) { return name.ends_with(".part"); });
  ASSERT_NE(names.end(), part);
  EXPECT_EQ(pattern(5000).substr(0, 1000), read_file(folder_ / *part));
}

TEST_F(StreamsSinkTest, FullDiskBeforeAConnectionEnds) {
  StreamsSink sink = make();
  MessageBuilder bytes;
  bytes.data(kOrig, pattern(5000)).data(kResp, "small").early(1);
  {
    FileSizeLimit limit(1000);
    feed(sink, bytes);
  }
  MessageBuilder close;
  close.closes(bytes.message());
  const auto names = feed(sink, close);
  EXPECT_EQ("", names[0]);
  EXPECT_EQ("small", content(names[1]));
  EXPECT_EQ(1u, sink.status().records);
  EXPECT_EQ(1u, sink.status().dropped);
  EXPECT_EQ(4000u, sink.status().dropped_bytes);
}

TEST_F(StreamsSinkTest, FullDiskInALongStreamLeavesThePart) {
  StreamsSink sink = make();
  MessageBuilder first;
  first.data(kOrig, pattern(600)).progress();
  feed(sink, first);
  MessageBuilder second;
  second.progress().after(first.message()).data(kOrig, pattern(600, 2));
  {
    FileSizeLimit limit(1000);
    feed(sink, second);
  }
  MessageBuilder last;  // there is space again, but the stream has a hole already
  last.after(second.message()).data(kOrig, pattern(600, 3));
  EXPECT_EQ("", feed(sink, last)[0]);
  ASSERT_EQ(1u, files().size());
  EXPECT_TRUE(files()[0].ends_with(".part"));
  EXPECT_EQ(pattern(600) + pattern(600, 2).substr(0, 400), read_file(folder_ / files()[0]));
  EXPECT_EQ(0u, sink.status().records);
  EXPECT_EQ(1u, sink.status().dropped);
  EXPECT_EQ(800u, sink.status().dropped_bytes);
  EXPECT_EQ(1000u, sink.status().bytes);
}

TEST_F(StreamsSinkTest, NothingIsWrittenThroughASymbolicLink) {
  StreamsSink sink = make();
  MessageBuilder builder;
  builder.data(kOrig, "secret");
  IdMaker ids;
  const std::string name(
      format_stream_name(builder.record(), kOrig, ids.uid(builder.record()).view()).view());
  std::filesystem::create_symlink(folder_ / "victim", folder_ / name);
  EXPECT_EQ("", feed(sink, builder)[0]);
  EXPECT_EQ(1u, sink.status().dropped);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "victim"));
}

}  // namespace
}  // namespace flowloom
