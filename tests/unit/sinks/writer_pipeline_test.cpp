// The pipeline: every sink sees every message in order, memory comes back, and the parallel path
// says what the straight one says.
#include "sinks/writer_pipeline.hpp"

#include "sink_test_support.hpp"
#include "sinks/counting_sink.hpp"
#include "sinks/flows_sink.hpp"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <algorithm>
#include <atomic>
#include <random>

namespace flowloom {
namespace {

using test::kOrig;
using test::kResp;
using test::MessageBuilder;
using test::RecordingOwner;

/// Notes the order of what it is told, and that nobody else is told at the same time.
class OrderSink final : public Sink {
 public:
  explicit OrderSink(std::vector<std::uint64_t>& seen) : seen_(seen) {}
  void consume(StreamEvent& event) override {
    EXPECT_EQ(0, inside_.fetch_add(1));
    seen_.push_back(event.record().first_packet);
    inside_.fetch_sub(1);
  }
  void finish() override {}
  [[nodiscard]] WriterStatus status() const override { return {}; }

 private:
  std::vector<std::uint64_t>& seen_;
  std::atomic<int> inside_ = 0;
};

/// Asks for the uid of everything it is told.
class UidSink final : public Sink {
 public:
  explicit UidSink(std::vector<std::string>& uids) : uids_(uids) {}
  [[nodiscard]] SinkNeeds needs() const override {
    return {.bytes = true, .early_bytes = EarlyBytes::Named};
  }
  void consume(StreamEvent& event) override { uids_.emplace_back(event.uid()); }
  void consume_bytes(StreamEvent& event) override { uids_.emplace_back(event.uid()); }
  void finish() override {}
  [[nodiscard]] WriterStatus status() const override { return {}; }

 private:
  std::vector<std::string>& uids_;
};

/// Short connections mixed with long ones whose messages lie between them.
std::vector<MessageBuilder> mixed_traffic(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<MessageBuilder> all;
  std::vector<std::size_t> running;
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < count; ++i) {
    MessageBuilder builder(2048);
    const bool starts = running.size() < 5 && random() % 20 == 0;
    const bool continues = !starts && !running.empty() && random() % 2 == 0;
    std::size_t slot = 0;
    if (continues) {
      slot = random() % running.size();
      builder.after(all[running[slot]].message());
    } else {
      builder.number(++number);
    }
    const bool ends = continues && random() % 10 == 0;
    if (starts || (continues && !ends)) builder.progress();
    builder.data(kOrig, std::string(random() % 3000, static_cast<char>(random())));
    builder.data(kResp, std::string(random() % 20000, static_cast<char>(random())));
    if (starts) running.push_back(i);
    if (continues && !ends) running[slot] = i;
    if (ends) running.erase(running.begin() + static_cast<std::ptrdiff_t>(slot));
    all.push_back(std::move(builder));
  }
  return all;
}

struct Outcome {
  std::string flows;
  std::vector<std::uint64_t> order;
  std::vector<StreamMessage*> returned;
};

Outcome run(std::vector<MessageBuilder>& traffic, const HeavySettings& settings,
            std::size_t batch_size) {
  test::TempFolder folder;
  Outcome outcome;
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<OrderSink>(outcome.order));
  sinks.push_back(std::make_unique<FlowsSink>(
      RecordWriter("flows", test::create_file(folder / "flows")), WithSha256::Yes));
  WriterPipeline pipeline(std::move(sinks), settings);
  RecordingOwner owner;
  std::vector<StreamMessage*> batch;
  for (MessageBuilder& builder : traffic) {
    batch.push_back(&builder.message());
    if (batch.size() < batch_size) continue;
    pipeline.consume(batch, owner);
    batch.clear();
  }
  pipeline.consume(batch, owner);
  pipeline.finish();
  outcome.returned = owner.returned;
  outcome.flows = test::read_file(folder / "flows");
  return outcome;
}

/// What a pipeline asks of workers with such sinks.
EarlyBytes early_bytes_with(std::initializer_list<SinkNeeds> needs) {
  class NeedySink final : public Sink {
   public:
    explicit NeedySink(const SinkNeeds& needs) : needs_(needs) {}
    [[nodiscard]] SinkNeeds needs() const override { return needs_; }
    void consume(StreamEvent&) override {}
    void finish() override {}
    [[nodiscard]] WriterStatus status() const override { return {}; }

   private:
    SinkNeeds needs_;
  };
  std::vector<std::unique_ptr<Sink>> sinks;
  for (const SinkNeeds& one : needs) sinks.push_back(std::make_unique<NeedySink>(one));
  return WriterPipeline(std::move(sinks), {}).needs().early_bytes;
}

// Bytes go early only where everybody who wants them agrees, and with names where one needs them.
TEST(WriterPipelineTest, BytesGoEarlyAsFarAsAllSinksAgree) {
  const SinkNeeds records = {.gap_lists = true};
  const SinkNeeds bare = {.bytes = true, .early_bytes = EarlyBytes::Bare};
  const SinkNeeds named = {.bytes = true, .early_bytes = EarlyBytes::Named};
  const SinkNeeds late = {.bytes = true};
  EXPECT_EQ(EarlyBytes::No, early_bytes_with({records}));
  EXPECT_EQ(EarlyBytes::Bare, early_bytes_with({records, bare}));
  EXPECT_EQ(EarlyBytes::Named, early_bytes_with({named, records, bare}));
  EXPECT_EQ(EarlyBytes::No, early_bytes_with({named, late, bare}));
  EXPECT_EQ(EarlyBytes::No, early_bytes_with({named, {.sha256 = true}}));
  EXPECT_EQ(EarlyBytes::No, early_bytes_with({named, {.packets = PacketsWanted::Summaries}}));
}

TEST(WriterPipelineTest, ParallelPathEqualsStraightPath) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    auto traffic = mixed_traffic(600, seed);
    const Outcome straight = run(traffic, {.threads = 1}, 64);
    ASSERT_EQ(traffic.size(), straight.order.size());
    for (const std::size_t batch : {1u, 7u, 64u, 600u}) {
      for (const std::uint64_t item : {1u, 4096u, 65536u}) {
        const Outcome parallel = run(traffic, {.threads = 3, .item_bytes = item}, batch);
        ASSERT_EQ(straight.flows, parallel.flows) << "seed " << seed << " batch " << batch;
        ASSERT_EQ(straight.order, parallel.order);
        ASSERT_EQ(straight.returned, parallel.returned);
      }
    }
  }
}

TEST(WriterPipelineTest, MessagesComeBackOnceAndInOrder) {
  auto traffic = mixed_traffic(200, 9);
  const Outcome outcome = run(traffic, {.threads = 2, .item_bytes = 1000}, 50);
  ASSERT_EQ(traffic.size(), outcome.returned.size());
  for (std::size_t i = 0; i < traffic.size(); ++i) {
    EXPECT_EQ(&traffic[i].message(), outcome.returned[i]);
  }
}

std::string sha256_of(const std::string& flows, const char* side) {
  rapidjson::Document json;
  json.Parse(flows.substr(flows.rfind("{\"uid\"")).c_str());
  return json[side]["sha256"].GetString();
}

/// Published test values: FIPS 180-2 for "abc", the well-known one for nothing.
TEST(WriterPipelineTest, KnownDigests) {
  std::vector<MessageBuilder> traffic(1);
  traffic[0].data(kOrig, "abc");
  const Outcome whole = run(traffic, {}, 1);
  EXPECT_EQ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            sha256_of(whole.flows, "orig"));
  EXPECT_EQ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            sha256_of(whole.flows, "resp"));
}

TEST(WriterPipelineTest, DigestRunsAcrossMessagesAndBatches) {
  std::vector<MessageBuilder> traffic(3);
  traffic[0].progress().data(kOrig, "a");
  traffic[1].progress().after(traffic[0].message()).data(kOrig, "b").data(kResp, "ab");
  traffic[2].after(traffic[1].message()).data(kOrig, "c").data(kResp, "c");
  for (const std::size_t batch : {1u, 2u, 3u}) {
    const Outcome outcome = run(traffic, {}, batch);
    for (const char* side : {"orig", "resp"}) {
      EXPECT_EQ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                sha256_of(outcome.flows, side));
    }
  }
}

TEST(WriterPipelineTest, GapsOfEarlierMessagesReachTheRecord) {
  std::vector<MessageBuilder> traffic(2);
  traffic[0].progress().data(kOrig, "a");
  traffic[0].gap(kOrig, {.offset = 1, .length = 5, .cause = GapCause::Cut});
  traffic[1].after(traffic[0].message()).data(kOrig, "b");
  traffic[1].gap(kOrig, {.offset = 7, .length = 2, .cause = GapCause::NetworkLoss});
  EXPECT_NE(std::string::npos,
            run(traffic, {}, 2)
                .flows.find(R"("gaps":[{"offset":1,"length":5,"cause":"cut"},)"
                            R"({"offset":7,"length":2,"cause":"network-loss"}],"dup)"));
}

MessageBuilder summary_at(std::int64_t seconds, std::uint64_t connections) {
  MessageBuilder builder;
  StreamMessage& message = builder.message();
  message.kind = StreamMessage::Kind::Summary;
  message.key.clock = from_nanoseconds(seconds * 1'000'000'000);
  message.summary.start = from_nanoseconds(seconds * 1'000'000'000 - 500);
  message.summary.end = message.key.clock;
  message.summary.connections = {connections, 0, 2, 0};
  message.summary.packets = connections + 2;
  message.summary.ip_bytes = 100;
  message.summary.payload_bytes = 2;
  message.summary.senders.add(connections << 60);
  message.summary.receivers.add(7);
  return builder;
}

// Each worker tells of the same second with the same key.
TEST(WriterPipelineTest, SummariesOfOneSecondAreOne) {
  for (const HeavySettings& settings : {HeavySettings{}, HeavySettings{.threads = 2}}) {
    std::vector<MessageBuilder> traffic;
    traffic.push_back(summary_at(1, 1));
    traffic.push_back(summary_at(1, 2));
    traffic.push_back(summary_at(2, 3));
    traffic.push_back(MessageBuilder{});
    traffic.push_back(summary_at(2, 4));
    const std::string flows = run(traffic, settings, 2).flows;
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < flows.size(); at = flows.find('\n', at) + 1) {
      lines.push_back(flows.substr(at, flows.find('\n', at) - at));
    }
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(lines[0],
              R"({"record":"summary","start":"1970-01-01T00:00:00.999999500Z",)"
              R"("end":"1970-01-01T00:00:01.000000000Z","close":"evicted","connections":7,)"
              R"("kinds":{"syn":3,"ack":0,"data":4,"other":0},"packets":7,"ip_bytes":200,)"
              R"("payload_bytes":4,"senders":2,"receivers":1})");
    EXPECT_NE(lines[1].find(R"("kinds":{"syn":3,"ack":0,"data":2,)"), std::string::npos);
    EXPECT_TRUE(lines[2].starts_with(R"({"uid":)"));
    EXPECT_NE(lines[3].find(R"("kinds":{"syn":4,"ack":0,"data":2,)"), std::string::npos);
  }
}

TEST(WriterPipelineTest, CountsForWriteNone) {
  auto traffic = mixed_traffic(100, 3);
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<CountingSink>());
  WriterPipeline pipeline(std::move(sinks), {});
  RecordingOwner owner;
  std::uint64_t bytes = 0;
  for (MessageBuilder& builder : traffic) {
    StreamMessage* message = &builder.message();
    bytes += message->data[0].bytes + message->data[1].bytes;
    pipeline.consume({&message, 1}, owner);
  }
  EXPECT_EQ(bytes, pipeline.statuses()[0].bytes);
  EXPECT_EQ(traffic.size(), owner.returned.size());
}

// The uid is kept from the bytes of a connection until its end, by a ticket that others use again.
TEST(WriterPipelineTest, EarlyBytesAndTheirEndHaveOneUid) {
  std::vector<std::string> uids;
  std::vector<std::string> expected;
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<UidSink>(uids));
  WriterPipeline pipeline(std::move(sinks), {});
  RecordingOwner owner;
  IdMaker ids;
  const auto consume = [&](MessageBuilder& builder) {
    StreamMessage* message = &builder.message();
    expected.emplace_back(ids.uid(builder.record()).view());
    pipeline.consume({&message, 1}, owner);
  };
  for (std::uint32_t n = 0; n < 6; ++n) {
    MessageBuilder bytes;
    bytes.number(n).data(kOrig, "early").early(1 + n / 3).record().reuse = n;
    consume(bytes);
    MessageBuilder whole;
    whole.number(100 + n).data(kOrig, "whole").record().reuse = 100 + n;
    consume(whole);
    MessageBuilder close;
    consume(close.closes(bytes.message()));
  }
  EXPECT_EQ(expected, uids);
}

}  // namespace
}  // namespace flowloom
