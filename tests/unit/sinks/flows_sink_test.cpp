// flows.jsonl is a contract: the text is compared byte by byte, and parsed by another library.
#include "sinks/flows_sink.hpp"

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

class FlowsSinkTest : public ::testing::Test {
 protected:
  std::string text_of(StreamEvent& event, WithSha256 with = WithSha256::No) {
    FlowsSink sink(RecordWriter("flows", test::create_file(folder_ / "flows.jsonl")), with);
    sink.consume(event);
    sink.finish();
    return test::read_file(folder_ / "flows.jsonl");
  }
  std::string text_of(MessageBuilder& builder) {
    StreamEvent event(builder.message(), ids_);
    return text_of(event);
  }

  test::TempFolder folder_;
  IdMaker ids_;
};

MessageBuilder example() {
  MessageBuilder builder;
  builder.data(kOrig, std::string(476, 'o')).data(kResp, std::string(435, 'r'));
  builder.gap(kResp, {.offset = 100, .length = 1460, .cause = GapCause::CaptureLoss});
  builder.gap(kResp, {.offset = 1600, .length = 5, .cause = GapCause::Cut});
  ConnectionRecord& record = builder.record();
  record.start = from_nanoseconds(1096281006123456789);
  record.end = from_nanoseconds(1096281007000000001);
  record.first_sequence = SeqNum(0x12345678);
  record.sides[0].packets = 6;
  record.sides[0].ip_bytes = 724;
  record.sides[1].duplicate_bytes = 1;
  record.sides[1].overlap_conflicts = 2;
  record.sides[1].out_of_order = 3;
  record.sides[1].retransmissions = 4;
  record.sides[1].urgent_bytes = 5;
  record.sides[1].urgent_offsets = {0, 7, 9, 100, 1599};
  record.history_length = 8;
  std::string_view("ShADadFf").copy(record.history.data(), 8);
  return builder;
}

TEST_F(FlowsSinkTest, WholeRecordAsTheContractHasIt) {
  MessageBuilder builder = example();
  ConnectionRecord& record = builder.record();
  record.encapsulation.count = 3;
  record.encapsulation.layers[0] = {EncapsulationLayer::Kind::Vlan, 100};
  record.encapsulation.layers[1] = {EncapsulationLayer::Kind::Vlan, 7};
  record.encapsulation.layers[2] = {EncapsulationLayer::Kind::Mpls, 16};
  record.midstream = true;
  record.anomalies[static_cast<std::size_t>(Anomaly::ZeroWindow)] = 2;
  record.anomalies[static_cast<std::size_t>(Anomaly::AckUnseen)] = 1;
  StreamEvent event(builder.message(), ids_);
  event.files[0].push("streams/a");
  const std::string uid(event.uid());
  EXPECT_EQ(
      R"({"uid":")" + uid + R"(","community_id":")" +
          std::string(ids_.community_id(record).view()) +
          R"(","start":"2004-09-27T10:30:06.123456789Z","end":"2004-09-27T10:30:07.000000001Z",)"
          R"("vlan":[100,7],"tunnel":["mpls:16"],)"
          R"("orig":{"addr":"10.1.1.101","port":3177,"packets":6,"ip_bytes":724,)"
          R"("payload_bytes":476,"stream_bytes":476,"gap_bytes":0,"gaps":[],)"
          R"("duplicate_bytes":0,"overlap_conflicts":0,"out_of_order":0,"retransmissions":0,)"
          R"("urgent_bytes":0,"file":"streams/a"},)"
          R"("resp":{"addr":"10.1.1.1","port":80,"packets":0,"ip_bytes":0,)"
          R"("payload_bytes":435,"stream_bytes":435,"gap_bytes":1465,)"
          R"("gaps":[{"offset":100,"length":1460,"cause":"capture-loss"},)"
          R"({"offset":1600,"length":5,"cause":"cut"}],)"
          R"("duplicate_bytes":1,"overlap_conflicts":2,"out_of_order":3,"retransmissions":4,)"
          R"("urgent_bytes":5,"urgent_offsets":[0,7,9,100,1599]},)"
          R"("close":"fin","state":"SF","history":"ShADadFf","midstream":true,)"
          R"("anomalies":{"ack_unseen_segment":1,"window_zero":2}})"
          "\n",
      text_of(event));
}

TEST_F(FlowsSinkTest, PlainUidWithoutTags) {
  MessageBuilder builder = example();
  EXPECT_EQ(0u, text_of(builder).find(R"({"uid":"CzYVD3Dq9b5qz0RcYAs","community_id":"1:)"));
}

TEST_F(FlowsSinkTest, AbsentMeansNotKnown) {
  MessageBuilder builder = example();
  rapidjson::Document json;
  json.Parse(text_of(builder).c_str());
  ASSERT_FALSE(json.HasParseError());
  for (const char* key : {"vlan", "tunnel", "midstream"}) EXPECT_FALSE(json.HasMember(key)) << key;
  for (const char* key : {"file", "sha256", "gaps_unlisted", "conflicts"}) {
    EXPECT_FALSE(json["orig"].HasMember(key)) << key;
  }
  EXPECT_TRUE(json["anomalies"].IsObject());
  EXPECT_TRUE(json["orig"]["gaps"].IsArray());
}

TEST_F(FlowsSinkTest, EveryEnumeratorAndExtremesParse) {
  FlowsSink sink(RecordWriter("flows", test::create_file(folder_ / "all")), WithSha256::No);
  int records = 0;
  for (std::size_t close = 0; close < kCloseReasonNames.size(); ++close) {
    for (std::size_t state = 0; state < kConnStateNames.size(); ++state, ++records) {
      MessageBuilder builder;
      ConnectionRecord& record = builder.record();
      record.close = static_cast<CloseReason>(close);
      record.state = static_cast<ConnState>(state);
      record.start = kTimeMin;
      record.end = kTimeMax;
      record.sides[0].ip_bytes = UINT64_MAX;
      record.anomalies.fill(UINT32_MAX);
      record.history.fill('D');
      record.history_length = 255;
      builder.gap(kOrig, {.offset = INT64_MIN, .length = INT64_MAX, .cause = GapCause::Unknown});
      test::feed(sink, builder);
    }
  }
  sink.finish();
  std::istringstream lines(test::read_file(folder_ / "all"));
  for (std::string line; std::getline(lines, line); --records) {
    rapidjson::Document json;
    json.Parse(line.c_str());
    ASSERT_FALSE(json.HasParseError()) << line;
    EXPECT_EQ(UINT64_MAX, json["orig"]["ip_bytes"].GetUint64());
    EXPECT_EQ(kAnomalyCount, json["anomalies"].MemberCount());
    EXPECT_EQ(kHistoryMax, json["history"].GetStringLength());
  }
  EXPECT_EQ(0, records);
}

TEST_F(FlowsSinkTest, Ipv6Addresses) {
  MessageBuilder builder;
  builder.endpoints(test::endpoint_v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 1),
                    test::endpoint_v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, 2));
  const std::string text = text_of(builder);
  EXPECT_NE(std::string::npos, text.find(R"("orig":{"addr":"2001:db8::1","port":1)"));
  EXPECT_NE(std::string::npos, text.find(R"("resp":{"addr":"fe80::2","port":2)"));
}

TEST_F(FlowsSinkTest, GapsOfEarlierMessagesComeFirstAndMissingOnesAreCounted) {
  MessageBuilder builder;
  builder.gap(kOrig, {.offset = 50, .length = 2, .cause = GapCause::NetworkLoss});
  builder.record().sides[0].gap_count = 5;
  GapLists earlier;
  earlier[0].push_back({.offset = 10, .length = 1, .cause = GapCause::Unknown});
  StreamEvent event(builder.message(), ids_);
  event.earlier_gaps = &earlier;
  EXPECT_NE(std::string::npos,
            text_of(event).find(R"("gaps":[{"offset":10,"length":1,"cause":"unknown"},)"
                                R"({"offset":50,"length":2,"cause":"network-loss"}],)"
                                R"("gaps_unlisted":3,"duplicate_bytes")"));
}

TEST_F(FlowsSinkTest, ListOfGapsIsBounded) {
  MessageBuilder builder(4096);
  for (std::size_t i = 0; i < kListedGapsMax + 10; ++i) {
    builder.gap(kOrig,
                {.offset = static_cast<StreamOffset>(2 * i), .length = 1, .cause = GapCause::Cut});
  }
  rapidjson::Document json;
  json.Parse(text_of(builder).c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_EQ(kListedGapsMax, json["orig"]["gaps"].Size());
  EXPECT_EQ(10u, json["orig"]["gaps_unlisted"].GetUint64());
}

TEST_F(FlowsSinkTest, ConflictsAreListedWithTheirOffsets) {
  MessageBuilder builder(10);
  builder.conflict(kResp, held_at(3, 2), "ab", "cd");
  builder.conflict(kOrig, held_at(8, 1), "", "");
  builder.conflict(kResp, replaced_at(-6, 9), "a", "b");
  builder.conflict(kResp, replaced_at(-9, 9), "a", "b");
  builder.record().sides[1].origin = -7;
  ConflictLists earlier;
  earlier[0].push_back(
      {.position = 0, .length = 4, .winner = Conflict::Winner::Held, .sender = KeySide::Upper});
  builder.record().sides[1].conflict_count += 3;
  StreamEvent event(builder.message(), ids_);
  event.earlier_conflicts = &earlier;
  const std::string text = text_of(event);
  EXPECT_NE(std::string::npos, text.find(R"("overlap_conflicts":0,)"
                                         R"("conflicts":[{"offset":8,"length":1}],"out_of_order")"))
      << text;
  EXPECT_NE(std::string::npos,
            text.find(R"("conflicts":[{"offset":7,"length":4},{"offset":10,"length":2},)"
                      R"({"offset":1,"length":9}],"conflicts_unlisted":3,"out_of_order")"))
      << text;
}

TEST_F(FlowsSinkTest, ListOfConflictsIsBounded) {
  MessageBuilder builder;
  for (std::size_t i = 0; i < kListedConflictsMax + 5; ++i) {
    const auto position = static_cast<StreamOffset>(2 * i);
    builder.conflict(kOrig, held_at(position, 1), "a", "b");
  }
  rapidjson::Document json;
  json.Parse(text_of(builder).c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_EQ(kListedConflictsMax, json["orig"]["conflicts"].Size());
  EXPECT_EQ(5u, json["orig"]["conflicts_unlisted"].GetUint64());
}

TEST_F(FlowsSinkTest, ProgressWritesNothing) {
  MessageBuilder builder;
  builder.data(kOrig, "x").progress();
  EXPECT_EQ("", text_of(builder));
}

}  // namespace
}  // namespace flowloom
