// pcap and pcapng as they stand in files: byte orders, stamps, sections, interfaces, odd lengths,
// cuts at every byte and random damage. Read through CaptureSource, with chunks of several sizes.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "capture_builder.hpp"
#include "io/pcapng_time.hpp"

namespace flowloom {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

Seen read_bytes(const Bytes& bytes, CaptureSettings settings = {}) {
  const TemporaryFolder folder;
  return read_all({folder.write("capture", bytes)}, settings);
}

struct Magic {
  std::uint32_t value;
  std::int64_t fraction_ns;
};

// case: K07 M04
TEST(Pcap, EveryMagicInBothByteOrders) {
  for (const Magic magic : {Magic{0xa1b2c3d4, 1000}, {0xa1b23c4d, 1}, {0xa1b2cd34, 1000}}) {
    for (const ByteOrder order : {ByteOrder::Little, ByteOrder::Big}) {
      PcapBuilder file({.magic = magic.value, .order = order, .linktype = 113});
      file.add({.seconds = 0xf0000000, .fraction = 999, .frame = frame_of(70, 1)});
      file.add({.seconds = 0xf0000001, .fraction = 5, .frame = frame_of(3, 2), .wire = 1000});
      file.add({.seconds = 0xf0000001, .fraction = 6, .frame = {}, .wire = 9});
      const Seen seen = read_bytes(file.bytes());
      ASSERT_EQ(seen.packets.size(), 3U);
      EXPECT_TRUE(seen.problems.empty());
      EXPECT_EQ(seen.packets[0].stamp, 0xf0000000 * kSecond + 999 * magic.fraction_ns);
      EXPECT_EQ(seen.packets[0].frame, frame_of(70, 1));
      EXPECT_EQ(seen.packets[0].flags, 0);
      EXPECT_EQ(seen.packets[1].frame, frame_of(3, 2));
      EXPECT_EQ(seen.packets[1].wire, 1000U);
      EXPECT_EQ(seen.packets[1].flags, packet_flags::kSnapped);
      EXPECT_EQ(seen.packets[1].link, LinkType::LinuxSll);
      EXPECT_EQ(seen.packets[2].frame, Bytes{});
    }
  }
}

// case: M07
TEST(Pcap, FrameCheckSequenceBitsAreNotPartOfTheLinkType) {
  PcapBuilder file({.linktype = 0x24000001});
  file.add({.frame = frame_of(60, 1)});
  EXPECT_EQ(read_bytes(file.bytes()).packets.at(0).link, LinkType::Ethernet);
}

TEST(Pcap, OldVersionsHaveTheirLengthsTheOtherWayRound) {
  PcapBuilder file({.minor = 2});
  file.header({}, 1000, 4);  // wire length first
  Bytes bytes = file.bytes();
  bytes.insert(bytes.end(), 4, 7);
  const Seen seen = read_bytes(bytes);
  ASSERT_EQ(seen.packets.size(), 1U);
  EXPECT_EQ(seen.packets[0].wire, 1000U);
  EXPECT_EQ(seen.packets[0].frame, Bytes(4, 7));
}

// case: M02
TEST(Pcap, MoreCapturedThanOnTheWireIsOnTheWire) {
  PcapBuilder file;
  file.add({.frame = frame_of(60, 1), .wire = 5});
  const Seen seen = read_bytes(file.bytes());
  EXPECT_EQ(seen.packets.at(0).wire, 60U);
  EXPECT_EQ(seen.packets.at(0).flags, 0);
}

// case: M03
TEST(Pcap, AnImpossibleLengthEndsTheFileThere) {
  PcapBuilder file;
  file.add({.frame = frame_of(60, 1)});
  file.header({}, 0x7fffffff, 0x7fffffff);
  const Seen seen = read_bytes(file.bytes());
  EXPECT_EQ(seen.packets.size(), 1U);
  ASSERT_EQ(seen.problems.size(), 1U);
  EXPECT_EQ(seen.problems[0].severity, ProblemSeverity::Damaged);
  EXPECT_NE(seen.problems[0].message.find("after 1 packets"), std::string::npos);
}

TEST(Pcap, TheLongestFrameFitsEvenTinyChunks) {
  PcapBuilder file;
  file.add({.frame = frame_of(CaptureParser::kFrameBytesMax, 1)});
  file.add({.frame = frame_of(60, 2)});
  file.add({.frame = frame_of(CaptureParser::kFrameBytesMax - 1, 3)});
  const Seen seen = read_bytes(file.bytes(), {.chunk_bytes = 100, .chunks = 2});
  ASSERT_EQ(seen.packets.size(), 3U);
  EXPECT_EQ(seen.packets[0].frame, frame_of(CaptureParser::kFrameBytesMax, 1));
  EXPECT_EQ(seen.packets[2].frame, frame_of(CaptureParser::kFrameBytesMax - 1, 3));
}

TEST(Pcap, AHugeRecordOfAForeignLinkTypeIsCut) {
  PcapBuilder file({.linktype = 249});  // USBPcap
  file.add({.frame = frame_of(1 << 20, 1)});
  file.add({.frame = frame_of(60, 2)});
  const Seen seen = read_bytes(file.bytes(), {.chunk_bytes = 1000, .chunks = 2});
  ASSERT_EQ(seen.packets.size(), 2U);
  EXPECT_TRUE(seen.problems.empty());
  EXPECT_EQ(seen.packets[0].frame.size(), CaptureParser::kFrameBytesMax);
  EXPECT_EQ(seen.packets[0].wire, 1U << 20);
  EXPECT_EQ(seen.packets[0].flags, packet_flags::kSnapped);
  EXPECT_EQ(seen.packets[1].frame, frame_of(60, 2));
}

// Two sections of different byte order; interfaces of different link types, resolutions, offsets;
// all kinds of packet blocks; blocks and options that nobody knows.
PcapngBuilder everything(ByteOrder first, ByteOrder second) {
  PcapngBuilder file(first);
  const auto offset = [&](std::int64_t seconds) {
    ByteWriter writer(file.order());
    writer.integer(static_cast<std::uint64_t>(seconds), 8);
    return writer.bytes;
  };
  file.block(0x0bad, Bytes(40, 1));
  file.interface(1, 0, {{2, Bytes{'e', 't', 'h', '0', 0}}, {9, {9}}});
  file.interface(101, 0, {{9, {0x80 | 10}}, {14, offset(-100)}});
  file.packet(0, 1'700'000'000'123'456'789, frame_of(61, 1));
  file.packet(1, (std::uint64_t{2000} << 10) + 512, frame_of(62, 2));
  file.block(4, Bytes(8, 0));
  file.section(second);
  file.interface(276, 50);
  file.interface(147);
  file.simple_packet(70, frame_of(50, 3));
  file.packet(0, 1'700'000'001'000'001, frame_of(64, 4), PcapngBuilder::kObsolete);
  file.packet(1, 1'700'000'001'000'002, frame_of(65, 5));
  file.simple_packet(20, frame_of(20, 6));
  return file;
}

// case: M05
TEST(Pcapng, SectionsInterfacesAndBlocksOfAllKinds) {
  for (const ByteOrder first : {ByteOrder::Little, ByteOrder::Big}) {
    for (const ByteOrder second : {ByteOrder::Little, ByteOrder::Big}) {
      const Seen seen = read_bytes(everything(first, second).bytes);
      EXPECT_TRUE(seen.problems.empty());
      ASSERT_EQ(seen.packets.size(), 6U);
      const auto& p = seen.packets;
      EXPECT_EQ(p[0].stamp, 1'700'000'000'123'456'789);
      EXPECT_EQ(p[0].link, LinkType::Ethernet);
      EXPECT_EQ(p[0].frame, frame_of(61, 1));
      EXPECT_EQ(p[1].stamp, 1900 * kSecond + kSecond / 2);
      EXPECT_EQ(p[1].link, LinkType::Raw);
      EXPECT_EQ(p[2].frame, frame_of(50, 3));  // cut at the interface's snapshot length
      EXPECT_EQ(p[2].wire, 70U);
      EXPECT_EQ(p[2].flags, packet_flags::kSnapped);
      EXPECT_EQ(p[2].link, LinkType::LinuxSll2);
      EXPECT_EQ(p[2].stamp, p[1].stamp);
      EXPECT_EQ(p[3].stamp, 1'700'000'001'000'001'000);
      EXPECT_EQ(p[3].frame, frame_of(64, 4));
      EXPECT_EQ(p[4].link, LinkType::Unknown);
      EXPECT_EQ(p[5].frame, frame_of(20, 6));
    }
  }
}

TEST(Pcapng, DamageEndsTheFileAndKeepsWhatCameBefore) {
  const auto with = [](auto damage) {
    PcapngBuilder file;
    file.interface(1);
    file.packet(0, 1, frame_of(60, 1));
    const std::size_t before = file.bytes.size();
    file.packet(0, 2, frame_of(60, 2));
    damage(file, before);
    return read_bytes(file.bytes);
  };
  const auto poke = [](PcapngBuilder& file, std::size_t at, std::uint32_t value) {
    ByteWriter writer(ByteOrder::Little);
    writer.u32(value);
    std::copy(writer.bytes.begin(), writer.bytes.end(),
              file.bytes.begin() + static_cast<std::ptrdiff_t>(at));
  };
  const std::vector<std::pair<std::size_t, std::uint32_t>> damages{
      {4, 0}, {4, 11}, {4, 0xffffffff}, {4, 88}, {8, 1}, {20, 61 + 4}, {20, 0xffffffff}, {88, 96}};
  for (const auto& [at, value] : damages) {
    const Seen seen = with([&, a = at, v = value](PcapngBuilder& file, std::size_t before) {
      poke(file, before + a, v);
    });
    EXPECT_EQ(seen.packets.size(), 1U) << at << " = " << value;
    ASSERT_EQ(seen.problems.size(), 1U) << at << " = " << value;
    EXPECT_EQ(seen.problems[0].severity, ProblemSeverity::Damaged);
  }
}

TEST(Pcapng, PacketsBeforeAnyInterfaceAreDamage) {
  PcapngBuilder simple;
  simple.simple_packet(20, frame_of(20, 1));
  EXPECT_EQ(read_bytes(simple.bytes).problems.size(), 1U);
  PcapngBuilder enhanced;
  enhanced.packet(0, 0, frame_of(20, 1));
  EXPECT_EQ(read_bytes(enhanced.bytes).problems.size(), 1U);
}

TEST(Pcapng, HugeUnknownBlocksArePassedOver) {
  PcapngBuilder file;
  file.interface(1);
  file.block(10, Bytes(3 << 20, 0x5a));
  file.packet(0, 1, frame_of(60, 1));
  const Seen seen = read_bytes(file.bytes, {.chunk_bytes = 4096, .chunks = 2});
  EXPECT_TRUE(seen.problems.empty());
  ASSERT_EQ(seen.packets.size(), 1U);
  EXPECT_EQ(seen.packets[0].frame, frame_of(60, 1));
}

TEST(Pcapng, OptionsThatRunOutOfTheirBlockAreIgnored) {
  PcapngBuilder file;
  ByteWriter body(ByteOrder::Little);
  body.u16(1);
  body.u16(0);
  body.u32(0);
  body.u16(9);
  body.u16(0xffff);
  file.block(1, body.bytes);
  file.packet(0, 7, frame_of(60, 1));
  EXPECT_EQ(read_bytes(file.bytes).packets.at(0).stamp, 7000);
}

// Long double holds 64 bits of mantissa: exact enough to judge whole nanoseconds.
TEST(TickScale, AgreesWithRealArithmetic) {
  for (unsigned n = 0; n < 128; ++n) {
    for (const std::uint64_t ticks : {0ULL, 1ULL, 999'999'999ULL, 0x123456789abcdefULL, ~0ULL}) {
      for (const bool binary : {false, true}) {
        const TickScale scale(static_cast<std::uint8_t>(n | (binary ? 0x80U : 0U)));
        const long double unit = std::pow(binary ? 2.0L : 10.0L, -static_cast<long double>(n));
        const long double ns = static_cast<long double>(ticks) * unit * 1e9L;
        const auto stamp = static_cast<long double>(to_nanoseconds(scale.stamp(ticks)));
        const long double most = static_cast<long double>(to_nanoseconds(kTimeMax));
        EXPECT_LE(std::abs(stamp - std::min(ns, most)), 1.0L + ns * 1e-18L)
            << "n " << n << " ticks " << ticks << (binary ? " binary" : " decimal");
      }
    }
  }
}

TEST(TickScale, OffsetsSaturate) {
  TickScale scale(6);
  scale.set_offset(-5);
  EXPECT_EQ(to_nanoseconds(scale.stamp(6'000'000)), kSecond);
  scale.set_offset(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(scale.stamp(~0ULL), kTimeMax);
}

// The promise for a capture that is cut anywhere: what is complete is delivered, and unless the
// cut lies between two records, one sentence says that something is missing.
void expect_every_cut_is_told(const Bytes& bytes, const std::vector<std::size_t>& ends,
                              const std::vector<SeenPacket>& packets,
                              const std::vector<std::size_t>& packet_ends) {
  constexpr std::size_t kMagicBytes = 4;
  const TemporaryFolder folder;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const std::string path =
        folder.write("cut", Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut)));
    const Seen seen = read_all({path}, {.chunk_bytes = 64, .chunks = 2});
    const auto complete = static_cast<std::size_t>(std::count_if(
        packet_ends.begin(), packet_ends.end(), [&](std::size_t end) { return end <= cut; }));
    ASSERT_EQ(seen.packets.size(), complete) << "cut at " << cut;
    std::vector<SeenPacket> wanted(packets.begin(),
                                   packets.begin() + static_cast<std::ptrdiff_t>(complete));
    // The stamp that would have confirmed the last one's may be behind the cut.
    if (complete > 0) wanted.back().clock = seen.packets.back().clock;
    ASSERT_EQ(seen.packets, wanted) << "cut at " << cut;
    const bool clean = std::find(ends.begin(), ends.end(), cut) != ends.end();
    ASSERT_EQ(seen.problems.size(), clean ? 0U : 1U) << "cut at " << cut;
    if (clean) continue;
    ASSERT_EQ(seen.problems[0].severity,
              cut < kMagicBytes ? ProblemSeverity::Unreadable : ProblemSeverity::Damaged)
        << "cut at " << cut;
  }
}

PcapBuilder small_pcap() {
  PcapBuilder file;
  for (unsigned i = 0; i < 5; ++i) {
    file.add({.seconds = 1000 + i, .fraction = i, .frame = frame_of(40 + i * 17, i)});
  }
  return file;
}

// case: M01
TEST(CutCapture, PcapAtEveryByte) {
  const PcapBuilder file = small_pcap();
  const std::vector<std::size_t> packet_ends(file.ends.begin() + 1, file.ends.end());
  expect_every_cut_is_told(file.bytes(), file.ends, read_bytes(file.bytes()).packets, packet_ends);
}

TEST(CutCapture, PcapngAtEveryByte) {
  const PcapngBuilder file = everything(ByteOrder::Little, ByteOrder::Big);
  const auto& e = file.ends;
  // section, unknown, 2 interfaces, 2 packets, names, section, 2 interfaces, 4 packets
  const std::vector<std::size_t> packet_ends{e[4], e[5], e[10], e[11], e[12], e[13]};
  ASSERT_EQ(e.size(), 14U);
  expect_every_cut_is_told(file.bytes, e, read_bytes(file.bytes).packets, packet_ends);
}

// Windows of exactly the bytes that there are, on the heap: a sanitizer sees any read beyond them.
void expect_parser_stays_in_its_window(const Bytes& window) {
  CaptureParser parser;
  std::size_t begin = 0;
  std::array<Packet, 3> out;
  for (;;) {
    const Bytes rest(window.begin() + static_cast<std::ptrdiff_t>(begin), window.end());
    const CaptureParser::Step step = parser.parse(rest, out);
    ASSERT_LE(step.consumed, rest.size());
    for (std::uint32_t i = 0; i < step.packets; ++i) {
      ASSERT_GE(out[i].frame, rest.data());
      ASSERT_LE(out[i].frame + out[i].captured, rest.data() + rest.size());
      ASSERT_LE(out[i].captured, out[i].wire_length);
    }
    begin += step.consumed;
    if (step.packets != 0) continue;
    const bool stopped = parser.state() == CaptureParser::State::Damaged ||
                         parser.state() == CaptureParser::State::NotCapture;
    ASSERT_TRUE(stopped || step.needed > rest.size() - step.consumed) << "it would never go on";
    return;
  }
}

TEST(CaptureParser, StaysInItsWindow) {
  std::mt19937 random(5);
  for (const Bytes& good : {small_pcap().bytes(), everything(ByteOrder::Big, ByteOrder::Big).bytes,
                            everything(ByteOrder::Little, ByteOrder::Big).bytes}) {
    for (std::size_t cut = 0; cut <= good.size(); ++cut) {
      expect_parser_stays_in_its_window(
          Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(cut)));
    }
    for (int round = 0; round < 3000; ++round) {
      Bytes bad = good;
      for (unsigned i = 0; i < 1 + random() % 6; ++i) {
        bad[random() % bad.size()] = static_cast<std::uint8_t>(random() % 3 == 0 ? 0xff : random());
      }
      expect_parser_stays_in_its_window(bad);
    }
  }
}

// Whatever the damage and the chunk size: no crash, and the same packets.
void expect_damage_is_survived(const Bytes& good, unsigned seed) {
  const TemporaryFolder folder;
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    Bytes bytes = good;
    for (unsigned i = 0; i < 1 + random() % 4; ++i) {
      bytes[random() % bytes.size()] =
          static_cast<std::uint8_t>(random() % 3 == 0 ? 0xff : random());
    }
    const std::string path = folder.write("bad", bytes);
    const Seen whole = read_all({path});
    for (const std::size_t chunk_bytes : {std::size_t{1}, std::size_t{77}, std::size_t{4096}}) {
      const Seen parts = read_all({path}, {.chunk_bytes = chunk_bytes, .chunks = 2});
      ASSERT_EQ(parts.packets, whole.packets) << "seed " << seed << " round " << round;
      ASSERT_EQ(parts.problems.size(), whole.problems.size());
    }
  }
}

TEST(DamagedCapture, PcapIsReadTheSameInAnyChunks) {
  expect_damage_is_survived(small_pcap().bytes(), 1);
}

TEST(DamagedCapture, PcapngIsReadTheSameInAnyChunks) {
  expect_damage_is_survived(everything(ByteOrder::Little, ByteOrder::Big).bytes, 2);
}

}  // namespace
}  // namespace flowloom
