#include "io/kernel_source.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace flowloom {

namespace {

/// At the end: so long nothing comes when the last block was handed over.
constexpr std::chrono::milliseconds kDrainedAfter{5 * kKernelBlockTime};
/// Looks at the clock: once in so many calls that found packets.
constexpr std::uint32_t kCallsPerLook = 64;
/// The kernel's counters have 32 bits: at any speed they are read long before they wrap.
constexpr std::chrono::seconds kCountEvery{1};
/// So often a silent input tells the time; time-outs need no more.
constexpr std::chrono::milliseconds kIdleStep{100};

/// On the clock of stamps.
Timestamp now_as_stamp() {
  return Timestamp{
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())};
}

}  // namespace

KernelSource::KernelSource(const std::vector<std::string>& interfaces,
                           const KernelSettings& settings)
    : settings_(settings), merge_(interfaces.size()) {
  FLOWLOOM_CHECK(!interfaces.empty() && interfaces.size() <= kMergeInputsMax);
  for (const std::string& interface : interfaces) {
    inputs_.push_back({.socket = std::make_unique<KernelSocket>(
                           interface, settings, settings.copy_bytes / interfaces.size())});
  }
  begin_ = last_packet_ = last_count_ = waiting_since_ = Clock::now();
}

KernelSource::~KernelSource() = default;

std::vector<InputProblem> KernelSource::problems() const {
  std::vector<InputProblem> problems;
  for (const Input& input : inputs_) {
    if (input.socket->problem()) problems.push_back(*input.socket->problem());
  }
  return problems;
}

SourceState KernelSource::receive(Burst& burst) {
  burst.size = 0;
  if ((calls_ % kCallsPerLook == 0 || draining_) && is_over()) return SourceState::End;
  if (!fill(burst)) {
    calls_ = 0;
    return is_over() ? SourceState::End : SourceState::Idle;
  }
  ++calls_;
  if (draining_) last_packet_ = Clock::now();
  for (const Input& input : inputs_) input.socket->lend(number_);
  return SourceState::Packets;
}

bool KernelSource::fill(Burst& burst) {
  asked_ = 0;
  const std::uint32_t limit = std::min(burst.limit, kBurstMax);
  while (burst.size < limit) {
    if (settings_.packets_max != 0 && number_ == settings_.packets_max) break;
    Input* const input = next_input();
    if (input == nullptr) break;
    hand_over(*input, burst);
  }
  return burst.size > 0;
}

// Whose packet is next, or nullptr.
KernelSource::Input* KernelSource::next_input() {
  for (;;) {
    const MergeChoice choice = choose_input(merge_, kKernelLateness, asked_);
    if (choice.pass) return &inputs_[*choice.pass];
    if (!choice.ask) break;
    look_at(*choice.ask);
  }
  // Whoever is looked at without end must not hold the others up without end: the clock of stamps
  // may have been set back.
  const auto earlier = [](const MergeInput& a, const MergeInput& b) {
    return a.head.value_or(kTimeMax) < b.head.value_or(kTimeMax);
  };
  const auto head = std::min_element(merge_.begin(), merge_.end(), earlier);
  if (!head->head) return nullptr;
  const auto index = static_cast<std::size_t>(head - merge_.begin());
  return is_overdue() ? &inputs_[index] : nullptr;
}

// Whether the packet that is next has waited long enough, by a clock that nobody sets.
bool KernelSource::is_overdue() {
  const Clock::time_point now = Clock::now();
  if (waiting_for_ != number_ + 1) {
    waiting_for_ = number_ + 1;
    waiting_since_ = now;
  }
  return now - waiting_since_ >= kKernelLateness;
}

void KernelSource::look_at(std::size_t index) {
  asked_ |= 1U << index;
  KernelSocket& socket = *inputs_[index].socket;
  // Before the look: what came later may not have been seen.
  const Timestamp now = now_as_stamp();
  socket.look();
  if (socket.has_frame()) {
    show_head(index);
  } else if (socket.problem()) {
    merge_[index].ended = true;
  } else {
    merge_[index].silent_until = now;
  }
}

// What came after the end had been asked for is not part of the run, so that its packets and those
// that were dropped are all that the kernel had counted.
void KernelSource::show_head(std::size_t index) {
  const Input& input = inputs_[index];
  const KernelSocket& socket = *input.socket;
  merge_[index].head.reset();
  if (!socket.has_frame()) return;
  if (draining_ && (socket.popped() >= input.drain_to || socket.frame().stamp > drain_begin_)) {
    merge_[index].ended = true;
    return;
  }
  merge_[index].head = socket.frame().stamp;
}

// Silent for as long as the kernel may hold packets back: nothing earlier will come. If it does all
// the same, its clock is that of now.
std::optional<Timestamp> KernelSource::idle_clock() {
  Timestamp silent = kTimeMax;
  for (const MergeInput& input : merge_) {
    if (input.head) return std::nullopt;
    if (!input.ended) silent = std::min(silent, input.silent_until);
  }
  if (silent == kTimeMax || silent < saturating_add(last_idle_, kIdleStep)) return std::nullopt;
  last_idle_ = silent;
  return rule_.pass(saturating_add(silent, -Duration{kKernelLateness}));
}

void KernelSource::hand_over(Input& input, Burst& burst) {
  KernelSocket& socket = *input.socket;
  const KernelSocket::Frame& frame = socket.frame();
  const auto index = static_cast<std::size_t>(&input - inputs_.data());
  Packet& packet = burst.packets[burst.size++];
  packet.frame = frame.bytes;
  packet.stamp = frame.stamp;
  packet.clock = rule_.advance(frame.stamp);
  packet.number = ++number_;
  packet.captured = frame.captured;
  packet.wire_length = frame.wire_length;
  packet.flags = frame.captured < frame.wire_length ? packet_flags::kSnapped : std::uint8_t{0};
  packet.link = socket.link();
  packet.input = static_cast<std::uint8_t>(index);
  socket.pop();
  show_head(index);
}

void KernelSource::release(Burst& burst) {
  if (burst.size == 0) return;
  const std::uint64_t last = burst.packets[burst.size - 1].number;
  for (const Input& input : inputs_) input.socket->release(last);
}

// The clock is looked at when nothing comes and, under load, now and then.
bool KernelSource::is_over() {
  if (settings_.packets_max != 0 && number_ >= settings_.packets_max) return true;
  const Clock::time_point now = Clock::now();
  if (!draining_ && now - last_count_ >= kCountEvery) {
    last_count_ = now;
    for (const Input& input : inputs_) input.socket->count();
  }
  const bool timed_out = settings_.duration.count() > 0 && now - begin_ >= settings_.duration;
  if (!draining_ && (timed_out || stopping_.load(std::memory_order_relaxed))) {
    start_draining();
    last_packet_ = now;
  }
  return all_ended() || (draining_ && now - last_packet_ >= kDrainedAfter);
}

void KernelSource::start_draining() {
  draining_ = true;
  for (Input& input : inputs_) {
    const KernelSocket::Counts counts = input.socket->count();
    input.drain_to = counts.seen - counts.dropped;
  }
  drain_begin_ = now_as_stamp(); // after the count: what was counted has an earlier stamp
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].socket->popped() >= inputs_[i].drain_to) merge_[i].ended = true;
    show_head(i);
  }
}

bool KernelSource::all_ended() const {
  return std::all_of(merge_.begin(), merge_.end(),
                     [](const MergeInput& input) { return input.ended; });
}

SourceStats KernelSource::stats() const {
  SourceStats stats{.missed = 0, .bad_timestamps = rule_.bad_timestamps(), .inputs = {}};
  for (const Input& input : inputs_) {
    const KernelSocket& socket = *input.socket;
    // The end by a number of packets leaves the kernel's counters as they are.
    const KernelSocket::Counts counts = draining_ ? socket.counts() : input.socket->count();
    const std::uint64_t missed = counts.dropped + counts.missed;
    stats.missed += missed;
    stats.inputs.push_back({socket.interface(), socket.popped(), missed});
  }
  return stats;
}

}  // namespace flowloom
