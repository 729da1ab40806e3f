// The transition table against the RFC's diagram written down a second time, and what every state
// machine owes: every state can be entered, none is a trap.
#include "tcp/state.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

namespace flowloom {
namespace {

using enum State;
using enum Event;

struct Row {
  State from;
  Event event;
  State to;
};

// Only what changes the state (RFC 9293, figure 5), and what an observer concludes who missed
// segments: a talker in LISTEN or SYN-SENT that sends what only a synchronised end point sends is
// synchronised, and a FIN moves even whoever was not seen to be synchronised.
const std::vector<Row> kChanges = {
    {Listen, SendSyn, SynSent},           {Listen, SendSynAck, SynReceived},
    {Listen, ReceiveSynAck, SynSent},     {Listen, Talk, Established},
    {Listen, SendFin, FinWait1},          {Listen, ReceiveFin, CloseWait},
    {SynSent, SendSynAck, SynReceived},   {SynSent, ReceiveSyn, SynReceived},
    {SynSent, ReceiveSynAck, Established}, {SynSent, Talk, Established},
    {SynSent, SendFin, FinWait1},         {SynSent, ReceiveFin, CloseWait},
    {SynReceived, SynAcked, Established}, {SynReceived, SendFin, FinWait1},
    {SynReceived, ReceiveFin, CloseWait}, {Established, SendFin, FinWait1},
    {Established, ReceiveFin, CloseWait}, {FinWait1, ReceiveFin, State::Closing},
    {FinWait1, FinAcked, FinWait2},       {FinWait2, ReceiveFin, TimeWait},
    {CloseWait, SendFin, LastAck},        {State::Closing, FinAcked, TimeWait},
    {LastAck, FinAcked, Closed}};

State expected(State from, Event event) {
  if (event == Event::Reset) return Closed;
  for (const Row& row : kChanges) {
    if (row.from == from && row.event == event) return row.to;
  }
  return from;
}

TEST(StateTable, EveryCellIsAsTheListSays) {
  for (std::size_t s = 0; s < kStateCount; ++s) {
    for (std::size_t e = 0; e < kEventCount; ++e) {
      const auto state = static_cast<State>(s);
      const auto event = static_cast<Event>(e);
      EXPECT_EQ(kStateNames[static_cast<std::size_t>(next_state(state, event))],
                kStateNames[static_cast<std::size_t>(expected(state, event))])
          << kStateNames[s] << " x " << kEventNames[e];
    }
  }
}

std::set<State> reachable_from(State start) {
  std::set<State> seen = {start};
  std::vector<State> open = {start};
  while (!open.empty()) {
    const State state = open.back();
    open.pop_back();
    for (std::size_t e = 0; e < kEventCount; ++e) {
      const State next = next_state(state, static_cast<Event>(e));
      if (seen.insert(next).second) open.push_back(next);
    }
  }
  return seen;
}

TEST(StateTable, EveryStateIsReachedFromListen) {
  EXPECT_EQ(reachable_from(Listen).size(), kStateCount);
}

TEST(StateTable, EveryStateLeadsToClosed) {
  for (std::size_t s = 0; s < kStateCount; ++s) {
    EXPECT_EQ(reachable_from(static_cast<State>(s)).count(Closed), 1u) << kStateNames[s];
  }
}

TEST(StateTable, NothingLeavesClosedAndNothingEntersListen) {
  EXPECT_EQ(reachable_from(Closed).size(), 1u);
  for (std::size_t s = 1; s < kStateCount; ++s) {
    EXPECT_EQ(reachable_from(static_cast<State>(s)).count(Listen), 0u) << kStateNames[s];
  }
}

// The ordinary lives, step by step.
TEST(StateTable, OrdinaryLives) {
  const auto after = [](State state, const std::vector<Event>& events) {
    for (const Event event : events) state = next_state(state, event);
    return state;
  };
  EXPECT_EQ(after(Listen, {SendSyn, ReceiveSynAck, Talk}), Established);
  EXPECT_EQ(after(Listen, {ReceiveSyn, SendSynAck, SynAcked}), Established);
  EXPECT_EQ(after(Listen, {SendSyn, ReceiveSyn, SendSynAck, SynAcked}), Established);
  EXPECT_EQ(after(Established, {SendFin, FinAcked, ReceiveFin}), TimeWait);
  EXPECT_EQ(after(Established, {SendFin, ReceiveFin, FinAcked}), TimeWait);
  EXPECT_EQ(after(Established, {ReceiveFin, SendFin, FinAcked}), Closed);
}

}  // namespace
}  // namespace flowloom
