// The lines on standard output, and the content under them.
#include "sinks/lines_sink.hpp"

#include "sink_test_support.hpp"
#include "sinks/streams_sink.hpp"

#include <gtest/gtest.h>

namespace flowloom {
namespace {

using test::feed;
using test::kOrig;
using test::kResp;
using test::MessageBuilder;

class LinesSinkTest : public ::testing::Test {
 protected:
  LinesSink make(const LinesSettings& settings = {}) {
    return LinesSink(RecordWriter("stdout", test::create_file(folder_ / "out")), settings);
  }
  std::string text(Sink& sink) {
    sink.finish();
    return test::read_file(folder_ / "out");
  }
  test::TempFolder folder_;
};

TEST_F(LinesSinkTest, LineOfTheContract) {
  LinesSink sink = make();
  MessageBuilder builder;
  builder.data(kOrig, std::string(476, 'o')).data(kResp, std::string(435, 'r'));
  feed(sink, builder);
  EXPECT_EQ("[+] 10.1.1.101:3177 - 10.1.1.1:80 (CTS: 476B | STC: 435B)\n", text(sink));
}

TEST_F(LinesSinkTest, GapsOfBothSides) {
  LinesSink sink = make();
  MessageBuilder builder;
  builder.data(kOrig, "x").gap(kOrig, {.offset = 1, .length = 1400, .cause = GapCause::Cut});
  builder.gap(kResp, {.offset = 0, .length = 60, .cause = GapCause::Cut});
  feed(sink, builder);
  EXPECT_EQ("[+] 10.1.1.101:3177 - 10.1.1.1:80 (CTS: 1B | STC: 0B) gaps: 2 (1460B)\n", text(sink));
}

TEST_F(LinesSinkTest, Ipv6InBrackets) {
  LinesSink sink = make();
  MessageBuilder builder;
  builder.endpoints(
      test::endpoint_v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 9),
      test::endpoint_v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, 443));
  feed(sink, builder);
  EXPECT_EQ("[+] [2001:db8::1]:9 - [2001:db8::2]:443 (CTS: 0B | STC: 0B)\n", text(sink));
}

TEST_F(LinesSinkTest, NothingForAConnectionNotWorthALine) {
  LinesSink sink = make();
  MessageBuilder builder;
  builder.record().established = false;
  feed(sink, builder);
  EXPECT_EQ("", text(sink));
}

TEST_F(LinesSinkTest, AsciiShowsTextAndNoControlCharacter) {
  LinesSink sink = make({.print = PrintMode::Ascii});
  MessageBuilder builder(7);
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  builder.data(kOrig, "GET / HTTP/1.1\r\n\x1b[31mred\x1b]0;title\a\tend").data(kResp, all);
  feed(sink, builder);
  const std::string shown = text(sink);
  EXPECT_NE(std::string::npos, shown.find(">> 10.1.1.101:3177 -> 10.1.1.1:80, 38 of 38 bytes\n"
                                          "GET / HTTP/1.1.\n.[31mred.]0;title.\tend\n"
                                          "<< 10.1.1.1:80 -> 10.1.1.101:3177, 256 of 256 bytes\n"))
      << shown;
  for (const char c : shown) {
    EXPECT_TRUE(c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f)) << static_cast<int>(c);
  }
}

TEST_F(LinesSinkTest, HexInTcpdumpsForm) {
  LinesSink sink = make({.print = PrintMode::Hex});
  MessageBuilder builder(5);
  builder.data(kOrig, "GET / HTTP/1.1\r\n\x1b[31m");
  feed(sink, builder);
  const std::string shown = text(sink);
  EXPECT_NE(std::string::npos,
            shown.find("\t0x0000:  4745 5420 2f20 4854 5450 2f31 2e31 0d0a  GET./.HTTP/1.1..\n"
                       "\t0x0010:  1b5b 3331 6d                             .[31m\n"))
      << shown;
}

TEST_F(LinesSinkTest, RawIsUntouched) {
  LinesSink sink = make({.print = PrintMode::Raw});
  MessageBuilder builder;
  builder.data(kOrig, "\x1b[31m\r\n");
  feed(sink, builder);
  EXPECT_NE(std::string::npos, text(sink).find("bytes\n\x1b[31m\r\n"));
}

TEST_F(LinesSinkTest, ShowsTheFirstBytesOnly) {
  LinesSink sink = make({.print = PrintMode::Ascii, .print_bytes = 5});
  MessageBuilder builder(3);
  builder.data(kOrig, "abcdefgh");
  feed(sink, builder);
  EXPECT_NE(std::string::npos, text(sink).find(", 5 of 8 bytes\nabcde\n"));
}

TEST_F(LinesSinkTest, RemembersTheBeginningOfALongStream) {
  LinesSink sink = make({.print = PrintMode::Ascii, .print_bytes = 10});
  MessageBuilder first;
  first.data(kOrig, "abcd").data(kResp, "0123456789ABCDEF").progress();
  feed(sink, first);
  MessageBuilder second;
  second.progress().after(first.message()).data(kOrig, "efg");
  feed(sink, second);
  MessageBuilder last;
  last.after(second.message()).data(kOrig, "hijklmn");
  feed(sink, last);
  EXPECT_EQ(
      "[+] 10.1.1.101:3177 - 10.1.1.1:80 (CTS: 14B | STC: 16B)\n"
      ">> 10.1.1.101:3177 -> 10.1.1.1:80, 10 of 14 bytes\nabcdefghij\n"
      "<< 10.1.1.1:80 -> 10.1.1.101:3177, 10 of 16 bytes\n0123456789\n",
      text(sink));
}

TEST_F(LinesSinkTest, GapsAndConflictsAreMarkedWhereTheyAre) {
  LinesSink sink = make({.print = PrintMode::Ascii});
  MessageBuilder builder(3);
  builder.data(kOrig, "abcdef").gap(kOrig, {.offset = 2, .length = 9, .cause = GapCause::Cut});
  builder.gap(kOrig, {.offset = 15, .length = 4, .cause = GapCause::CaptureLoss});
  builder.gap(kResp, {.offset = 0, .length = 5, .cause = GapCause::Unknown});
  builder.record().sides[0].origin = -1;
  builder.conflict(kOrig, test::replaced_at(11, 2), "", "");  // the offset 12
  feed(sink, builder);
  EXPECT_EQ(
      "[+] 10.1.1.101:3177 - 10.1.1.1:80 (CTS: 6B | STC: 0B) gaps: 3 (18B)\n"
      ">> 10.1.1.101:3177 -> 10.1.1.1:80, 6 of 6 bytes\n"
      "ab\n[gap: 9 bytes, cut]\nc\n"
      "[conflict: 2 bytes at 12, the copy that arrived replaces it]\ndef\n"
      "[gap: 4 bytes, capture-loss]\n"
      "<< 10.1.1.1:80 -> 10.1.1.101:3177, 0 of 0 bytes\n[gap: 5 bytes, unknown]\n",
      text(sink));
}

TEST_F(LinesSinkTest, HexOffsetsCountGaps) {
  LinesSink sink = make({.print = PrintMode::Hex});
  MessageBuilder builder;
  builder.data(kOrig, "abcd").gap(kOrig, {.offset = 2, .length = 0x100, .cause = GapCause::Cut});
  feed(sink, builder);
  const std::string shown = text(sink);
  EXPECT_NE(std::string::npos, shown.find("\t0x0000:  6162")) << shown;
  EXPECT_NE(std::string::npos, shown.find("\n[gap: 256 bytes, cut]\n\t0x0102:  6364")) << shown;
}

TEST_F(LinesSinkTest, ColoursTellTheSidesApart) {
  LinesSink sink = make({.print = PrintMode::Ascii, .colours = Colours::Yes});
  MessageBuilder builder;
  builder.data(kOrig, "up").data(kResp, "\x1b[7mdown");
  feed(sink, builder);
  const std::string shown = text(sink);
  EXPECT_NE(std::string::npos, shown.find("\x1b[31mup\n\x1b[0m")) << shown;
  EXPECT_NE(std::string::npos, shown.find("\x1b[34m.[7mdown\n\x1b[0m")) << shown;
}

TEST_F(LinesSinkTest, AllOfALongStreamComesFromItsFile) {
  std::filesystem::create_directory(folder_ / "streams");
  const Descriptor out = test::open_folder(folder_.path());
  StreamsSink streams(test::open_folder(folder_ / "streams"), {});
  LinesSink sink(RecordWriter("stdout", test::create_file(folder_ / "out")),
                 {.print = PrintMode::Ascii, .print_bytes = 0},
                 std::make_unique<FileStore>(out.get()));
  const std::string piece(100'000, 'y');
  MessageBuilder first(8192);
  first.data(kOrig, piece).progress();
  MessageBuilder last(8192);
  last.after(first.message()).data(kOrig, "the end");
  IdMaker ids;
  for (MessageBuilder* builder : {&first, &last}) {
    StreamEvent event(builder->message(), ids);
    streams.consume(event);
    sink.consume(event);
  }
  EXPECT_NE(std::string::npos, text(sink).find("100007 of 100007 bytes\n" + piece + "the end\n"));
}

}  // namespace
}  // namespace flowloom
