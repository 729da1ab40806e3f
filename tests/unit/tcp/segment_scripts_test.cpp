// Plays every script of tests/scripts_tcp, or of the folder that the environment variable
// FLOWLOOM_SCRIPTS names; see tests/scripts_tcp/README.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
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

class SegmentScripts : public testing::TestWithParam<std::string> {};

TEST_P(SegmentScripts, HappenAsWritten) {
  const SegmentScript script = load_script(GetParam());
  const std::string failures = play_all(script);
  EXPECT_TRUE(failures.empty()) << failures;
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
