// Outputs that take nothing: waited for without end while the run goes on, given up in time when it
// is to end, and what they have not taken is counted; one that is only slow gets everything.
#include "sinks/write_patience.hpp"

#include "host/nudges.hpp"
#include "sink_test_support.hpp"
#include "sinks/record_writer.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <thread>

namespace flowloom {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr int kPipeBytes = 4096;
constexpr milliseconds kPatience{400};

/// With patience limited, and the calling thread woken again and again, as when a run is to end.
class WritePatienceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(0, ::pipe(ends));
    read_end_ = Descriptor(ends[0]);
    write_end_ = Descriptor(ends[1]);
    ASSERT_EQ(kPipeBytes, ::fcntl(write_end_.get(), F_SETPIPE_SZ, kPipeBytes));
  }
  void TearDown() override { limit_write_patience({}); }
  void begin_the_end() {
    limit_write_patience(kPatience);
    nudges_.begin();
  }

  Descriptor read_end_;
  Descriptor write_end_;
  Nudges nudges_;
};

TEST_F(WritePatienceTest, AnOutputThatTakesNothingFailsInTime) {
  begin_the_end();
  const std::string data(3 * kPipeBytes, 'x');
  const auto begin = Clock::now();
  const WriteResult result = write_fully(write_end_.get(), data.data(), data.size());
  EXPECT_EQ(kStoodStill, result.error);
  EXPECT_EQ(std::uint64_t{kPipeBytes}, result.written) << "what the pipe holds";
  EXPECT_GE(Clock::now() - begin, kPatience);
  EXPECT_LT(Clock::now() - begin, kPatience + std::chrono::seconds{2});
}

TEST_F(WritePatienceTest, SoDoesOneThatDoesNotBlock) {
  ASSERT_EQ(0, ::fcntl(write_end_.get(), F_SETFL, O_NONBLOCK));
  begin_the_end();
  const std::string data(3 * kPipeBytes, 'x');
  const WriteResult result = write_fully(write_end_.get(), data.data(), data.size());
  EXPECT_EQ(kStoodStill, result.error);
  EXPECT_EQ(std::uint64_t{kPipeBytes}, result.written);
}

TEST_F(WritePatienceTest, OneThatIsOnlySlowGetsEverything) {
  begin_the_end();
  const std::string data(10 * kPipeBytes, 'y');
  std::string taken;
  std::thread reader([&] {
    std::array<char, kPipeBytes> buffer;
    while (taken.size() < data.size()) {
      std::this_thread::sleep_for(kPatience / 4);
      const ssize_t count = ::read(read_end_.get(), buffer.data(), buffer.size());
      ASSERT_GT(count, 0);
      taken.append(buffer.data(), static_cast<std::size_t>(count));
    }
  });
  const WriteResult result = write_fully(write_end_.get(), data.data(), data.size());
  EXPECT_EQ(0, result.error);
  if (result.error != 0) write_end_ = Descriptor();  // lets the reader go
  reader.join();
  EXPECT_EQ(data, taken);
}

TEST_F(WritePatienceTest, WithoutALimitASlowReaderIsWaitedFor) {
  nudges_.begin();
  const std::string data(2 * kPipeBytes, 'z');
  std::thread reader([&] {
    std::this_thread::sleep_for(2 * kPatience);
    std::array<char, 2 * kPipeBytes> buffer;
    ASSERT_GT(::read(read_end_.get(), buffer.data(), buffer.size()), 0);
  });
  const WriteResult result = write_fully(write_end_.get(), data.data(), data.size());
  EXPECT_EQ(0, result.error);
  reader.join();
}

TEST_F(WritePatienceTest, RecordsThatWereNotTakenAreCountedOnce) {
  begin_the_end();
  constexpr std::uint64_t kRecords = 8 * RecordWriter::kBufferBytes / 100;
  const std::string line(99, 'r');
  const auto begin = Clock::now();
  RecordWriter writer("test", write_end_.get());
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    writer.append(line);
    writer.append('\n');
    writer.end_record();
  }
  writer.flush();
  EXPECT_LT(Clock::now() - begin, 5 * kPatience) << "one output is waited for once";
  const WriterStatus& status = writer.status();
  EXPECT_EQ(std::uint64_t{kPipeBytes / 100}, status.records);
  EXPECT_EQ(kRecords, status.records + status.dropped);
  EXPECT_EQ(kRecords * 100, status.bytes + status.dropped_bytes);
  EXPECT_NE(std::string::npos, status.first_error.find("took nothing")) << status.first_error;
}

/// Looks every half second until `end`; the first time at which the watch says stuck.
std::optional<milliseconds> stuck_at(StuckWatch& watch, std::uint64_t moves, milliseconds begin,
                                     milliseconds end) {
  for (milliseconds at = begin; at <= end; at += milliseconds{500}) {
    if (watch.is_stuck(moves, Clock::time_point{at})) return at;
  }
  return std::nullopt;
}

TEST(StuckWatchTest, OnlyWhoDoesNotMoveIsStuck) {
  constexpr milliseconds kBegin{1000};
  const milliseconds almost = kStuckPatience - milliseconds{500};
  StuckWatch watch;
  EXPECT_FALSE(stuck_at(watch, 7, kBegin, kBegin + almost));
  const milliseconds second = kBegin + kStuckPatience;
  EXPECT_FALSE(stuck_at(watch, 8, second, second + almost));
  EXPECT_EQ(second + kStuckPatience, stuck_at(watch, 8, second + kStuckPatience,
                                              second + 2 * kStuckPatience));
}

// The process was stopped, and its reader with it.
TEST(StuckWatchTest, TimeWithoutALookCountsLittle) {
  StuckWatch watch;
  EXPECT_FALSE(stuck_at(watch, 7, milliseconds{0}, milliseconds{500}));
  const milliseconds later = 10 * kStuckPatience;
  const auto stuck = stuck_at(watch, 7, later, later + 2 * kStuckPatience);
  ASSERT_TRUE(stuck);
  EXPECT_EQ(later + kStuckPatience - milliseconds{1500}, *stuck);
}

TEST(StuckWatchTest, WritesAndClosesMove) {
  test::TempFolder folder;
  Descriptor file = test::create_file(folder / "out");
  const std::uint64_t before = writer_moves();
  EXPECT_EQ(0, write_fully(file.get(), "a", 1).error);
  const std::uint64_t written = writer_moves();
  EXPECT_GT(written, before);
  EXPECT_EQ(0, file.close());
  EXPECT_GT(writer_moves(), written);
}

}  // namespace
}  // namespace flowloom
