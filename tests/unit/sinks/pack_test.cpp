// The packed output: what went in comes out, through every damage that a disk or a kill can do.
// The oracle is what the builder put into the messages, not the writer.
#include "sinks/pack_replay.hpp"
#include "sinks/pack_sink.hpp"

#include "sink_test_support.hpp"
#include "sinks/chain_reader.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>
#include <utility>

namespace flowloom {
namespace {

using test::feed;
using test::held_at;
using test::kOrig;
using test::kResp;
using test::MessageBuilder;

/// Collects what a replay shows its sinks.
class Collector final : public Sink {
 public:
  struct Connection {
    std::array<std::string, 2> bytes;
    std::array<std::size_t, 2> gaps{};
    std::size_t conflicts = 0;
    bool closed = false;
  };
  explicit Collector(std::map<std::uint64_t, Connection>& all) : all_(all) {}
  void consume(StreamEvent& event) override {
    Connection& mine = all_[event.record().first_packet];
    for (unsigned d = 0; d < 2; ++d) {
      for_each_piece(event.message().data[d], [&](ByteView piece) {
        mine.bytes[d].append(reinterpret_cast<const char*>(piece.data()), piece.size());
      });
      mine.gaps[d] += event.message().gaps[d].bytes / sizeof(Gap);
    }
    mine.conflicts += event.message().conflicts.bytes / sizeof(ConflictEntry);
    mine.closed = event.closes();
  }
  void finish() override {}
  [[nodiscard]] WriterStatus status() const override { return {}; }

 private:
  std::map<std::uint64_t, Connection>& all_;
};

class PackTest : public ::testing::Test {
 protected:
  PackTest() { std::filesystem::create_directory(folder_ / "pack"); }
  PackSink make(PackCompression compression = {}) {
    return PackSink(test::open_folder(folder_ / "pack"), {.compression = compression});
  }
  /// Connections 1..count, each with bytes of its own; every third in two messages.
  void write(std::uint64_t count, std::size_t bytes, PackCompression compression = {}) {
    PackSink sink = make(compression);
    for (std::uint64_t n = 1; n <= count; ++n) {
      MessageBuilder first(8192);
      first.number(n).data(kOrig, content(n, 0, bytes)).data(kResp, content(n, 1, 2 * bytes));
      if (n % 3 != 0) {
        feed(sink, first);
        continue;
      }
      first.progress();
      feed(sink, first);
      MessageBuilder last(8192);
      last.after(first.message()).data(kOrig, content(n, 2, 5));
      feed(sink, last);
    }
    sink.finish();
    status_ = sink.status();
  }
  /// Connections 1..count; of two in three the bytes come first, and the record when twenty others
  /// have begun.
  void write_early(std::uint64_t count, std::size_t bytes) {
    constexpr std::uint32_t kLater = 20;
    PackSink sink = make();
    std::array<StreamMessage, kLater> waiting;
    for (std::uint64_t n = 1; n <= count + kLater; ++n) {
      StreamMessage& earlier = waiting[n % kLater];
      if (earlier.ticket != 0) {
        MessageBuilder last;
        last.closes(std::exchange(earlier, {}));
        feed(sink, last);
      }
      if (n > count) continue;
      MessageBuilder builder(8192);
      builder.number(n).data(kOrig, content(n, 0, bytes)).data(kResp, content(n, 1, 2 * bytes));
      if (n % 3 == 0) {
        builder.data(kOrig, content(n, 2, 5));
        feed(sink, builder);
        continue;
      }
      builder.early(1 + static_cast<std::uint32_t>(n % kLater));
      test::feed(sink, builder);
      earlier.record = builder.record();
      earlier.ticket = builder.message().ticket;
    }
    sink.finish();
    status_ = sink.status();
  }
  static std::string content(std::uint64_t n, unsigned part, std::size_t bytes) {
    std::mt19937_64 random(n * 3 + part);
    std::string text(bytes, '\0');
    for (char& c : text) c = static_cast<char>(random() % 7);  // compresses
    return text;
  }
  PackReplay::Counts read(const PackReplay::Wanted& wanted = {}) {
    found_.clear();
    PackReader reader(folder_ / "pack");
    EXPECT_EQ("", reader.error());
    PackReplay replay(reader, PackContent::Load, wanted);
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<Collector>(found_));
    WriterPipeline pipeline(std::move(sinks), {});
    replay.run(pipeline);
    problems_ = reader.problems();
    complete_ = reader.complete();
    return replay.counts();
  }
  void expect_content(std::uint64_t n, std::size_t bytes) {
    const auto& mine = found_.at(n);
    EXPECT_EQ(content(n, 0, bytes) + (n % 3 == 0 ? content(n, 2, 5) : ""), mine.bytes[0]) << n;
    EXPECT_EQ(content(n, 1, 2 * bytes), mine.bytes[1]) << n;
  }
  [[nodiscard]] std::string data_file() const { return folder_ / "pack/data-000000"; }
  [[nodiscard]] std::string index_file() const { return folder_ / "pack/index"; }

  test::TempFolder folder_;
  std::map<std::uint64_t, Collector::Connection> found_;
  std::vector<std::string> problems_;
  bool complete_ = false;
  WriterStatus status_;
};

TEST_F(PackTest, WhatGoesInComesOut) {
  constexpr std::size_t kBytes = 3000;
  for (const PackCodec codec : {PackCodec::Plain, PackCodec::Zstd}) {
    write(300, kBytes, {.codec = codec, .level = 1});
    EXPECT_EQ(300U, status_.records);
    EXPECT_EQ(0U, status_.dropped);
    EXPECT_EQ(300U * 3 * kBytes + 100 * 5, status_.bytes);
    const PackReplay::Counts counts = read();
    EXPECT_EQ(300U, counts.connections);
    EXPECT_EQ(0U, counts.damaged + counts.open);
    EXPECT_TRUE(complete_);
    for (std::uint64_t n = 1; n <= 300; ++n) expect_content(n, kBytes);
    const auto size = std::filesystem::file_size(data_file());
    EXPECT_EQ(codec == PackCodec::Zstd, size < status_.bytes / 2) << size;
    std::filesystem::remove_all(folder_ / "pack");
    std::filesystem::create_directory(folder_ / "pack");
  }
}

TEST_F(PackTest, BytesThatComeBeforeTheirRecord) {
  constexpr std::size_t kBytes = 3000;
  write_early(300, kBytes);
  EXPECT_EQ(300U, status_.records);
  EXPECT_EQ(300U * 3 * kBytes + 100 * 5, status_.bytes);
  const PackReplay::Counts counts = read();
  EXPECT_EQ(300U, counts.connections);
  EXPECT_EQ(0U, counts.damaged + counts.open);
  for (std::uint64_t n = 1; n <= 300; ++n) expect_content(n, kBytes);
}

TEST_F(PackTest, EveryFieldOfARecord) {
  MessageBuilder builder(16);
  ConnectionRecord& r = builder.record();
  builder.endpoints(
      test::endpoint_v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 65535),
      test::endpoint_v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4}, 443));
  r.first_packet = std::uint64_t{3} << 56 | 77;
  r.first_sequence = SeqNum(0xfffffff0);
  r.reuse = 4'000'000'000;
  r.start = kTimeMin;
  r.end = kTimeMax;
  r.close = CloseReason::Reused;
  r.state = ConnState::Rstrh;
  r.originator = KeySide::Upper;
  r.midstream = true;
  r.history_length = kHistoryMax;
  r.history.fill('D');
  r.encapsulation.count = kMaxEncapsulationLayers;
  for (std::uint32_t i = 0; i < kMaxEncapsulationLayers; ++i) {
    r.encapsulation.layers[i] = {static_cast<EncapsulationLayer::Kind>(i % 3), UINT32_MAX - i};
  }
  for (std::size_t i = 0; i < kAnomalyCount; i += 2) {
    r.anomalies[i] = static_cast<std::uint32_t>(1 + i);
  }
  r.sides[0].urgent_bytes = 9;
  r.sides[0].urgent_offsets = {-1, INT64_MAX, INT64_MIN, 0, 1, 2, 3, 4};
  r.sides[1].origin = -20;
  r.sides[1].retransmissions = UINT64_MAX;
  builder.data(kOrig, "abc").gap(kResp, {.offset = -5, .length = 7, .cause = GapCause::Cut});
  builder.conflict(kOrig, held_at(-10, 1), "a", "b");
  const std::string uid = "C123456789012345678";
  PackEncoder encoder;
  encoder.add(builder.message(), uid,
              {.offset = {builder.message().data_offset[0], builder.message().data_offset[1]},
               .extent = {PackExtent{7, 3}, PackExtent{UINT64_MAX - 1, 0}}});
  ByteView bytes = encoder.bytes();
  PackEntry entry;
  ASSERT_TRUE(decode_pack_entry(bytes, entry));
  EXPECT_TRUE(bytes.empty());
  EXPECT_EQ(uid, entry.uid);
  EXPECT_EQ(PackEntry::Kind::Close, entry.kind);
  EXPECT_TRUE(entry.first);
  // Trivially copyable and value-initialised: what differs is a field that was forgotten.
  IdMaker ids;
  EXPECT_EQ(ids.uid(r).view(), ids.uid(entry.record).view());
  EXPECT_EQ(r.end, entry.record.end);
  EXPECT_EQ(r.close, entry.record.close);
  EXPECT_EQ(r.state, entry.record.state);
  EXPECT_EQ(r.originator, entry.record.originator);
  EXPECT_EQ(r.midstream, entry.record.midstream);
  EXPECT_EQ(r.established, entry.record.established);
  EXPECT_EQ(r.history, entry.record.history);
  EXPECT_EQ(r.anomalies, entry.record.anomalies);
  EXPECT_EQ(r.sides[0].urgent_offsets, entry.record.sides[0].urgent_offsets);
  EXPECT_EQ(r.sides[1].origin, entry.record.sides[1].origin);
  EXPECT_EQ(UINT64_MAX, entry.record.sides[1].retransmissions);
  EXPECT_EQ(r.sides[0].endpoint, entry.record.sides[0].endpoint);
  EXPECT_EQ(7U, entry.data[0].at);
  ASSERT_EQ(1U, entry.gaps[1].size());
  EXPECT_EQ(-5, entry.gaps[1][0].offset);
  EXPECT_EQ(GapCause::Cut, entry.gaps[1][0].cause);
  ASSERT_EQ(1U, entry.conflicts.size());
  EXPECT_EQ(-10, entry.conflicts[0].position);
}

// Who writes lists of gaps and conflicts adds and subtracts these.
TEST_F(PackTest, PlacesThatNoStreamHasMakeNoSense) {
  constexpr StreamOffset kFar = INT64_MAX - 5;
  const auto decodes = [](MessageBuilder& builder) {
    PackEncoder encoder;
    encoder.add(builder.message(), "C123456789012345678", {});
    ByteView bytes = encoder.bytes();
    PackEntry entry;
    return decode_pack_entry(bytes, entry);
  };
  MessageBuilder good;
  good.gap(kOrig, {.offset = 3, .length = 7, .cause = GapCause::Cut});
  good.conflict(kOrig, held_at(5, 1), "a", "b");
  EXPECT_TRUE(decodes(good));
  for (const Gap& gap : {Gap{kFar, 7, GapCause::Cut}, Gap{INT64_MIN, 7, GapCause::Cut},
                         Gap{3, INT64_MAX, GapCause::Cut}, Gap{3, 0, GapCause::Cut},
                         Gap{3, -7, GapCause::Cut}}) {
    MessageBuilder builder;
    builder.gap(kOrig, gap);
    EXPECT_FALSE(decodes(builder)) << gap.offset << " " << gap.length;
  }
  for (const Conflict& conflict :
       {held_at(kFar, 1), held_at(INT64_MIN, 1), held_at(5, 0), held_at(5, -1)}) {
    MessageBuilder builder;
    builder.conflict(kOrig, conflict, "", "");
    EXPECT_FALSE(decodes(builder)) << conflict.position << " " << conflict.length;
  }
  MessageBuilder far_origin;
  far_origin.record().sides[1].origin = INT64_MIN;
  EXPECT_FALSE(decodes(far_origin));
}

TEST_F(PackTest, EntriesThatAreCutOrChangedAreNoneAndHarmless) {
  MessageBuilder builder;
  builder.data(kOrig, "abc").gap(kOrig, {.offset = 3, .length = 7, .cause = GapCause::Cut});
  PackEncoder encoder;
  encoder.add(builder.message(), "C123456789012345678", {});
  const ByteView whole = encoder.bytes();
  PackEntry entry;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ByteView cut = whole.first(size);
    EXPECT_FALSE(decode_pack_entry(cut, entry)) << size;
  }
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::uint8_t> changed(whole.begin(), whole.end());
    for (int n = 0; n < 3; ++n) {
      changed[4 + random() % (changed.size() - 4)] = static_cast<std::uint8_t>(random());
    }
    ByteView view = changed;
    decode_pack_entry(view, entry);  // whatever it says: within its bytes
    EXPECT_LE(entry.gaps[0].size() + entry.gaps[1].size(), whole.size());
  }
}

/// What a killed writer leaves is a prefix of each file. Every connection that the index names
/// whole must come out whole, the others must be counted, nothing may be made up.
TEST_F(PackTest, EveryPrefixOfTheIndexIsAPack) {
  write(900, 2000);  // several index blocks
  const std::string index = test::read_file(index_file());
  std::uint64_t before = 0;
  for (std::size_t cut = 32; cut < index.size(); cut += 997) {
    test::write_file(index_file(), index.substr(0, cut));
    const PackReplay::Counts counts = read();
    EXPECT_FALSE(complete_);
    EXPECT_EQ(0U, counts.damaged);
    EXPECT_GE(counts.connections, before);
    before = counts.connections;
    for (const auto& [n, connection] : found_) {
      if (connection.closed) expect_content(n, 2000);
    }
  }
  EXPECT_GT(before, 100U);
}

TEST_F(PackTest, DamagedDataIsFoundAndCosts) {
  write(300, 3000);
  std::string data = test::read_file(data_file());
  data[kPackBlockBytes + kPackBlockBytes / 2] ^= 1;  // in the second block
  test::write_file(data_file(), data);
  const PackReplay::Counts counts = read();
  EXPECT_EQ(300U, counts.connections + counts.damaged);
  // A block holds a good 29 of them, and lies in at most two more.
  EXPECT_GE(counts.damaged, 29U);
  EXPECT_LE(counts.damaged, 31U);
  ASSERT_EQ(1U, problems_.size());
  EXPECT_NE(std::string::npos, problems_[0].find("is damaged")) << problems_[0];
  for (const auto& [n, connection] : found_) {
    if (connection.closed) expect_content(n, 3000);
  }
}

TEST_F(PackTest, DamagedIndexBlockIsPassedOver) {
  write(1500, 100);
  std::string index = test::read_file(index_file());
  index[100] ^= 1;
  test::write_file(index_file(), index);
  const PackReplay::Counts counts = read();
  EXPECT_TRUE(complete_);
  EXPECT_EQ(1U, problems_.size());
  EXPECT_LT(counts.connections, 1500U);
}

TEST_F(PackTest, ADataFileThatIsGoneCostsItsConnectionsOnly) {
  write(10, 100);
  std::filesystem::remove(data_file());
  const PackReplay::Counts counts = read();
  EXPECT_EQ(0U, counts.connections);
  EXPECT_EQ(10U, counts.damaged);
}

TEST_F(PackTest, OnlyWhatIsWanted) {
  write(30, 100);
  const PackReplay::Counts counts = read([](const ConnectionRecord& r, std::string_view) {
    return r.first_packet == 9 || r.first_packet == 10;
  });
  EXPECT_EQ(2U, counts.connections);
  ASSERT_EQ(2U, found_.size());
  expect_content(9, 100);
  expect_content(10, 100);
}

TEST_F(PackTest, NoPack) {
  EXPECT_NE("", PackReader(folder_ / "none").error());
  EXPECT_NE("", PackReader(folder_.path()).error());
  test::write_file(index_file(), "something else that is longer than a header");
  EXPECT_NE(std::string::npos,
            PackReader(folder_ / "pack").error().find("no file of a pack"));
}

/// A full disk: what could be written is whole and readable, the rest is counted to the byte.
TEST_F(PackTest, FullDisk) {
  constexpr std::size_t kBytes = 3000;
  {
    const test::FileSizeLimit limit(700'000);  // two blocks of data
    write(300, kBytes);
  }
  EXPECT_NE("", status_.first_error);
  EXPECT_EQ(300U, status_.records + status_.dropped);
  EXPECT_GT(status_.records, 30U);
  EXPECT_EQ(300U * 3 * kBytes + 100 * 5, status_.bytes + status_.dropped_bytes);
  const PackReplay::Counts counts = read();
  EXPECT_EQ(status_.records, counts.connections);
  EXPECT_TRUE(problems_.empty());
  for (const auto& [n, connection] : found_) {
    if (connection.closed) expect_content(n, kBytes);
  }
}

/// The same where bytes were lost long before their record comes.
TEST_F(PackTest, FullDiskBeforeTheRecord) {
  constexpr std::size_t kBytes = 3000;
  {
    const test::FileSizeLimit limit(700'000);
    write_early(300, kBytes);
  }
  EXPECT_EQ(300U, status_.records + status_.dropped);
  EXPECT_GT(status_.records, 30U);
  EXPECT_EQ(300U * 3 * kBytes + 100 * 5, status_.bytes + status_.dropped_bytes);
  const PackReplay::Counts counts = read();
  EXPECT_EQ(status_.records, counts.connections);
  for (const auto& [n, connection] : found_) expect_content(n, kBytes);
}

/// Space that comes back is used.
TEST_F(PackTest, DiskThatIsFullForAWhile) {
  PackSink sink = make();
  const auto say = [&](std::uint64_t n) {
    MessageBuilder builder(8192);
    builder.number(n).data(kOrig, content(n, 0, 1000)).data(kResp, content(n, 1, 2000));
    feed(sink, builder);
  };
  std::uint64_t n = 1;
  for (; n <= 200; ++n) say(2 * 3 * n + 1);
  {
    const test::FileSizeLimit limit(400'000);
    for (; n <= 400; ++n) say(2 * 3 * n + 1);
  }
  for (; n <= 600; ++n) say(2 * 3 * n + 1);
  sink.finish();
  EXPECT_EQ(600U, sink.status().records + sink.status().dropped);
  const PackReplay::Counts counts = read();
  EXPECT_EQ(sink.status().records, counts.connections);
  EXPECT_GT(counts.connections, 200U);
  for (const auto& [number, connection] : found_) expect_content(number, 1000);
}

}  // namespace
}  // namespace flowloom
