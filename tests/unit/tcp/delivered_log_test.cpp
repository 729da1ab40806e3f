// What is remembered of delivered bytes, against a map from positions to bytes and packet numbers.
#include "tcp/delivered_log.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace flowloom {
namespace {

ByteView view(const std::string& bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

std::string text(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

/// Conflicts as "position held arrived".
struct Told final : ConflictObserver {
  void on_conflict(const OverlapConflict& x) override {
    EXPECT_EQ(x.held.size(), x.arrived.size());
    EXPECT_EQ(x.winner, OverlapConflict::Winner::Held);
    lines.push_back(std::to_string(x.position) + " " + text(x.held) + " " + text(x.arrived));
  }
  std::vector<std::string> lines;
};

/// One direction: bytes as they were delivered, each with its packet.
struct Model {
  struct Byte {
    char byte;
    std::uint64_t number;
  };
  std::map<StreamOffset, Byte> bytes;

  void add(StreamOffset offset, const std::string& delivered, std::uint64_t number) {
    for (std::size_t i = 0; i < delivered.size() && i < kRememberedBytes; ++i) {
      bytes[offset + static_cast<StreamOffset>(i)] = {delivered[i], number};
    }
  }
  // A run of comparable positions tells one conflict, from its first difference to its last.
  std::uint64_t compare(StreamOffset begin, const std::string& arrived, std::uint64_t now,
                        std::vector<std::string>& lines) const {
    std::uint64_t differing = 0;
    std::string held;
    for (std::size_t i = 0; i <= arrived.size(); ++i) {
      const auto found = bytes.find(begin + static_cast<StreamOffset>(i));
      const bool known = i < arrived.size() && found != bytes.end() &&
                         found->second.number + kComparablePackets > now;
      if (known) {
        held += found->second.byte;
        continue;
      }
      const std::size_t start = i - held.size();
      std::size_t first = held.size();
      std::size_t last = 0;
      for (std::size_t k = 0; k < held.size(); ++k) {
        if (held[k] == arrived[start + k]) continue;
        ++differing;
        first = std::min(first, k);
        last = k + 1;
      }
      if (last > 0) {
        lines.push_back(std::to_string(begin + static_cast<StreamOffset>(start + first)) + " " +
                        held.substr(first, last - first) + " " +
                        arrived.substr(start + first, last - first));
      }
      held.clear();
    }
    return differing;
  }
};

class DeliveredLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<DeliveredLog> log_ = std::make_unique<DeliveredLog>();
  DeliveredLog::Head head_ = 0;

  std::vector<std::string> compare(StreamOffset begin, const std::string& bytes,
                                   std::uint64_t number, std::uint32_t owner = 1) {
    Told told;
    log_->begin_decision(number);
    log_->compare({.head = head_, .owner = owner, .begin = begin, .base = 0, .bytes = view(bytes)},
                  told);
    return told.lines;
  }
};

using Lines = std::vector<std::string>;

TEST_F(DeliveredLogTest, TellsWhereARepetitionDiffers) {
  log_->add(head_, 1, 1, 0, view("abcdefgh"));
  EXPECT_EQ(compare(0, "abcdefgh", 2), Lines{});
  EXPECT_EQ(compare(0, "abXdeYgh", 2), Lines{"2 cdef XdeY"});
  EXPECT_EQ(compare(4, "EFGHIJKL", 2), Lines{"4 efgh EFGH"});
  EXPECT_EQ(compare(-4, "1234Abcd", 2), Lines{"0 a A"});
}

TEST_F(DeliveredLogTest, AConflictReachesOverPieces) {
  log_->add(head_, 1, 1, 0, view("abcd"));
  log_->add(head_, 1, 2, 4, view("efgh"));
  log_->add(head_, 1, 3, 12, view("mnop"));  // behind a gap
  EXPECT_EQ(compare(2, "CDEFgh", 4), Lines{"2 cdef CDEF"});
  EXPECT_EQ(compare(6, "GH....Mnop", 4), (Lines{"6 gh GH", "12 m M"}));
}

TEST_F(DeliveredLogTest, EndsAtTheDistanceOfPackets) {
  log_->add(head_, 1, 10, 0, view("abcd"));
  EXPECT_EQ(compare(0, "Abcd", 9 + kComparablePackets), Lines{"0 a A"});
  EXPECT_EQ(compare(0, "Abcd", 10 + kComparablePackets), Lines{});
}

TEST_F(DeliveredLogTest, AnOwnerIsNotMistakenForAnother) {
  log_->add(head_, 1, 1, 0, view("abcd"));
  EXPECT_EQ(compare(0, "Abcd", 2, 2), Lines{});
}

TEST_F(DeliveredLogTest, RemembersTheBeginningOfWhatIsLarge) {
  log_->add(head_, 1, 1, 0, view(std::string(kRememberedBytes + 10, 'a')));
  EXPECT_EQ(compare(kRememberedBytes - 1, "bbb", 2),
            Lines{std::to_string(kRememberedBytes - 1) + " a b"});
}

TEST_F(DeliveredLogTest, PiecesOfADecisionBecomeOne) {
  log_->begin_decision(1);
  for (StreamOffset at = 0; at < 40; at += 4) log_->add_piece(head_, 1, at, view("abcd"));
  EXPECT_EQ(compare(0, "AbcdabcdabcdabcdabcdabcdabcdabcdabcdabcD", 2).size(), 1U);
}

// The most that can be comparable at once has room: every packet brings all that is remembered of
// one, its connection's time-out as much again, in the number of pieces that costs most room.
TEST_F(DeliveredLogTest, HasRoomForWhatItPromises) {
  const std::string half(kRememberedBytes / 2, 'x');
  std::vector<DeliveredLog::Head> heads(kComparablePackets);
  const std::uint64_t last = 3 * kComparablePackets + 17;
  for (std::uint64_t number = 1; number <= last; ++number) {
    DeliveredLog::Head& head = heads[number % heads.size()];
    head = 0;
    for (int decision = 0; decision < 2; ++decision) {
      log_->begin_decision(number);
      const StreamOffset at = decision * 100000;
      log_->add_piece(head, 1, at, view(half));
      log_->add_piece(head, 1, at + 50000, view(half));
    }
  }
  for (std::uint64_t number = last - kComparablePackets + 1; number <= last; ++number) {
    head_ = heads[number % heads.size()];
    for (const StreamOffset at : {0, 50000, 100000, 150000}) {
      ASSERT_EQ(compare(at, "y", last).size(), 1U) << number << " at " << at;
    }
  }
}

// Thousands of graces may end at once, of connections that were silent for long.
TEST_F(DeliveredLogTest, WhatNobodyMayAskForTakesNoRoom) {
  const std::string piece(kRememberedBytes, 'x');
  std::vector<DeliveredLog::Head> heads(kComparablePackets);
  const std::uint64_t last = 2 * kComparablePackets;
  for (std::uint64_t number = 1; number <= last; ++number) {
    log_->add(heads[number % heads.size()], 1, number, 0, view(piece));
  }
  for (std::uint64_t silent = 0; silent < 10 * kComparablePackets; ++silent) {
    DeliveredLog::Head of_another = 0;
    log_->begin_decision(last - kComparablePackets);
    log_->add_piece(of_another, 2, 0, view(piece));
  }
  for (std::uint64_t number = last - kComparablePackets + 1; number <= last; ++number) {
    head_ = heads[number % heads.size()];
    ASSERT_EQ(compare(0, "y", last).size(), 1U) << number;
  }
}

/// Where a source has its frames: parts that are used again in turn, once the log was asked to
/// save what it needs of them.
class FrameMemory {
 public:
  explicit FrameMemory(std::size_t parts) : bytes_(parts * kPart, 0) {}

  [[nodiscard]] ByteView all() const { return view(bytes_); }
  /// `frame` in a place of its own, behind the one before.
  ByteView put(const std::string& frame, DeliveredLog& log) {
    if (at_ % kPart + frame.size() > kPart) at_ += kPart - at_ % kPart;
    if (at_ == bytes_.size()) at_ = 0;
    if (at_ % kPart == 0) {
      log.save(all().subspan(at_, kPart));
      bytes_.replace(at_, kPart, kPart, '#');
    }
    bytes_.replace(at_, frame.size(), frame);
    const ByteView placed = all().subspan(at_, frame.size());
    at_ += frame.size();
    return placed;
  }

 private:
  static constexpr std::size_t kPart = 500;
  std::string bytes_;
  std::size_t at_ = 0;
};

/// Directions over one log or several, as workers have them; or over one whose frames stay.
class RandomTraffic {
 public:
  RandomTraffic(unsigned seed, unsigned logs, std::size_t frame_parts = 0)
      : random_(seed), frames_(frame_parts) {
    for (unsigned i = 0; i < logs; ++i) logs_.push_back(std::make_unique<DeliveredLog>());
    if (frame_parts > 0) logs_[0]->keep_in(frames_.all());
  }

  void run(unsigned packets) {
    for (number_ = 1; number_ <= packets; ++number_) {
      const auto d = static_cast<std::uint32_t>(random_() % kDirections);
      DeliveredLog& log = *logs_[d % logs_.size()];
      if (random_() % 4 == 0) {
        repeat(log, d);
      } else {
        deliver(log, d);
      }
      if (testing::Test::HasFailure()) return;
    }
  }
  std::vector<std::string> told;

 private:
  static constexpr std::uint32_t kDirections = 23;

  std::string letters(std::size_t count) {
    std::string result;
    for (std::size_t i = 0; i < count; ++i) result += static_cast<char>('a' + random_() % 2);
    return result;
  }

  void deliver(DeliveredLog& log, std::uint32_t d) {
    const std::string bytes = letters(1 + random_() % 60);
    if (random_() % 8 == 0) ends_[d] += 7;  // a gap
    if (random_() % 2 == 0) {
      const bool stays = !frames_.all().empty();
      log.add(heads_[d], d, number_, ends_[d], stays ? frames_.put(bytes, log) : view(bytes));
    } else {
      log.begin_decision(number_);
      const std::size_t first = random_() % bytes.size();
      log.add_piece(heads_[d], d, ends_[d], view(bytes.substr(0, first)));
      log.add_piece(heads_[d], d, ends_[d] + static_cast<StreamOffset>(first),
                    view(bytes.substr(first)));
    }
    models_[d].add(ends_[d], bytes, number_);
    ends_[d] += static_cast<StreamOffset>(bytes.size());
  }

  void repeat(DeliveredLog& log, std::uint32_t d) {
    if (ends_[d] == 0) return;
    const auto span = std::min<StreamOffset>(ends_[d], 8000);
    const StreamOffset begin = ends_[d] - 1 - static_cast<StreamOffset>(random_()) % span;
    const std::string bytes =
        letters(std::min<std::size_t>(1 + random_() % 200, static_cast<std::size_t>(
                                                               ends_[d] - begin)));
    Told observer;
    log.begin_decision(number_);
    const std::uint64_t differing = log.compare(
        {.head = heads_[d], .owner = d, .begin = begin, .base = 0, .bytes = view(bytes)},
        observer);
    std::vector<std::string> expected;
    EXPECT_EQ(differing, models_[d].compare(begin, bytes, number_, expected));
    EXPECT_EQ(observer.lines, expected) << "packet " << number_;
    told.insert(told.end(), observer.lines.begin(), observer.lines.end());
  }

  std::mt19937 random_;
  FrameMemory frames_;
  std::vector<std::unique_ptr<DeliveredLog>> logs_;
  std::uint64_t number_ = 0;
  DeliveredLog::Head heads_[kDirections] = {};
  StreamOffset ends_[kDirections] = {};
  Model models_[kDirections];
};

TEST(DeliveredLogRandom, IsWhatAMapOfBytesSays) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomTraffic one(seed, 1);
  one.run(12000);
  RandomTraffic four(seed, 4);
  four.run(12000);
  EXPECT_GT(one.told.size(), 1000U);
  EXPECT_EQ(one.told, four.told);
}

// What is comparable takes some 40,000 bytes: of the small memory most is saved, of the large one
// nothing.
TEST(DeliveredLogRandom, IsTheSameWhereFramesStay) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomTraffic copied(seed, 1);
  copied.run(12000);
  for (const std::size_t parts : {std::size_t{3}, std::size_t{40}, std::size_t{400}}) {
    RandomTraffic stays(seed, 1, parts);
    stays.run(12000);
    EXPECT_EQ(stays.told, copied.told);
  }
}

}  // namespace
}  // namespace flowloom
