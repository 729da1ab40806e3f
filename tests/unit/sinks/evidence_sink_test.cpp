// evidence.jsonl: both versions of contradicted bytes, what was cut by number, and nothing that a
// packet carries as it is.
#include "sinks/evidence_sink.hpp"

#include "sink_test_support.hpp"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

namespace flowloom {
namespace {

using test::held_at;
using test::kOrig;
using test::kResp;
using test::MessageBuilder;
using test::replaced_at;

class EvidenceSinkTest : public ::testing::Test {
 protected:
  std::string text() {
    sink_.finish();
    return test::read_file(folder_ / "evidence.jsonl");
  }
  std::string uid(MessageBuilder& builder) {
    return std::string(StreamEvent(builder.message(), ids_).uid());
  }

  test::TempFolder folder_;
  IdMaker ids_;
  EvidenceSink sink_{RecordWriter("evidence", test::create_file(folder_ / "evidence.jsonl"))};
};

TEST_F(EvidenceSinkTest, BothVersionsAtTheirOffset) {
  MessageBuilder builder(7);  // entries and copies lie across blocks
  builder.record().sides[1].origin = -20;
  builder.conflict(kOrig, held_at(5, 3), std::string("\0\x7f\xff", 3), "<\"\n");
  builder.conflict(kResp, replaced_at(-10, 1), "a", "b");
  test::feed(sink_, builder);
  const std::string id = uid(builder);
  EXPECT_EQ(text(), R"({"uid":")" + id +
                        R"(","side":"orig","offset":5,"length":3,"winner":"held",)"
                        R"("held":"007fff","arrived":"3c220a"})" +
                        "\n" + R"({"uid":")" + id +
                        R"(","side":"resp","offset":10,"length":1,"winner":"arrived",)"
                        R"("held":"61","arrived":"62"})" +
                        "\n");
}

TEST_F(EvidenceSinkTest, WhatIsCutOrNotListedIsCounted) {
  MessageBuilder builder;
  builder.conflict(kResp, held_at(0, 100), "ab", "cd");
  builder.record().sides[0].conflict_count = 4;
  test::feed(sink_, builder);
  const std::string id = uid(builder);
  EXPECT_EQ(text(), R"({"uid":")" + id +
                        R"(","side":"resp","offset":0,"length":100,"winner":"held",)"
                        R"("held":"6162","arrived":"6364","cut":98})" +
                        "\n" + R"({"uid":")" + id +
                        R"(","side":"orig","conflicts_unlisted":4})" + "\n");
}

// An early message is written when it comes; the close counts them all.
TEST_F(EvidenceSinkTest, SeveralMessagesOfAConnection) {
  MessageBuilder first;
  first.progress().data(kOrig, "x").conflict(kOrig, held_at(1, 1), "a", "b");
  test::feed(sink_, first);
  MessageBuilder second;
  second.progress().after(first.message());
  test::feed(sink_, second);
  MessageBuilder last;
  last.after(second.message()).conflict(kOrig, held_at(2, 1), "c", "d");
  last.record().sides[0].conflict_count = 5;
  test::feed(sink_, last);
  const std::string all = text();
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 3);
  EXPECT_NE(all.find(R"("side":"orig","conflicts_unlisted":3})"), std::string::npos) << all;
}

// Picked up mid-stream, and sent away before it was known where it begins: says so.
TEST_F(EvidenceSinkTest, AnOriginThatMayStillMoveIsNotPretended) {
  MessageBuilder builder;
  builder.progress().conflict(kOrig, held_at(9, 1), "a", "b");
  builder.record().midstream = true;
  test::feed(sink_, builder);
  EXPECT_NE(text().find(R"("offset_from_first_seen":9,"length":1)"), std::string::npos);
}

TEST_F(EvidenceSinkTest, NothingWithoutConflicts) {
  MessageBuilder builder;
  builder.data(kOrig, "x");
  test::feed(sink_, builder);
  EXPECT_EQ(text(), "");
}

}  // namespace
}  // namespace flowloom
