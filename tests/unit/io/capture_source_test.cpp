// Files as inputs: merging, descriptors, chunks, compression, pipes, and what is said about those
// that cannot be read.
#include "io/capture_source.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <random>
#include <thread>

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "capture_builder.hpp"

namespace flowloom {
namespace {

PcapBuilder::Record at(std::int64_t microseconds, unsigned seed) {
  return {.seconds = static_cast<std::uint32_t>(microseconds / 1'000'000),
          .fraction = static_cast<std::uint32_t>(microseconds % 1'000'000),
          .frame = frame_of(20 + seed % 90, seed)};
}

/// Files with overlapping times and many equal stamps, and what the merge must give.
struct MergeCase {
  std::vector<std::string> paths;
  std::vector<std::pair<std::int64_t, std::uint8_t>> expected;  // stamp, input
};

MergeCase make_merge_case(const TemporaryFolder& folder, std::size_t files, unsigned seed) {
  std::mt19937 random(seed);
  MergeCase made;
  for (std::size_t input = 0; input < files; ++input) {
    PcapBuilder file;
    std::int64_t time = static_cast<std::int64_t>(random() % 2000);
    for (unsigned i = 0; i < random() % 300; ++i) {
      file.add(at(time, i));
      made.expected.emplace_back(time * 1000, static_cast<std::uint8_t>(input));
      time += static_cast<std::int64_t>(random() % (random() % 4 == 0 ? 20 : 2));
    }
    made.paths.push_back(folder.write("merge" + std::to_string(input), file.bytes()));
  }
  std::stable_sort(made.expected.begin(), made.expected.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return made;
}

TEST(Merge, EqualsAStableSortByStamp) {
  const TemporaryFolder folder;
  for (unsigned seed = 0; seed < 20; ++seed) {
    const MergeCase made = make_merge_case(folder, 1 + seed, seed);
    for (const std::uint32_t limit : {1U, 7U, kBurstMax}) {
      const Seen seen = read_all(made.paths, {.chunk_bytes = 200, .chunks = 2}, limit);
      ASSERT_EQ(seen.packets.size(), made.expected.size());
      for (std::size_t i = 0; i < seen.packets.size(); ++i) {
        ASSERT_EQ(seen.packets[i].stamp, made.expected[i].first) << "seed " << seed;
        ASSERT_EQ(seen.packets[i].clock, made.expected[i].first);
        ASSERT_EQ(seen.packets[i].input, made.expected[i].second);
        ASSERT_EQ(seen.packets[i].number, i + 1);
      }
      EXPECT_EQ(seen.progress.bytes_read, seen.progress.bytes_total);
    }
  }
}

/// Files whose stamps jump, often and at any packet, and each packet's clock by the rule of its
/// file when the whole file is known.
struct JumpCase {
  struct Expected {
    std::int64_t clock;
    std::uint32_t input;
    Bytes frame;
  };
  std::vector<std::string> paths;
  std::vector<Expected> expected;
};

JumpCase make_jump_case(const TemporaryFolder& folder, std::uint32_t files, unsigned seed) {
  constexpr std::int64_t kDay = 86'400'000'000;
  std::mt19937 random(seed);
  JumpCase made;
  for (std::uint32_t input = 0; input < files; ++input) {
    std::int64_t time = 400 * kDay;
    std::vector<std::int64_t> stamps;
    PcapBuilder file;
    for (unsigned i = 0; i < 60; ++i) {
      if (random() % 5 == 0) time += random() % 3 == 0 ? -kDay : kDay;
      stamps.push_back(random() % 9 == 0 ? time + 99 * kDay : ++time);  // some jump alone
      file.add(at(stamps.back(), static_cast<unsigned>(random())));
    }
    made.paths.push_back(folder.write("jump" + std::to_string(input), file.bytes()));
    const Seen seen = read_all({made.paths.back()});
    PacketClockRule rule;
    for (std::size_t i = 0; i < stamps.size(); ++i) {
      const Timestamp stamp = from_nanoseconds(stamps[i] * 1000);
      const Timestamp clock =
          i + 1 == stamps.size()
              ? rule.advance(stamp)
              : rule.advance(stamp, from_nanoseconds(stamps[i + 1] * 1000));
      made.expected.push_back({to_nanoseconds(clock), input, seen.packets[i].frame});
    }
  }
  std::stable_sort(made.expected.begin(), made.expected.end(),
                   [](const auto& a, const auto& b) { return a.clock < b.clock; });
  return made;
}

// case: K03
TEST(Merge, AStepIsTakenByThePacketThatMakesItInAnyBursts) {
  const TemporaryFolder folder;
  for (unsigned seed = 0; seed < 12; ++seed) {
    const JumpCase made = make_jump_case(folder, 1 + seed % 4, seed);
    for (const std::uint32_t limit : {1U, 2U, 7U, kBurstMax}) {
      for (const std::size_t chunk : {std::size_t{60}, std::size_t{300}, std::size_t{1} << 18}) {
        const Seen seen = read_all(made.paths, {.chunk_bytes = chunk, .chunks = 2}, limit);
        ASSERT_EQ(seen.packets.size(), made.expected.size());
        for (std::size_t i = 0; i < seen.packets.size(); ++i) {
          ASSERT_EQ(seen.packets[i].clock, made.expected[i].clock)
              << "packet " << i << " seed " << seed << " limit " << limit << " chunk " << chunk;
          ASSERT_EQ(seen.packets[i].input, made.expected[i].input);
          ASSERT_EQ(seen.packets[i].frame, made.expected[i].frame);
          ASSERT_EQ(seen.packets[i].number, i + 1);
        }
      }
    }
  }
}

TEST(Merge, AFileStandsWhereItsOwnClockDoes) {
  const TemporaryFolder folder;
  PcapBuilder wild;
  wild.add(at(1'000'000, 1));
  wild.add(at(1'500'000'000'000'000, 2));  // 48 years ahead
  wild.add(at(1'000'002, 3));
  PcapBuilder calm;
  calm.add(at(1'000'001, 4));
  calm.add(at(1'000'003, 5));
  const Seen seen =
      read_all({folder.write("wild", wild.bytes()), folder.write("calm", calm.bytes())});
  std::vector<std::size_t> lengths;
  for (const auto& packet : seen.packets) lengths.push_back(packet.frame.size());
  EXPECT_EQ(lengths, (std::vector<std::size_t>{21, 22, 24, 23, 25}));
  EXPECT_EQ(seen.stats.bad_timestamps, 1U);
  EXPECT_TRUE(std::is_sorted(seen.packets.begin(), seen.packets.end(),
                             [](const auto& a, const auto& b) { return a.clock < b.clock; }));
}

TEST(Merge, TheSameFileTwiceGivesEveryPacketTwice) {
  const TemporaryFolder folder;
  PcapBuilder file;
  for (unsigned i = 0; i < 50; ++i) file.add(at(i, i));
  const std::string path = folder.write("twice", file.bytes());
  const Seen seen = read_all({path, path});
  ASSERT_EQ(seen.packets.size(), 100U);
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(seen.packets[i].frame, frame_of(20 + i / 2, static_cast<unsigned>(i / 2)));
    EXPECT_EQ(seen.packets[i].input, i % 2);
  }
}

class FewDescriptors : public testing::Test {
 protected:
  static constexpr std::size_t kFiles = 1000;

  void SetUp() override {
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit few = before_;
    few.rlim_cur = 64;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  void TearDown() override { setrlimit(RLIMIT_NOFILE, &before_); }

  // File f holds the packets i of 0..9 at time_of(f, i).
  template <class TimeOf>
  void expect_all_read(TimeOf time_of, bool compressed = false) {
    std::vector<std::string> paths;
    for (std::size_t f = 0; f < kFiles; ++f) {
      PcapBuilder file;
      for (std::size_t i = 0; i < 10; ++i) file.add(at(time_of(f, i), static_cast<unsigned>(i)));
      const std::string path = folder_.path(std::to_string(f));
      if (compressed) {
        gzFile out = gzopen(path.c_str(), "wb");
        ASSERT_NE(out, nullptr);
        gzwrite(out, file.bytes().data(), static_cast<unsigned>(file.bytes().size()));
        gzclose(out);
      } else {
        folder_.write(std::to_string(f), file.bytes());
      }
      paths.push_back(path);
    }
    std::reverse(paths.begin(), paths.end());
    const Seen seen = read_all(paths, {.chunk_bytes = 128, .chunks = 4});
    EXPECT_TRUE(seen.problems.empty()) << seen.problems[0].message;
    ASSERT_EQ(seen.packets.size(), kFiles * 10);
    EXPECT_TRUE(std::is_sorted(seen.packets.begin(), seen.packets.end(),
                               [](const auto& a, const auto& b) { return a.stamp < b.stamp; }));
  }

  rlimit before_{};
  TemporaryFolder folder_;
};

TEST_F(FewDescriptors, AThousandRotatedFiles) {
  expect_all_read(
      [](std::size_t f, std::size_t i) { return static_cast<std::int64_t>(f * 10 + i); });
}

TEST_F(FewDescriptors, AThousandFilesThatAllOverlap) {
  expect_all_read(
      [](std::size_t f, std::size_t i) { return static_cast<std::int64_t>(i * 1000 + f); });
}

TEST_F(FewDescriptors, AThousandCompressedFilesThatAllOverlap) {
  expect_all_read(
      [](std::size_t f, std::size_t i) { return static_cast<std::int64_t>(i * 1000 + f); }, true);
}

TEST(Chunks, AConsumerThatReleasesNothingFindsTheSourceIdleAndItsFramesIntact) {
  const TemporaryFolder folder;
  PcapBuilder file;
  for (unsigned i = 0; i < 500; ++i) file.add(at(i, i));
  CaptureSource source({folder.write("held", file.bytes())}, {.chunk_bytes = 1000, .chunks = 4});
  std::deque<Burst> held;
  std::uint64_t packets = 0;
  std::uint64_t idle = 0;
  Burst burst;
  for (SourceState state = source.receive(burst); state != SourceState::End;
       state = source.receive(burst)) {
    if (state == SourceState::Packets) {
      packets += burst.size;
      held.push_back(burst);
      continue;
    }
    ASSERT_EQ(source.receive(burst), SourceState::Idle) << "nothing was released meanwhile";
    ++idle;
    for (const Burst& one : held) {
      for (std::uint32_t i = 0; i < one.size; ++i) {
        const Packet& p = one.packets[i];
        const auto seed = static_cast<unsigned>(p.number - 1);
        ASSERT_EQ(Bytes(p.frame, p.frame + p.captured), frame_of(20 + seed % 90, seed));
      }
    }
    source.release(held.front());
    held.pop_front();
    ASSERT_FALSE(held.empty());
  }
  EXPECT_EQ(packets, 500U);
  EXPECT_GT(idle, 10U);
}

using AddFilter = int (*)(archive*);

Bytes compressed(const Bytes& plain, AddFilter add_filter) {
  Bytes out(plain.size() * 2 + 10'000);
  std::size_t used = 0;
  archive* writer = archive_write_new();
  archive_write_set_format_raw(writer);
  EXPECT_EQ(add_filter(writer), ARCHIVE_OK);
  archive_write_set_bytes_per_block(writer, 0);
  archive_write_open_memory(writer, out.data(), out.size(), &used);
  archive_entry* entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_write_header(writer, entry);
  archive_write_data(writer, plain.data(), plain.size());
  archive_entry_free(entry);
  archive_write_close(writer);
  archive_write_free(writer);
  out.resize(used);
  return out;
}

PcapBuilder larger_capture() {
  PcapBuilder file;
  std::mt19937 random(7);
  for (unsigned i = 0; i < 3000; ++i) {
    PcapBuilder::Record record = at(i, i);
    for (auto& byte : record.frame) byte = static_cast<std::uint8_t>(random() % 40);
    file.add(record);
  }
  return file;
}

TEST(Compressed, IsReadAsIfItWerePlain) {
  const TemporaryFolder folder;
  const Bytes plain = larger_capture().bytes();
  const Seen expected = read_all({folder.write("plain", plain)});
  ASSERT_EQ(expected.packets.size(), 3000U);
  for (const AddFilter filter :
       {archive_write_add_filter_gzip, archive_write_add_filter_xz, archive_write_add_filter_zstd,
        archive_write_add_filter_lz4, archive_write_add_filter_bzip2}) {
    const std::string path = folder.write("compressed.pcap", compressed(plain, filter));
    const Seen seen = read_all({path}, {.chunk_bytes = 3000, .chunks = 2});
    EXPECT_TRUE(seen.problems.empty());
    EXPECT_EQ(seen.packets, expected.packets);
    EXPECT_EQ(seen.progress.bytes_read, seen.progress.bytes_total);
    EXPECT_EQ(read_all({path, path}).packets.size(), 6000U);
  }
}

// What zlib gives for a cut file, asked in one call.
std::size_t bytes_before_cut(const Bytes& cut) {
  Bytes out(1 << 20);
  z_stream stream{};
  inflateInit2(&stream, 31);
  stream.next_in = const_cast<Bytef*>(cut.data());
  stream.avail_in = static_cast<uInt>(cut.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  inflate(&stream, Z_SYNC_FLUSH);
  inflateEnd(&stream);
  return out.size() - stream.avail_out;
}

// case: M12
TEST(Compressed, ACutGzipFileGivesEveryPacketBeforeTheCut) {
  const TemporaryFolder folder;
  const PcapBuilder file = larger_capture();
  const Bytes whole = compressed(file.bytes(), archive_write_add_filter_gzip);
  for (std::size_t cut = 20; cut < whole.size(); cut += 9973) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut));
    const std::size_t bytes = bytes_before_cut(part);
    const auto complete = std::count_if(file.ends.begin() + 1, file.ends.end(),
                                        [&](std::size_t end) { return end <= bytes; });
    const Seen seen = read_all({folder.write("cut.gz", part)});
    EXPECT_EQ(seen.packets.size(), static_cast<std::size_t>(complete)) << "cut at " << cut;
    ASSERT_EQ(seen.problems.size(), 1U);
    EXPECT_EQ(seen.problems[0].severity, ProblemSeverity::Damaged);
  }
}

TEST(Compressed, CutAndDamagedFilesOfAnyKindEndWithASentence) {
  const TemporaryFolder folder;
  const Bytes plain = larger_capture().bytes();
  std::mt19937 random(3);
  for (const AddFilter filter :
       {archive_write_add_filter_gzip, archive_write_add_filter_xz, archive_write_add_filter_zstd,
        archive_write_add_filter_lz4, archive_write_add_filter_bzip2}) {
    const Bytes whole = compressed(plain, filter);
    Bytes half(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(whole.size() / 2));
    EXPECT_EQ(read_all({folder.write("half", half)}).problems.size(), 1U);
    for (int round = 0; round < 10; ++round) {
      Bytes bad = whole;
      for (int i = 0; i < 20; ++i) bad[10 + random() % (bad.size() - 10)] ^= 0x5a;
      EXPECT_LE(read_all({folder.write("bad", bad)}).problems.size(), 1U);
    }
  }
}

TEST(Compressed, MembersOneAfterAnotherAndRubbishBehind) {
  const TemporaryFolder folder;
  const Bytes plain = larger_capture().bytes();
  const auto middle = plain.begin() + 30'000;
  Bytes members = compressed(Bytes(plain.begin(), middle), archive_write_add_filter_gzip);
  const Bytes rest = compressed(Bytes(middle, plain.end()), archive_write_add_filter_gzip);
  members.insert(members.end(), rest.begin(), rest.end());
  members.insert(members.end(), {'e', 'n', 'd'});
  const Seen seen = read_all({folder.write("members", members)});
  EXPECT_EQ(seen.packets.size(), 3000U);
  EXPECT_TRUE(seen.problems.empty());
}

TEST(Problems, EachIsToldAndTheOthersGoOn) {
  const TemporaryFolder folder;
  PcapBuilder file;
  file.add(at(5, 1));
  Bytes cut = file.bytes();
  cut.pop_back();
  const Bytes text{'n', 'o', 't', ' ', 'a', ' ', 'c', 'a', 'p', 't', 'u', 'r', 'e'};
  const Seen seen =
      read_all({folder.path("missing"), folder.write("good", file.bytes()), folder.path(""),
                folder.write("empty", {}), folder.write("text", text), folder.write("cut", cut),
                folder.write("none.gz", compressed({}, archive_write_add_filter_gzip)),
                folder.write("text.gz", compressed(text, archive_write_add_filter_gzip))});
  ASSERT_EQ(seen.packets.size(), 1U);
  EXPECT_EQ(seen.packets[0].input, 1);
  const std::vector<std::pair<std::string, ProblemSeverity>> expected{
      {"missing: ", ProblemSeverity::Unreadable}, {"folder", ProblemSeverity::Unreadable},
      {"empty: ", ProblemSeverity::Unreadable},   {"text: ", ProblemSeverity::Unreadable},
      {"cut: ", ProblemSeverity::Damaged},        {"none.gz: ", ProblemSeverity::Unreadable},
      {"text.gz: ", ProblemSeverity::Unreadable}};
  ASSERT_EQ(seen.problems.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NE(seen.problems[i].message.find(expected[i].first), std::string::npos)
        << seen.problems[i].message;
    EXPECT_EQ(seen.problems[i].severity, expected[i].second) << seen.problems[i].message;
  }
}

TEST(Problems, AnUnreadableInputIsKnownBeforeTheFirstPacket) {
  const CaptureSource source({"/nonexistent/capture.pcap"});
  ASSERT_EQ(source.problems().size(), 1U);
  EXPECT_NE(source.problems()[0].message.find("No such file"), std::string::npos);
}

// A pipe whose writer is slow and cuts where it likes; beside a file, and compressed as well.
// case: M13
TEST(Pipe, IsReadAsItComes) {
  const TemporaryFolder folder;
  const PcapBuilder file = larger_capture();
  const std::string plain = folder.write("plain", file.bytes());
  const auto expected = read_all({plain}).packets;
  for (const bool zip : {false, true}) {
    const Bytes bytes =
        zip ? compressed(file.bytes(), archive_write_add_filter_zstd) : file.bytes();
    const std::string pipe = folder.path(zip ? "zipped" : "pipe");
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    std::thread writer([&] {
      const int out = open(pipe.c_str(), O_WRONLY);
      std::size_t at = 0;
      for (const std::size_t piece : {std::size_t{3}, std::size_t{30}, std::size_t{5000}}) {
        at += static_cast<std::size_t>(write(out, bytes.data() + at, piece));
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
      while (at < bytes.size()) {
        at += static_cast<std::size_t>(write(out, bytes.data() + at, bytes.size() - at));
      }
      close(out);
    });
    const Seen seen = read_all({pipe}, {.chunk_bytes = 20'000, .chunks = 2});
    writer.join();
    EXPECT_EQ(seen.packets, expected);
    EXPECT_TRUE(seen.problems.empty());
  }
}

// A made capture, and every real one of the folder that FLOWLOOM_CAPTURES names.
TEST(WholeCaptures, AreReadTheSameInAnyChunks) {
  const TemporaryFolder folder;
  std::vector<std::string> paths{folder.write("made.pcap", larger_capture().bytes())};
  if (const char* captures = std::getenv("FLOWLOOM_CAPTURES"); captures != nullptr) {
    for (const auto& file : std::filesystem::directory_iterator(captures)) {
      const std::string kind = file.path().extension().string();
      const bool capture = kind == ".pcap" || kind == ".cap" || kind == ".pcapng";
      if (capture) paths.push_back(file.path().string());
    }
  }
  for (const std::string& path : paths) {
    const Seen whole = read_all({path});
    EXPECT_GT(whole.packets.size(), 0U) << path;
    EXPECT_TRUE(whole.problems.empty()) << path;
    EXPECT_EQ(read_all({path}, {.chunk_bytes = 333, .chunks = 2}).packets, whole.packets) << path;
  }
}

}  // namespace
}  // namespace flowloom
