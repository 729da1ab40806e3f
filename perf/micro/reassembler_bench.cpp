// TcpTracker by itself: segments of one established connection into ordered bytes. In order;
// neighbours swapped; lost and sent again; and the worst that a sender can do, single bytes of
// which every second comes first, so that nothing is delivered until the last hole is filled.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "tcp/tcp_tracker.hpp"

namespace flowloom {
namespace {

constexpr std::uint32_t kSegmentBytes = 1460;
constexpr std::uint16_t kWindow = 0xffff;
constexpr Duration kInterval = std::chrono::microseconds{1};

struct CountingHandler {
  std::uint64_t bytes = 0;
  std::uint64_t gap_bytes = 0;
  StreamOffset next = 0;
  bool in_order = true;

  void data(Direction, StreamOffset at, ByteView view) {
    in_order = in_order && at == next;
    next = at + static_cast<StreamOffset>(view.size());
    bytes += view.size();
  }
  void gap(Direction, StreamOffset, std::int64_t length, HoleCause) {
    gap_bytes += static_cast<std::uint64_t>(length);
  }
  void urgent(Direction, StreamOffset, std::uint8_t) {}
  void end(Direction) {}
  void conflict(Direction, const OverlapConflict&) {}
  void arm(Connection&, Timestamp) {}
  template <class Action>
  void on_behalf_of(Connection&, Action action) {
    action(*this);
  }
};

/// A connection after its handshake; the originator sends, the responder acknowledges.
class Conversation {
 public:
  Conversation() : content_(kSegmentBytes, 0x5a) {
    connection_ = &connections_[0];
    segment(Direction::OriginatorToResponder, kSyn, SeqNum{999}, SeqNum{0}, 0);
    segment(Direction::ResponderToOriginator, kSyn | kAck, SeqNum{4999}, SeqNum{1000}, 0);
    acknowledge_as_originator();
  }

  /// Sends `length` bytes that belong at `offset`.
  void send(std::uint64_t offset, std::uint32_t length) {
    segment(Direction::OriginatorToResponder, kAck, kFirst + static_cast<std::uint32_t>(offset),
            SeqNum{5000}, length);
  }
  /// The receiver has everything up to `offset`.
  void acknowledge(std::uint64_t offset) {
    segment(Direction::ResponderToOriginator, kAck, SeqNum{5000},
            kFirst + static_cast<std::uint32_t>(offset), 0);
  }
  /// Whether exactly `bytes` were delivered, in order, without a gap.
  [[nodiscard]] bool delivered(std::uint64_t bytes) const {
    return handler_.in_order && handler_.bytes == bytes && handler_.gap_bytes == 0;
  }

 private:
  void acknowledge_as_originator() {
    segment(Direction::OriginatorToResponder, kAck, SeqNum{1000}, SeqNum{5000}, 0);
  }
  void segment(Direction d, TcpFlags flags, SeqNum seq, SeqNum ack, std::uint32_t length) {
    constexpr std::uint32_t kHeaders = 40;
    Segment s;
    s.seq = seq;
    s.ack = ack;
    s.length = length;
    s.window = kWindow;
    s.flags = flags;
    s.payload = {content_.data(), length};
    s.ip_bytes = kHeaders + length;
    s.clock = s.stamp = clock_;
    s.number = ++number_;
    clock_ += kInterval;
    tracker_.on_segment(*connection_, s, d, handler_);
  }

  static constexpr SeqNum kFirst{1000};
  std::vector<std::uint8_t> content_;
  ReservedArray<Connection> connections_{1};
  ReservedArray<ConnectionHistory> histories_{1};
  TcpMemory memory_{SlabPool<ConnectionExtra>(1), SlabPool<HalfRare>(2), ReorderPool(4096),
                    DeliveredLog{}};
  TcpCounters counters_;
  CountingHandler handler_;
  TcpTracker<CountingHandler> tracker_{TcpSettings{}, memory_, counters_, histories_.data(),
                                       connections_.data()};
  Connection* connection_;
  Timestamp clock_ = from_nanoseconds(1'000'000'000);
  std::uint64_t number_ = 0;
};

/// What befalls one segment of each round.
enum class Mishap : std::int64_t { None, Swapped, Retransmitted };

/// A round of data segments, acknowledged every second one.
void send_round(Conversation& c, std::uint64_t first, std::uint32_t segments, Mishap mishap) {
  constexpr std::uint32_t kRepairedAfter = 10;
  const auto at = [&](std::uint32_t i) { return first + std::uint64_t{i} * kSegmentBytes; };
  std::uint32_t i = 0;
  if (mishap == Mishap::Swapped) {
    c.send(at(1), kSegmentBytes);
    c.send(at(0), kSegmentBytes);
    i = 2;
  } else if (mishap == Mishap::Retransmitted) {
    for (i = 1; i <= kRepairedAfter; ++i) {
      c.send(at(i), kSegmentBytes);
      c.acknowledge(first); // asks again
    }
    c.send(at(0), kSegmentBytes);
  }
  for (; i < segments; ++i) {
    c.send(at(i), kSegmentBytes);
    if (i % 2 == 1) c.acknowledge(at(i + 1));
  }
  c.acknowledge(at(segments));
}

/// One in a hundred segments is disturbed.
void bm_segments(benchmark::State& state) {
  constexpr std::uint32_t kRound = 100;
  Conversation c;
  std::uint64_t sent = 0;
  for (auto _ : state) {
    send_round(c, sent, kRound, static_cast<Mishap>(state.range(0)));
    sent += std::uint64_t{kRound} * kSegmentBytes;
  }
  if (!c.delivered(sent)) state.SkipWithError("not every byte was delivered in order");
  state.SetItemsProcessed(state.iterations() * kRound);
  state.SetBytesProcessed(static_cast<std::int64_t>(sent));
}
BENCHMARK(bm_segments)
    ->ArgName("mishap")
    ->Arg(static_cast<std::int64_t>(Mishap::None))
    ->Arg(static_cast<std::int64_t>(Mishap::Swapped))
    ->Arg(static_cast<std::int64_t>(Mishap::Retransmitted));

/// The bits of a 15-bit number in reverse: an order without locality.
std::uint32_t scattered(std::uint32_t i) {
  constexpr unsigned kBits = 15;
  std::uint32_t reversed = 0;
  for (unsigned bit = 0; bit < kBits; ++bit) reversed |= (i >> bit & 1U) << (kBits - 1 - bit);
  return reversed;
}

/// Half a window of single bytes with a hole after each, then the holes, the first one last.
void bm_single_bytes(benchmark::State& state) {
  constexpr std::uint32_t kHalf = 1 << 15;
  constexpr std::uint32_t kRangeBytes = 2 * kHalf - 2;
  Conversation c;
  std::uint64_t sent = 0;
  std::int64_t segments = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < kHalf; ++i) {
      const std::uint32_t at = 2 * scattered(i) + 1;
      if (at < kRangeBytes) c.send(sent + at, 1);
    }
    for (std::uint32_t i = kHalf; i-- > 0;) {
      const std::uint32_t at = 2 * scattered(i);
      if (at < kRangeBytes) c.send(sent + at, 1);
    }
    sent += kRangeBytes;
    c.acknowledge(sent);
    segments += kRangeBytes;
  }
  if (!c.delivered(sent)) state.SkipWithError("not every byte was delivered in order");
  state.SetItemsProcessed(segments);
}
BENCHMARK(bm_single_bytes)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flowloom

BENCHMARK_MAIN();
