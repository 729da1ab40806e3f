// What tells a probe from ordinary traffic: flags alone, and what both sides did.
#include "inspect/probe_judge.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace flowloom {
namespace {

constexpr PortPair kUp{40000, 80};
constexpr PortPair kDown{80, 40000};

TEST(ScanKindOf, EveryCombinationOfTheSixControlBits) {
  // Independent of the code: who has SYN, RST, FIN, ACK, URG, PSH, written out by rule.
  for (unsigned bits = 0; bits < 256; ++bits) {
    const bool fin = bits & 1, syn = bits & 2, rst = bits & 4, ack = bits & 16, urg = bits & 32;
    std::optional<ScanKind> expected;
    if (!rst && !syn && !fin && !ack) {
      expected = (bits & 0x3f) == 0 ? ScanKind::Null : ScanKind::Odd;
    } else if (!rst && syn && !ack) {
      expected = fin ? ScanKind::Odd : ScanKind::Syn;
    } else if (!rst && !syn && fin) {
      expected = ack ? ScanKind::Maimon : urg ? ScanKind::Xmas : ScanKind::Fin;
    } else if (!rst && !syn && ack) {
      expected = ScanKind::Ack;
    }
    EXPECT_EQ(scan_kind_of(TcpFlags{static_cast<std::uint8_t>(bits)}), expected) << bits;
  }
}

TEST(MayBeProbe, BareAcksAndFinsOnlyTowardsAServer) {
  EXPECT_TRUE(may_be_probe(kAck, {20, 443}, 0)) << "crafted packets come from any port";
  EXPECT_FALSE(may_be_probe(kAck, {20, 1024}, 0));
  EXPECT_TRUE(may_be_probe(kAck, kUp, 0));
  EXPECT_FALSE(may_be_probe(kAck, kDown, 0));
  EXPECT_FALSE(may_be_probe(kAck | kPsh, kUp, 0));
  EXPECT_TRUE(may_be_probe(kFin | kAck, kUp, 0));
  EXPECT_FALSE(may_be_probe(kFin | kAck, kDown, 0));
  for (const PortPair ports : {kUp, kDown}) {
    EXPECT_TRUE(may_be_probe(kSyn, ports, 0));
    EXPECT_TRUE(may_be_probe(kSyn | kEce | kCwr, ports, 0));
    EXPECT_TRUE(may_be_probe(TcpFlags{}, ports, 0));
    EXPECT_TRUE(may_be_probe(kFin | kPsh | kUrg, ports, 0));
    EXPECT_FALSE(may_be_probe(kSyn | kAck, ports, 0));
    EXPECT_FALSE(may_be_probe(kRst, ports, 0));
    EXPECT_FALSE(may_be_probe(kSyn, ports, 1)) << "what carries data is used";
  }
}

ContactFacts facts(TcpFlags first) {
  ContactFacts f;
  f.first_flags = first;
  f.sender.packets = 1;
  return f;
}

std::string verdict(const ContactFacts& f) {
  const std::optional<Probe> probe = judge_contact(f);
  if (!probe) return "ordinary";
  return std::string(kScanKindNames[static_cast<std::size_t>(probe->kind)]) + " " +
         std::string(kProbeAnswerNames[static_cast<std::size_t>(probe->answer)]);
}

TEST(JudgeSyn, RefusedAndUnansweredByTheFormOfTheSyn) {
  ContactFacts f = facts(kSyn);
  EXPECT_EQ(verdict(f), "connect silence");
  f.bare_syn = true;
  EXPECT_EQ(verdict(f), "syn silence");
  f.target.packets = 1;
  f.target.rst = true;
  EXPECT_EQ(verdict(f), "syn refused");
  f.bare_syn = false;
  EXPECT_EQ(verdict(f), "connect refused");
}

TEST(JudgeSyn, WhoGoesOnWasAnswered) {
  ContactFacts f = facts(kSyn); // the answer was not captured
  f.sender.ack = true;
  EXPECT_EQ(verdict(f), "ordinary");
  f = facts(kSyn);
  f.sender.payload_bytes = 1;
  EXPECT_EQ(verdict(f), "ordinary");
  f = facts(kSyn);
  f.sender.fin = true;
  EXPECT_EQ(verdict(f), "ordinary");
}

TEST(JudgeSyn, HandshakesThatAreBrokenOffOrCompleted) {
  ContactFacts f = facts(kSyn);
  f.target.packets = 1;
  f.target.syn_ack = true;
  EXPECT_EQ(verdict(f), "syn accepted");
  f.sender.rst = f.sender_ended_first = true;
  EXPECT_EQ(verdict(f), "syn accepted");
  f.sender.ack = true;
  EXPECT_EQ(verdict(f), "connect accepted");
  f.target.payload_bytes = kBannerBytesMax;
  EXPECT_EQ(verdict(f), "connect accepted") << "a banner is said unasked";
  f.target.payload_bytes = kBannerBytesMax + 1;
  EXPECT_EQ(verdict(f), "ordinary");
  f.target.payload_bytes = 0;
  f.sender.payload_bytes = 1;
  EXPECT_EQ(verdict(f), "ordinary");
}

TEST(JudgeSyn, AnIdleConnectionOrOneThatTheServerEndedIsOrdinary) {
  ContactFacts f = facts(kSyn);
  f.target.packets = 1;
  f.target.syn_ack = true;
  f.sender.ack = true;
  EXPECT_EQ(verdict(f), "ordinary") << "opened ahead of its use";
  f.target.fin = true;
  f.sender.fin = true;
  EXPECT_EQ(verdict(f), "ordinary");
}

TEST(JudgeFlags, RefusedOrUnansweredButNotAnsweredOtherwise) {
  const std::map<std::string, TcpFlags> kinds = {
      {"null", TcpFlags{}},  {"fin", kFin},        {"xmas", kFin | kPsh | kUrg},
      {"ack", kAck},         {"maimon", kFin | kAck}, {"odd", kSyn | kFin},
      {"odd", kPsh | kUrg}};
  for (const auto& [name, flags] : kinds) {
    ContactFacts f = facts(flags);
    EXPECT_EQ(verdict(f), name + " silence");
    f.target.packets = 1;
    EXPECT_EQ(verdict(f), "ordinary") << name << ": the target knows the connection";
    f.target.rst = true;
    EXPECT_EQ(verdict(f), name + " refused");
    f.target.payload_bytes = 1;
    EXPECT_EQ(verdict(f), "ordinary") << name;
  }
}

TEST(JudgeFlags, WhoKeepsAcknowledgingIsInAConnection) {
  for (const TcpFlags flags : {kAck, kFin | kAck}) {
    ContactFacts f = facts(flags);
    f.sender.packets = 2;
    EXPECT_NE(verdict(f), "ordinary");
    f.sender.packets = 3;
    EXPECT_EQ(verdict(f), "ordinary");
  }
}

}  // namespace
}  // namespace flowloom
