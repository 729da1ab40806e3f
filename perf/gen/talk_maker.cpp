#include "perf/gen/talk_maker.hpp"

#include <algorithm>

namespace flowloom::gen {

namespace {

constexpr std::uint32_t kClients = 0x0a00'0000;
constexpr std::uint32_t kServers = 0xc0a8'0000;
constexpr std::uint64_t kServerCount = 250;
constexpr std::uint64_t kClientCount = 0x00ff'fff0;
constexpr std::size_t kMostTunnels = 2;
constexpr std::uint16_t kTwinVlan = 4094;
constexpr std::uint32_t kReuseDistance = 0x2000'0000;  // beyond any window

class TalkMaker {
 public:
  TalkMaker(const TalkSettings& settings, std::uint64_t i)
      : settings_(settings), i_(i), random_(Random::mixed(settings.seed) + Random::mixed(~i)) {}

  std::vector<TalkPart> make(std::int64_t start);

 private:
  /// A feature that is allowed, with that probability, is noted and true.
  bool draw(Feature feature, double probability) {
    if (!random_.chance(probability) || !settings_.allowed.has(feature)) return false;
    features_.set(feature);
    return true;
  }
  std::int64_t time_between(std::int64_t low, std::int64_t high) {
    return static_cast<std::int64_t>(
        random_.between(static_cast<std::uint64_t>(low), static_cast<std::uint64_t>(high)));
  }

  void draw_identity();
  void draw_wrapping();
  void draw_tunnels();
  void draw_turns();
  void draw_ends();
  void draw_network();
  void draw_capture();
  void draw_speciality();
  void draw_fast_open();
  void draw_zero_window();
  void draw_reset();
  void draw_keep_alive();
  void no_capture_loss();
  void no_network_loss();
  [[nodiscard]] std::uint64_t message_bytes();
  TalkPart part(std::int64_t start);

  const TalkSettings& settings_;
  std::uint64_t i_;
  Random random_;
  Features features_;
  Identity identity_;
  Wrapping wrapping_;
  TalkPlan talk_;
  CapturePlan capture_;
  std::uint16_t next_id_ = 1;
};

void TalkMaker::draw_identity() {
  identity_.family = draw(Feature::Ipv6, 0.3) ? Family::V6 : Family::V4;
  const bool low_port = random_.chance(0.5);
  identity_.ends[0] = {static_cast<std::uint32_t>(kClients + 1 + i_ % kClientCount),
                       static_cast<std::uint16_t>(random_.between(1024, 65'535))};
  identity_.ends[1] = {static_cast<std::uint32_t>(kServers + 1 + random_.below(kServerCount)),
                       static_cast<std::uint16_t>(low_port ? random_.between(1, 1023)
                                                           : random_.between(1024, 65'535))};
  for (std::size_t side = 0; side < 2; ++side) {
    identity_.iss[side] = static_cast<std::uint32_t>(random_.next());
    identity_.content[side] = random_.next();
  }
  if (draw(Feature::Wrap, 0.2)) {
    constexpr std::uint64_t kNear = 4000;
    for (auto& iss : identity_.iss) iss = static_cast<std::uint32_t>(~random_.below(kNear));
  }
}

void TalkMaker::draw_wrapping() {
  constexpr std::uint64_t kVlans = kTwinVlan - 1;
  wrapping_.padded = draw(Feature::Padding, 0.9);
  if (draw(Feature::TwoVlans, 0.1)) {
    wrapping_.vlans.push_back(static_cast<std::uint16_t>(random_.between(1, kVlans)));
    wrapping_.vlans.push_back(static_cast<std::uint16_t>(random_.between(1, kVlans)));
  } else if (draw(Feature::Vlan, 0.15)) {
    wrapping_.vlans.push_back(static_cast<std::uint16_t>(random_.between(1, kVlans)));
  }
  if (draw(Feature::Tunnels, 0.25)) draw_tunnels();
}

void TalkMaker::draw_tunnels() {
  constexpr std::uint64_t kNumbers = 1 << 24;
  Family inner = identity_.family;
  const std::size_t depth = random_.chance(0.2) ? kMostTunnels : 1;
  for (std::size_t i = 0; i < depth; ++i) {
    constexpr std::array kAnyFamily = {TunnelKind::Gre, TunnelKind::Gre, TunnelKind::Vxlan,
                                       TunnelKind::Geneve};
    Tunnel tunnel{.kind = kAnyFamily[random_.below(kAnyFamily.size())],
                  .number = 0,
                  .hosts = static_cast<std::uint32_t>(kMostTunnels * i_ + i)};
    if (random_.chance(0.4)) {
      const bool over_six = random_.chance(0.3);
      tunnel.kind = inner == Family::V6 ? TunnelKind::SixInFour
                    : over_six          ? TunnelKind::FourInSix
                                        : TunnelKind::Ipip;
    } else if (tunnel.kind != TunnelKind::Gre || random_.chance(0.5)) {
      tunnel.number = static_cast<std::uint32_t>(random_.between(1, kNumbers - 1));
    }
    inner = tunnel.kind == TunnelKind::FourInSix ? Family::V6 : Family::V4;
    wrapping_.tunnels.insert(wrapping_.tunnels.begin(), tunnel);
  }
  // The ends of tunnels are the conversation's own, and so are the numbers of its datagrams.
  wrapping_.cut = random_.chance(0.4) ? Cut::Outermost : Cut::Innermost;
}

std::uint64_t TalkMaker::message_bytes() {
  const auto kind = random_.below(100);
  std::uint64_t bytes = random_.between(1, 600);
  if (kind >= 50) bytes = random_.between(600, 5'000);
  if (kind >= 90) bytes = random_.between(5'000, 25'000);
  if (kind >= 99 && draw(Feature::Large, 0.5)) bytes = random_.between(25'000, 150'000);
  return std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(static_cast<double>(bytes) * settings_.size));
}

void TalkMaker::draw_turns() {
  const std::uint64_t turns = random_.chance(0.05) ? 0 : random_.between(1, 4);
  Side side = random_.chance(0.8) ? Side::Client : Side::Server;
  for (std::uint64_t i = 0; i < turns; ++i, side = other(side)) {
    const std::int64_t pause =
        random_.chance(0.3) ? time_between(0, 300 * kMillisecond) : 2 * kMillisecond;
    talk_.turns.push_back({side, message_bytes(), pause});
  }
}

void TalkMaker::draw_ends() {
  constexpr std::array<std::uint16_t, 4> kSizes = {536, 1200, 1400, 1460};
  const bool stamps = draw(Feature::Timestamps, 0.6);
  const bool scaled = random_.chance(0.8);
  for (std::size_t i = 0; i < 2; ++i) {
    PeerPlan& end = talk_.ends[i];
    end.opening = i == 0 ? Opening::Active : Opening::Passive;
    end.timestamps = stamps;
    end.clock_base = static_cast<std::uint32_t>(random_.next());
    const std::uint64_t largest_buffer = scaled ? 400'000 : 65'535;
    end.buffer_bytes = static_cast<std::uint32_t>(random_.between(8'000, largest_buffer));
    end.window_scale = scaled ? static_cast<std::uint8_t>(random_.between(3, 8)) : 0;
    identity_.window_scale[i] = scaled ? end.window_scale : Identity::kNoScale;
    identity_.mss[i] = kSizes[random_.below(kSizes.size())];
    if (draw(Feature::FinWithData, 0.4)) end.fin_style = FinStyle::WithData;
    if (draw(Feature::HalfClose, 0.15)) end.leaving = Leaving::HalfClose;
  }
  const std::uint16_t mss = std::min(identity_.mss[0], identity_.mss[1]);
  for (std::size_t i = 0; i < 2; ++i) {
    talk_.ends[i].mss = mss;
    talk_.ends[i].flight_bytes = mss * random_.between(2, 20);
    talk_.ends[i].peer_window_scale = talk_.ends[1 - i].window_scale;
  }
}

void TalkMaker::draw_network() {
  NetworkPlan& network = talk_.network;
  network.delay_ns = time_between(kMillisecond, 50 * kMillisecond);
  network.tap_at = static_cast<double>(random_.below(101)) / 100;
  network.spacing_ns = time_between(10 * kMicrosecond, 200 * kMicrosecond);
  network.reorder_ns = std::min(8 * kMillisecond, network.delay_ns / 2);
  const auto rate = [&](std::uint64_t most) {
    return static_cast<double>(random_.between(1, most)) / 1000;
  };
  if (draw(Feature::Loss, 0.4)) {
    if (random_.chance(0.7)) network.lose_before = rate(60);
    if (random_.chance(0.7)) network.lose_after = rate(60);
  }
  if (draw(Feature::Reorder, 0.4)) network.reorder = rate(150);
  if (draw(Feature::Repeat, 0.25)) network.repeat = rate(60);
}

void TalkMaker::draw_capture() {
  if (draw(Feature::CaptureLoss, 0.4)) {
    capture_.lose = static_cast<double>(random_.between(5, 150)) / 1000;
  }
  if (draw(Feature::CaptureRepeat, 0.08)) capture_.repeat = random_.chance(0.5) ? 1.0 : 0.05;
  if (draw(Feature::Fragments, 0.25)) {
    capture_.fragment = random_.chance(0.3) ? 1.0 : 0.3;
    capture_.fragments_shuffled = 0.5;
    capture_.fragments_repeated = random_.chance(0.3) ? 0.2 : 0;
  }
  if (draw(Feature::Skew, 0.15)) {
    capture_.skew_ns[random_.below(2)] = time_between(100 * kMicrosecond, 10 * kMillisecond);
  }
}

void TalkMaker::no_capture_loss() {
  capture_.lose = 0;
  capture_.skew_ns = {};
  features_.clear(Feature::CaptureLoss);
  features_.clear(Feature::Skew);
}

void TalkMaker::no_network_loss() {
  talk_.network.lose_before = talk_.network.lose_after = 0;
  features_.clear(Feature::Loss);
}

void TalkMaker::draw_fast_open() {
  if (talk_.turns.empty() || talk_.turns.front().side != Side::Client) return;
  // While nobody has said whether the SYN's data were taken, nothing certain can be told of them.
  if (!draw(Feature::SynData, 1)) return;
  no_capture_loss();
  no_network_loss();
  talk_.turns.front().pause_ns = 0;
  talk_.ends[0].syn_bytes = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(talk_.turns.front().bytes, talk_.ends[0].mss / 2));
  talk_.ends[1].takes_syn_data = random_.chance(0.5);
}

void TalkMaker::draw_zero_window() {
  if (!draw(Feature::ZeroWindow, 1)) return;
  no_capture_loss();  // a probe's byte is told by the segment that repeats it
  const std::size_t reader = random_.below(2);
  PeerPlan& end = talk_.ends[reader];
  end.buffer_bytes = static_cast<std::uint32_t>(random_.between(2 * end.mss, 8'000));
  end.stall_at = random_.between(1, 3'000);
  end.stall_ns = time_between(300 * kMillisecond, 4 * kSecond);
  const Side talker = reader == 0 ? Side::Server : Side::Client;
  talk_.turns.push_back({talker, random_.between(12'000, 30'000), 0});
}

void TalkMaker::draw_reset() {
  if (!draw(Feature::Reset, 1)) return;
  // A SYN/ACK that is stamped after the RST looks like another connection's.
  capture_.skew_ns = {};
  features_.clear(Feature::Skew);
  const std::size_t who = random_.below(2);
  PeerPlan& end = talk_.ends[who];
  // Whether the acknowledgement on a RST counts matters only where others were missed.
  end.reset_acknowledges = capture_.lose == 0;
  if (random_.chance(0.5)) {
    end.leaving = Leaving::Reset;
    talk_.ends[1 - who].leaving = random_.chance(0.5) ? Leaving::Stay : Leaving::Fin;
  } else {
    end.reset_at = random_.between(1, 4'000);
  }
}

void TalkMaker::draw_keep_alive() {
  if (talk_.turns.empty() || !draw(Feature::KeepAlive, 1)) return;
  no_capture_loss();  // a handshake that was not seen whole ends in such a silence
  for (PeerPlan& end : talk_.ends) {
    end.keep_alive_ns = time_between(2 * kSecond, 5 * kSecond);
    end.keep_alive_bytes = static_cast<std::uint32_t>(random_.below(2));
  }
  talk_.turns.push_back({random_.chance(0.5) ? Side::Client : Side::Server, message_bytes(),
                         time_between(10 * kSecond, 30 * kSecond)});
}

/// At most one of what would make the truth of the others uncertain.
void TalkMaker::draw_speciality() {
  constexpr std::uint64_t kSpecialities = 22;
  switch (random_.below(kSpecialities)) {
    case 0:
    case 1:
      if (!draw(Feature::MidStream, 1)) return;
      no_capture_loss();
      capture_.starts_at = 0.001 + static_cast<double>(random_.below(900)) / 1000;
      return;
    case 2:
      if (!draw(Feature::OneSided, 1)) return;
      capture_.only = random_.chance(0.5) ? Side::Client : Side::Server;
      return;
    case 3:
      return draw_fast_open();
    case 4:
      return draw_zero_window();
    case 5:
      if (draw(Feature::Simultaneous, 1)) talk_.ends[1].opening = Opening::Active;
      return;
    case 6:
    case 7:
      return draw_reset();
    case 8:
      return draw_keep_alive();
    case 9:
      if (!draw(Feature::Open, 1)) return;
      for (PeerPlan& end : talk_.ends) end.leaving = Leaving::Stay;
      return;
    case 10:
      capture_.lose_syn = draw(Feature::LostSyn, 1);
      return;
    case 11:
      if (draw(Feature::Reuse, 1)) no_network_loss();
      return;
    case 12:
      // Twins have the same sequence numbers: where the SYN of one is lost or late, its SYN/ACK
      // seems to answer the other's, under other tags.
      if (draw(Feature::VlanTwins, 1)) no_capture_loss();
      return;
    case 13:
      capture_.lose_syn_ack = draw(Feature::LostSynAck, 1);
      return;
    default:
      return;
  }
}

TalkPart TalkMaker::part(std::int64_t start) {
  const auto tapped = play_talk(talk_, start, random_);
  return {.identity = identity_,
          .wrapping = wrapping_,
          .features = features_,
          .captured = capture_talk(tapped, capture_, next_id_, random_)};
}

std::vector<TalkPart> TalkMaker::make(std::int64_t start) {
  draw_identity();
  draw_wrapping();
  draw_turns();
  draw_ends();
  draw_network();
  draw_capture();
  draw_speciality();
  std::vector<TalkPart> parts;
  parts.push_back(part(start));
  const auto& frames = parts.front().captured.frames;
  if (frames.empty()) return {};
  if (features_.has(Feature::Reuse)) {
    for (auto& iss : identity_.iss) iss += kReuseDistance;
    for (auto& key : identity_.content) key = random_.next();
    parts.push_back(part(frames.back().at + time_between(kMillisecond, 2 * kSecond)));
  }
  if (features_.has(Feature::VlanTwins)) {
    wrapping_.vlans.push_back(kTwinVlan);
    parts.push_back(part(start + time_between(1, 5 * kMillisecond)));
  }
  return parts;
}

}  // namespace

std::vector<TalkPart> make_talk(const TalkSettings& settings, std::uint64_t i,
                                std::int64_t start) {
  return TalkMaker(settings, i).make(start);
}

}  // namespace flowloom::gen
