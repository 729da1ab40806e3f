// Lanes: full is said and nothing is lost, many lanes are merged by key, and the sender learns in
// the order of sending what is done with.
#include "runtime/hand_over_lane.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <vector>

namespace flowloom {
namespace {

Packet packet(std::int64_t clock, std::uint64_t number) {
  Packet p{};
  p.clock = from_nanoseconds(clock);
  p.number = number;
  return p;
}

TEST(HandOverLane, SaysWhenItIsFull) {
  HandOverLane lane;
  std::uint64_t sent = 0;
  while (lane.push(packet(0, sent + 1))) ++sent;
  EXPECT_GE(sent, HandOverLane::kPackets);
  EXPECT_EQ(lane.waiting(), sent);
  for (std::uint64_t n = 1; n <= sent; ++n) {
    ASSERT_NE(lane.look(), nullptr);
    EXPECT_EQ(lane.look()->number, n);
    lane.take();
  }
  EXPECT_EQ(lane.look(), nullptr);
  EXPECT_EQ(lane.done(), 0U);
  lane.finish(3);
  EXPECT_EQ(lane.done(), 3U);
}

TEST(Inbox, MergesByKey) {
  HandOverLane a;
  HandOverLane b;
  HandOverLane c;
  const std::vector<HandOverLane*> lanes = {&a, &b, &c};
  std::mt19937 random(1);
  constexpr std::uint64_t kPackets = 900;
  for (std::uint64_t n = 1; n <= kPackets; ++n) {
    // Equal clocks now and then: the number decides.
    ASSERT_TRUE(lanes[random() % 3]->push(packet(static_cast<std::int64_t>(n / 3), n)));
  }
  Inbox inbox(lanes);
  ASSERT_TRUE(inbox.look());
  std::uint64_t next = 1;
  std::uint16_t lane = 0;
  while (inbox.least(lane) != nullptr) {
    Packet taken;
    inbox.take(lane, taken);
    ASSERT_EQ(taken.number, next++);
  }
  EXPECT_EQ(next, kPackets + 1);
  EXPECT_EQ(lane, Inbox::kNone);
  EXPECT_FALSE(inbox.look());
}

// Against a queue that is looked through: receivers finish in any order.
TEST(Outbox, SettlesInTheOrderOfSending) {
  HandOverLane a;
  HandOverLane b;
  std::vector<HandOverLane*> lanes = {&a, nullptr, &b};
  Outbox outbox(lanes);
  struct Sent {
    unsigned receiver;
    bool done;
  };
  std::deque<Sent> model;
  std::array<std::size_t, 3> open{};
  std::uint64_t settled = 0;
  std::mt19937 random(2);
  for (int round = 0; round < 20000; ++round) {
    const unsigned receiver = random() % 2 == 0 ? 0 : 2;
    if (random() % 2 == 0) {
      if (!outbox.send(receiver, packet(0, 1))) continue;
      model.push_back({receiver, false});
      ++open[receiver];
    } else if (open[receiver] > 0) {
      ASSERT_NE(lanes[receiver]->look(), nullptr);
      lanes[receiver]->take();
      lanes[receiver]->finish(1);
      --open[receiver];
      for (Sent& sent : model) {
        if (sent.receiver != receiver || sent.done) continue;
        sent.done = true;
        break;
      }
    }
    for (; !model.empty() && model.front().done; model.pop_front()) ++settled;
    ASSERT_EQ(outbox.settle(), settled);
  }
  EXPECT_GT(settled, 1000U);
}

// One receiver never finishes, another always: what is remembered of the open ones is bounded.
TEST(Outbox, RefusesMoreThanItCanRemember) {
  HandOverLane stuck;
  HandOverLane quick;
  Outbox outbox({&stuck, &quick});
  ASSERT_TRUE(outbox.send(0, packet(0, 1)));
  std::uint32_t sent = 1;
  while (outbox.send(1, packet(0, sent + 1))) {
    ASSERT_NE(quick.look(), nullptr);
    quick.take();
    quick.finish(1);
    ++sent;
    ASSERT_LE(sent, Outbox::kOpenMax);
  }
  EXPECT_EQ(sent, Outbox::kOpenMax);
  stuck.finish(1);
  EXPECT_TRUE(outbox.send(1, packet(0, sent + 1)));
}

}  // namespace
}  // namespace flowloom
