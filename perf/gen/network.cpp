#include "perf/gen/network.hpp"

#include <algorithm>
#include <queue>

namespace flowloom::gen {

namespace {

constexpr std::int64_t kLongestTalk = 300 * kSecond;

struct Delivery {
  std::int64_t at;
  std::uint64_t order;  ///< of equal times
  Segment segment;

  bool operator>(const Delivery& other) const {
    return at != other.at ? at > other.at : order > other.order;
  }
};

class Network {
 public:
  Network(const TalkPlan& plan, Random& random)
      : plan_(plan.network),
        peers_{Peer(Side::Client, plan.ends[0], plan.turns, random.next()),
               Peer(Side::Server, plan.ends[1], plan.turns, random.next())},
        random_(random) {}

  std::vector<TapPacket> play(std::int64_t start);

 private:
  void collect(Side side, std::int64_t now);
  void transmit(const Segment& segment, std::int64_t now);
  void carry(const Segment& segment, std::int64_t departure);

  NetworkPlan plan_;
  std::array<Peer, 2> peers_;
  Random& random_;
  std::priority_queue<Delivery, std::vector<Delivery>, std::greater<>> under_way_;
  std::array<std::int64_t, 2> free_at_{};  ///< when the sender's line is free again, by Side
  std::uint64_t order_ = 0;
  std::vector<TapPacket> tapped_;
};

void Network::carry(const Segment& segment, std::int64_t departure) {
  const double share = segment.side == Side::Client ? plan_.tap_at : 1 - plan_.tap_at;
  const auto to_tap = static_cast<std::int64_t>(share * static_cast<double>(plan_.delay_ns));
  if (random_.chance(plan_.lose_before)) return;
  std::int64_t late = 0;
  if (random_.chance(plan_.reorder)) {
    late = static_cast<std::int64_t>(
        random_.between(1, static_cast<std::uint64_t>(plan_.reorder_ns)));
  }
  const bool before_tap = random_.chance(0.5);
  tapped_.push_back({departure + to_tap + (before_tap ? late : 0), segment});
  if (random_.chance(plan_.lose_after)) return;
  under_way_.push({departure + plan_.delay_ns + late, order_++, segment});
}

void Network::transmit(const Segment& segment, std::int64_t now) {
  std::int64_t& free_at = free_at_[index_of(segment.side)];
  const std::int64_t departure = std::max(now, free_at);
  free_at = departure + plan_.spacing_ns;
  carry(segment, departure);
  if (random_.chance(plan_.repeat)) carry(segment, departure + plan_.spacing_ns / 2);
}

void Network::collect(Side side, std::int64_t now) {
  for (const Segment& segment : peers_[index_of(side)].take_sent()) transmit(segment, now);
}

std::vector<TapPacket> Network::play(std::int64_t start) {
  for (const Side side : {Side::Server, Side::Client}) {
    peers_[index_of(side)].open(start);
    collect(side, start);
  }
  while (true) {
    const std::int64_t timer = std::min(peers_[0].next_timer(), peers_[1].next_timer());
    const std::int64_t arrival = under_way_.empty() ? kNever : under_way_.top().at;
    const std::int64_t now = std::min(timer, arrival);
    if (now > start + kLongestTalk) break;
    if (arrival <= timer) {
      const Segment segment = under_way_.top().segment;
      under_way_.pop();
      peers_[index_of(other(segment.side))].receive(segment, now);
    } else {
      for (Peer& peer : peers_) peer.run_timers(now);
    }
    for (const Side side : {Side::Client, Side::Server}) collect(side, now);
  }
  std::stable_sort(tapped_.begin(), tapped_.end(),
                   [](const TapPacket& a, const TapPacket& b) { return a.at < b.at; });
  return std::move(tapped_);
}

}  // namespace

std::vector<TapPacket> play_talk(const TalkPlan& plan, std::int64_t start, Random& random) {
  return Network(plan, random).play(start);
}

}  // namespace flowloom::gen
