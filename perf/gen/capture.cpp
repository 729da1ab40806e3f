#include "perf/gen/capture.hpp"

#include "perf/gen/observer.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace flowloom::gen {

namespace {

using tcp_bits::kFin;
using tcp_bits::kReset;
using tcp_bits::kSyn;

constexpr std::uint32_t kSmallestFragmented = 100;  // payload that is worth cutting
constexpr std::uint64_t kMostPieces = 4;
constexpr std::int64_t kPieceSpacing = 5 * kMicrosecond;
constexpr std::uint64_t kRepeatDelay = 40;  // microseconds at most

class Camera {
 public:
  Camera(const CapturePlan& plan, std::uint16_t& next_id, Random& random)
      : plan_(plan), next_id_(next_id), random_(random) {}

  std::optional<Captured> shoot(const std::vector<TapPacket>& tapped);

 private:
  [[nodiscard]] std::size_t first_shown() const;
  [[nodiscard]] bool missed(std::size_t packet);
  void show(std::size_t packet);
  void show_pieces(std::size_t packet, std::uint16_t pieces);
  bool develop();

  const CapturePlan& plan_;
  std::uint16_t& next_id_;
  Random& random_;
  Captured film_;
};

std::size_t Camera::first_shown() const {
  if (plan_.starts_at == 0) return 0;
  std::size_t after_syn = 0;
  std::size_t end = film_.packets.size();
  for (std::size_t i = film_.packets.size(); i-- > 0;) {
    if (film_.packets[i].segment.has(kFin | kReset)) end = i;
    if (after_syn == 0 && film_.packets[i].segment.has(kSyn)) after_syn = i + 1;
  }
  if (after_syn >= end) return 0;
  const auto span = static_cast<double>(end - after_syn);
  return after_syn + static_cast<std::size_t>(plan_.starts_at * span);
}

bool Camera::missed(std::size_t packet) {
  const Segment& segment = film_.packets[packet].segment;
  if (plan_.only && segment.side != *plan_.only) return true;
  if (segment.flags == kSyn) return plan_.lose_syn;
  if (segment.has(kSyn)) return plan_.lose_syn_ack;
  // Without a FIN nobody can tell its acknowledgement from that of a byte.
  return !segment.has(kFin) && random_.chance(plan_.lose);
}

void Camera::show_pieces(std::size_t packet, std::uint16_t pieces) {
  const TapPacket& p = film_.packets[packet];
  std::array<std::uint16_t, kMostPieces> order{0, 1, 2, 3};
  if (random_.chance(plan_.fragments_shuffled)) {
    for (std::size_t i = pieces; i > 1; --i) std::swap(order[i - 1], order[random_.below(i)]);
  }
  const std::uint16_t id = next_id_++;
  ++film_.fragmented;
  const bool may_miss = !p.segment.has(kSyn | kFin);
  std::int64_t at = p.at;
  for (std::size_t i = 0; i < pieces; ++i, at += kPieceSpacing) {
    if (may_miss && random_.chance(plan_.lose)) continue;
    const Frame frame{.at = at,
                      .packet = static_cast<std::uint32_t>(packet),
                      .piece = order[i],
                      .pieces = pieces,
                      .id = id};
    film_.frames.push_back(frame);
    if (!random_.chance(plan_.fragments_repeated)) continue;
    film_.frames.push_back(frame);
    film_.frames.back().at += 2 * kPieceSpacing;
  }
}

void Camera::show(std::size_t packet) {
  if (missed(packet)) return;
  const TapPacket& p = film_.packets[packet];
  const std::size_t before = film_.frames.size();
  const bool worth_it = p.segment.bytes >= kSmallestFragmented && !p.segment.has(kSyn);
  if (worth_it && random_.chance(plan_.fragment)) {
    show_pieces(packet, static_cast<std::uint16_t>(random_.between(2, kMostPieces)));
  } else {
    film_.frames.push_back({.at = p.at, .packet = static_cast<std::uint32_t>(packet)});
  }
  if (!random_.chance(plan_.repeat)) return;
  const auto delay = static_cast<std::int64_t>(random_.between(1, kRepeatDelay)) * kMicrosecond;
  for (std::size_t i = before, end = film_.frames.size(); i < end; ++i) {
    film_.frames.push_back(film_.frames[i]);
    film_.frames.back().at += delay;
  }
}

/// Lets the observer look at every packet that gets complete; false where it lost its way.
bool Camera::develop() {
  enum class Look : std::uint8_t { None, Noted, Refused };
  Observer observer;
  std::vector<Look> looks(film_.packets.size());
  std::vector<std::uint8_t> have(film_.packets.size());  // bits of pieces
  for (const Frame& frame : film_.frames) {
    Look& look = looks[frame.packet];
    std::uint8_t& pieces = have[frame.packet];
    pieces = static_cast<std::uint8_t>(pieces | 1U << frame.piece);
    if (look == Look::Refused || pieces != (1U << frame.pieces) - 1) continue;
    pieces = 0;
    const Segment& segment = film_.packets[frame.packet].segment;
    if (look == Look::Noted) {
      observer.observe_again(segment);
    } else {
      const auto answer = observer.observe(segment, frame.at);
      film_.with_data += answer == Observer::Answer::Noted && segment.bytes > 0 ? 1U : 0U;
      look = answer == Observer::Answer::Noted ? Look::Noted : Look::Refused;
    }
  }
  std::erase_if(film_.frames, [&](const Frame& f) { return looks[f.packet] == Look::Refused; });
  film_.lost = static_cast<std::uint64_t>(
      std::count_if(looks.begin(), looks.end(), [](Look look) { return look != Look::Noted; }));
  film_.directions = observer.conclude();
  return !observer.lost_its_way();
}

/// Nothing where the observer lost its way.
std::optional<Captured> Camera::shoot(const std::vector<TapPacket>& tapped) {
  film_.packets = tapped;
  for (TapPacket& p : film_.packets) p.at += plan_.skew_ns[index_of(p.segment.side)];
  std::stable_sort(film_.packets.begin(), film_.packets.end(),
                   [](const TapPacket& a, const TapPacket& b) { return a.at < b.at; });
  for (std::size_t i = first_shown(); i < film_.packets.size(); ++i) show(i);
  std::stable_sort(film_.frames.begin(), film_.frames.end(),
                   [](const Frame& a, const Frame& b) { return a.at < b.at; });
  return develop() ? std::optional(std::move(film_)) : std::nullopt;
}

}  // namespace

Captured capture_talk(const std::vector<TapPacket>& tapped, const CapturePlan& plan,
                      std::uint16_t& next_id, Random& random) {
  if (auto captured = Camera(plan, next_id, random).shoot(tapped)) return std::move(*captured);
  const CapturePlan complete{.only = plan.only, .repeat = plan.repeat};
  if (auto captured = Camera(complete, next_id, random).shoot(tapped)) return std::move(*captured);
  throw std::logic_error("a complete capture that cannot be told exactly");
}

}  // namespace flowloom::gen
