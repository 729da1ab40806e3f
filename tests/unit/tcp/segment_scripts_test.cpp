// Plays every script of tests/scripts_tcp, or of the folder that the environment variable
// FLOWLOOM_SCRIPTS names; see tests/scripts_tcp/README.md. With FLOWLOOM_SCRIPT_CAPTURES=FOLDER
// each one leaves its packets there as a capture, to show what other programs make of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "support/script_runner.hpp"

namespace flowloom::test {
namespace {

std::vector<std::string> scripts() {
  const char* chosen = std::getenv("FLOWLOOM_SCRIPTS");
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(
           chosen == nullptr ? FLOWLOOM_SCRIPTS_TCP : chosen)) {
    if (entry.path().extension() == ".seg") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void write_integer(std::ofstream& out, std::uint32_t value) {
  out.write(reinterpret_cast<const char*>(&value), sizeof value);
}

/// A pcap file with nanoseconds, in this machine's byte order.
void write_capture(const std::string& path, const std::vector<Frame>& frames) {
  std::ofstream out(path, std::ios::binary);
  constexpr std::array<std::uint32_t, 6> kHeader = {0xa1b23c4d, 0x00040002, 0, 0, 262144, 1};
  for (const std::uint32_t word : kHeader) write_integer(out, word);
  for (const Frame& frame : frames) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::int64_t stamp = to_nanoseconds(frame.stamp);
    const auto captured = static_cast<std::uint32_t>(frame.bytes.size());
    write_integer(out, static_cast<std::uint32_t>(stamp / kSecond));
    write_integer(out, static_cast<std::uint32_t>(stamp % kSecond));
    write_integer(out, captured);
    write_integer(out, frame.wire_length == 0 ? captured : frame.wire_length);
    out.write(reinterpret_cast<const char*>(frame.bytes.data()), captured);
  }
}

class SegmentScripts : public testing::TestWithParam<std::string> {};

TEST_P(SegmentScripts, HappenAsWritten) {
  const SegmentScript script = load_script(GetParam());
  const std::string failures = play_all(script);
  EXPECT_TRUE(failures.empty()) << failures;
  const char* const captures = std::getenv("FLOWLOOM_SCRIPT_CAPTURES");
  if (captures == nullptr) return;
  ScriptVariant variant{1'000'000, 2'000'000};
  if (script.only == SegmentScript::Only::V6) variant.version = ScriptVariant::Version::V6;
  const std::string name = std::filesystem::path(GetParam()).stem().string();
  write_capture(std::string(captures) + "/" + name + ".pcap", frames_of(script, variant));
}

INSTANTIATE_TEST_SUITE_P(ScriptsTcp, SegmentScripts, testing::ValuesIn(scripts()),
                         [](const testing::TestParamInfo<std::string>& row) {
                           return std::filesystem::path(row.param).stem().string();
                         });

// The runner itself must be able to fail.
TEST(ScriptRunner, FindsWhatIsNotAsWritten) {
  const std::string start = "handshake\n> P. 1:6(5) ack 1 \"hello\"\n";
  const std::string rest = "closing 6 1\n=> ends\n";
  const std::string good = start + "=> data > 0 \"hello\"\n" + rest;
  EXPECT_EQ(play_all(parse_script("good", good)), "");
  for (const std::string wrong :
       {"=> data > 0 \"jello\"\n", "=> data > 1 \"hello\"\n", "=> data > 0 \"hell\"\n", "",
        "=> data < 0 \"hello\"\n", "=> nothing >\n=> data > 0 \"hello\"\n",
        "=> data > 0 \"hello\"\n=> state S1\n", "=> data > 0 \"hello\"\n=> close rst\n",
        "=> data > 0 \"hello\"\n=> gap > 5 1 unknown\n", "=> data > 0 \"hello\"\n=> history S\n",
        "=> data > 0 \"hello\"\n=> connections 2\n",
        "=> data > 0 \"hello\"\n=> anomaly keep_alive\n",
        "=> data > 0 \"hello\"\n=> fate duplicate 1\n",
        "=> data > 0 \"hello\"\n=> originator <\n"}) {
    EXPECT_NE(play_all(parse_script("wrong", start + wrong + rest)), "") << wrong;
  }
  EXPECT_NE(play_all(parse_script("unnamed anomaly", good + "> . 5:6(1) ack 1\n")), "");
}

// Each of these lines breaks the segment in another layer: the verdict says that it was said.
TEST(ScriptRunner, SaysWhatIsInTheHeaders) {
  const std::map<std::string, std::string> lines = {
      {"doff 4", "bad_tcp_header"}, {"iplen 1500", "bad_ip_header"}, {"badsum", "bad_checksum"},
      {"proto 17", "udp"},          {"icmp", "icmp"},                {"frag 0:24+", "fragment"}};
  for (const auto& [words, verdict] : lines) {
    const std::string segment = "> P. 1:5(4) ack 1 \"abcd\" " + words + "\n=> connections 0\n";
    EXPECT_EQ(play_all(parse_script(words, segment + "=> verdict " + verdict + " 1\n")), "");
    EXPECT_NE(play_all(parse_script(words, segment)), "") << "a verdict that nobody named";
  }
}

TEST(ScriptRunner, RefusesWhatIsNotAScript) {
  for (const std::string wrong : {"hello", "> S", "> Q 0:0(0)", "> . 1:3(1) ack 1",
                                  "> . 1:2(1) ack 1 \"two\"", "> . 1:2(1)", "set colour 3",
                                  "> . 1:2(1) ack 1 frag 8", "> . 1:2(1) ack 1 frag 16:8",
                                  "> . 1:2(1) ack 1 frag 0:8-", "> . 1:2(1) ack 1 in wonderland 1",
                                  "> . 1:2(1) ack 1 in gre", "> . 1:2(1) ack 1 ttl",
                                  "> . 1:2(1) ack 1 <ext nothing>", "> . 1:2(1) ack 1 <mss>x",
                                  "set only ipx", "set hosts three"}) {
    EXPECT_THROW(play_all(parse_script("wrong", wrong)), std::exception) << wrong;
  }
}

}  // namespace
}  // namespace flowloom::test
