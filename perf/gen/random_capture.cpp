#include "perf/gen/random_capture.hpp"

#include "perf/gen/pcap_file.hpp"
#include "perf/gen/talk_truth.hpp"
#include "perf/gen/truth.hpp"

#include <memory>
#include <queue>
#include <utility>
#include <vector>

namespace flowloom::gen {

namespace {

constexpr std::int64_t kStart = 1'700'000'000 * kSecond;
constexpr std::int64_t kInterval = 4 * kMillisecond;  // between the starts of conversations

/// A connection that is being written.
struct Active {
  TalkPart part;
  std::uint64_t order;
  std::size_t next = 0;

  [[nodiscard]] const Frame& frame() const { return part.captured.frames[next]; }
};

struct Later {
  bool operator()(const std::unique_ptr<Active>& a, const std::unique_ptr<Active>& b) const {
    return a->frame().at != b->frame().at ? a->frame().at > b->frame().at : a->order > b->order;
  }
};

class RandomCapture {
 public:
  explicit RandomCapture(const RandomCaptureConfig& config)
      : config_(config), pcap_(config.path), truth_(config.path) {}

  void write();

 private:
  void start(std::uint64_t i);
  void write_until(std::int64_t end);
  void write_frame(const Active& active);

  const RandomCaptureConfig& config_;
  PcapFile pcap_;
  TruthWriter truth_;
  LayeredFrames frames_;
  std::priority_queue<std::unique_ptr<Active>, std::vector<std::unique_ptr<Active>>, Later>
      active_;
  std::uint64_t order_ = 0;
};

std::int64_t start_of(std::uint64_t i) {
  return kStart + static_cast<std::int64_t>(i) * kInterval;
}

void RandomCapture::start(std::uint64_t i) {
  for (TalkPart& part : make_talk(config_.talks, i, start_of(i))) {
    if (part.captured.frames.empty()) continue;
    write_truth(i, part, truth_);
    active_.push(std::make_unique<Active>(Active{.part = std::move(part), .order = order_++}));
  }
}

void RandomCapture::write_frame(const Active& active) {
  const Frame& frame = active.frame();
  const Segment& segment = active.part.captured.packets[frame.packet].segment;
  const Piece piece{.index = frame.piece, .count = frame.pieces, .id = frame.id};
  pcap_.write(frame.at,
              frames_.make(active.part.identity, segment, active.part.wrapping, piece));
  Totals& totals = truth_.totals();
  if (frame.pieces > 1) ++totals.fragments;
}

/// All frames before `end`.
void RandomCapture::write_until(std::int64_t end) {
  while (!active_.empty() && active_.top()->frame().at < end) {
    // top() is const only to keep the order, which is restored by pushing it again.
    auto active = std::move(const_cast<std::unique_ptr<Active>&>(active_.top()));
    active_.pop();
    write_frame(*active);
    if (++active->next < active->part.captured.frames.size()) active_.push(std::move(active));
  }
}

void RandomCapture::write() {
  if (config_.only) {
    start(*config_.only);
  } else {
    for (std::uint64_t i = 0; i < config_.conversations; ++i) {
      write_until(start_of(i));
      start(i);
    }
  }
  write_until(kNever);
  pcap_.close();
  truth_.close("random", pcap_);
}

}  // namespace

void write_random_capture(const RandomCaptureConfig& config) {
  RandomCapture(config).write();
}

}  // namespace flowloom::gen
