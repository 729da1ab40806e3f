// The short ways of tcp_usual.hpp against the rules of which they are a shortcut: two trackers see
// the same conversations, one of them without those ways, and may not differ in any byte that they
// keep, nor in what they tell. Conversations are ordinary ones in which something goes wrong now
// and then, so that each way is nearly taken in every state.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tcp/tcp_tracker.hpp"

namespace flowloom {
namespace {

/// What a tracker tells, as text; runs no timers but remembers the last that was asked for.
struct Told {
  void data(Direction d, StreamOffset at, ByteView bytes) {
    text += fmt::format("data {} {} {}\n", index_of(d), at, bytes.size());
  }
  void gap(Direction d, StreamOffset at, std::int64_t length, HoleCause cause) {
    text += fmt::format("gap {} {} {} {}\n", index_of(d), at, length, static_cast<int>(cause));
  }
  void end(Direction d) { text += fmt::format("end {}\n", index_of(d)); }
  void urgent(Direction d, StreamOffset at, std::uint8_t byte) {
    text += fmt::format("urgent {} {} {}\n", index_of(d), at, byte);
  }
  void conflict(Direction d, const OverlapConflict& conflict) {
    text += fmt::format("conflict {} {}\n", index_of(d), conflict.position);
  }
  void arm(Connection&, Timestamp at) { armed = at; }
  template <class Action>
  void on_behalf_of(Connection&, Action action) {
    action(*this);
  }
  std::string text;
  Timestamp armed = kTimeMax;
};

using Tracker = TcpTracker<Told>;

/// A tracker with one connection.
struct Side {
  explicit Side(const TcpSettings& settings)
      : histories(1), connections(1),
        memory{SlabPool<ConnectionExtra>(1), SlabPool<HalfRare>(2), ReorderPool(64), {}},
        tracker(settings, memory, counters, histories.data(), connections.data()) {}

  template <Tracker::Ways kWays>
  void take(const Segment& s, Direction d) {
    Connection& c = connections[0];
    if (told.armed <= s.clock) {
      told.armed = kTimeMax;
      tracker.on_grace(c, s.clock, told);
    }
    tracker.on_segment<kWays>(c, s, d, told);
    c.heard_at(s.clock);
  }

  ReservedArray<ConnectionHistory> histories;
  ReservedArray<Connection> connections;
  TcpMemory memory;
  TcpCounters counters;
  Told told;
  Tracker tracker;
};

template <class T>
bool same_bytes(const T& a, const T& b) {
  return std::memcmp(static_cast<const void*>(&a), static_cast<const void*>(&b), sizeof(T)) == 0;
}

class Conversation {
 public:
  explicit Conversation(std::uint64_t seed) : random_(seed) {
    for (Host& host : hosts_) {
      host.next = host.acked = static_cast<std::uint32_t>(random_());
      host.stamps = pick(2) == 0;
      host.clock = static_cast<std::uint32_t>(random_());
      host.scales = pick(2) == 0;
      host.window = pick(4) == 0 ? 300 : 65535;
    }
    mishaps_ = pick(3) == 0 ? 0 : 4 + pick(30);
  }

  struct Step {
    Segment segment;
    Direction direction;
    std::array<std::uint8_t, 40> options;
  };

  /// The next segment as it is captured.
  Step next() {
    Step step;
    if (late_ && pick(3) == 0) {
      step = *std::exchange(late_, std::nullopt);
    } else {
      step = send();
      if (!late_ && mishaps_ != 0 && pick(mishaps_) == 0) {
        late_ = std::exchange(step, send());
      }
    }
    step.segment.number = ++number_;
    now_ += pick(mishaps_ == 0 ? 1000 : 400) == 0 ? Duration{std::chrono::hours{pick(800)}}
                                                  : Duration{std::chrono::microseconds{pick(9000)}};
    step.segment.clock = step.segment.stamp = now_;
    return step;
  }

 private:
  Step send() {
    const unsigned from = pick(2);
    Host& talker = hosts_[from];
    Host& listener = hosts_[1 - from];
    Step step{{}, static_cast<Direction>(from), {}};
    Segment& s = step.segment;
    s.window = talker.window;
    s.seq = SeqNum{talker.next};
    s.ack = SeqNum{talker.heard};
    s.flags = flags_of(talker, listener, from);
    if (talker.synced && !talker.closed && !s.flags.has_any(kSyn | kFin) && pick(3) != 0) {
      s.length = pick(200);
    }
    write_options(talker, listener, s);
    if (mishaps_ != 0 && pick(mishaps_) == 0) spoil(s);
    s.payload = {text_.data(), s.length};
    s.ip_bytes = 40 + static_cast<std::uint32_t>(s.options.size()) + s.length;
    step.options = options_;
    const bool lost = mishaps_ != 0 && pick(mishaps_) == 0;
    advance(talker, listener, s, lost);
    return step;
  }

  struct Host {
    std::uint32_t next = 0;
    std::uint32_t acked = 0;
    std::uint32_t heard = 0;
    std::uint32_t clock = 0;
    std::uint16_t window = 0;
    bool stamps = false;
    bool scales = false;
    bool synced = false;
    bool knows = false;
    bool closed = false;
  };

  std::uint32_t pick(std::uint32_t end) { return static_cast<std::uint32_t>(random_() % end); }

  TcpFlags flags_of(const Host& talker, const Host& listener, unsigned from) {
    if (!talker.synced) return talker.knows ? kSyn | kAck : (from == 0 ? kSyn : kAck);
    if (!listener.synced && pick(2) == 0) return kSyn; // once more
    if (!talker.closed && pick(9) == 0) return kFin | kAck;
    if (mishaps_ != 0 && pick(40) == 0) return kRst | kAck;
    return pick(3) == 0 ? kAck | kPsh : kAck;
  }

  void write_options(Host& talker, const Host& listener, Segment& s) {
    std::size_t n = 0;
    if (s.flags.has_any(kSyn) && talker.scales) {
      for (const int byte : {1, 3, 3, 7}) options_[n++] = static_cast<std::uint8_t>(byte);
    }
    const bool both = talker.stamps && (listener.stamps || s.flags.has_any(kSyn));
    if (both) {
      talker.clock += pick(3);
      store_be32(options_.data() + n, kAlignedTimestamps);
      store_be32(options_.data() + n + 4, talker.clock);
      store_be32(options_.data() + n + 8, listener.clock);
      n += kAlignedTimestampsBytes;
    }
    s.options = {options_.data(), n};
  }

  void spoil(Segment& s) {
    constexpr std::array<std::uint8_t, 7> kFlags = {0x01, 0x02, 0x04, 0x10, 0x20, 0x40, 0x08};
    switch (pick(9)) {
      case 0: s.seq = s.seq + (pick(2) == 0 ? 1U : ~std::uint32_t{0}); break;
      case 1: s.ack = s.ack + (pick(2) == 0 ? 1U : ~std::uint32_t{0}); break;
      case 2: s.seq = s.seq + pick(400) - 200; break;
      case 3: s.ack = s.ack + pick(400) - 200; break;
      case 4: s.flags = TcpFlags{static_cast<std::uint8_t>(s.flags.bits() ^
                                                           kFlags[pick(kFlags.size())])};
        break;
      case 5: s.window = pick(2) == 0 ? std::uint16_t{0} : std::uint16_t{5}; break;
      case 6: s.options = {}; break;
      case 7:
        if (s.options.size() >= 8) options_[s.options.size() - 5] ^= 0x80;
        break;
      default: s.length = pick(3); break;
    }
  }

  void advance(Host& talker, Host& listener, const Segment& s, bool lost) {
    if (pick(12) == 0) return; // its sender will repeat it
    talker.next = (s.seq + s.seq_len()).value();
    if (s.flags.has_any(kSyn)) talker.synced = true;
    if (s.flags.has_any(kFin)) talker.closed = true;
    if (lost) return;
    listener.heard = talker.next;
    if (s.flags.has_any(kSyn)) listener.knows = true;
  }

  std::mt19937_64 random_;
  std::array<Host, 2> hosts_;
  std::array<std::uint8_t, 40> options_{};
  std::array<std::uint8_t, 256> text_{};
  Timestamp now_ = from_nanoseconds(1'700'000'000'000'000'000);
  std::uint64_t number_ = 0;
  std::uint32_t mishaps_ = 0;
  std::optional<Step> late_;
};

TcpSettings settings_of(std::uint64_t seed) {
  TcpSettings settings;
  if (seed % 8 == 7) settings.deliver = DeliverWhen::Acked;
  if (seed % 16 == 3) settings.depth = 100;
  return settings;
}

void expect_same(const Side& a, const Side& b, const std::string& where) {
  ASSERT_EQ(a.told.text, b.told.text) << where;
  ASSERT_TRUE(same_bytes(a.connections[0], b.connections[0])) << where;
  ASSERT_TRUE(same_bytes(a.histories[0], b.histories[0])) << where;
  ASSERT_TRUE(same_bytes(a.counters, b.counters)) << where;
  ASSERT_EQ(a.told.armed, b.told.armed) << where;
  if (a.connections[0].extra == 0) return;
  const std::uint32_t extra = a.connections[0].extra - 1;
  ASSERT_TRUE(same_bytes(a.memory.extras[extra], b.memory.extras[extra])) << where;
  for (const HalfExtra& half : a.memory.extras[extra].half) {
    if (half.rare == 0) continue;
    const std::uint32_t rare = half.rare - 1;
    ASSERT_TRUE(same_bytes(a.memory.rares[rare], b.memory.rares[rare])) << where;
  }
}

TEST(UsualSegments, ComeToWhatTheRulesSay) {
  constexpr std::uint64_t kConversations = 10'000;
  std::uint64_t ends = 0;
  for (std::uint64_t seed = 1; seed <= kConversations; ++seed) {
    Side usual(settings_of(seed));
    Side by_rules(settings_of(seed));
    Conversation conversation(seed);
    for (int i = 0; i < 40; ++i) {
      Conversation::Step step = conversation.next();
      step.segment.options = {step.options.data(), step.segment.options.size()};
      usual.take<Tracker::Ways::All>(step.segment, step.direction);
      by_rules.take<Tracker::Ways::NoUsual>(step.segment, step.direction);
      expect_same(usual, by_rules, fmt::format("seed {}, segment {}", seed, i));
      if (HasFatalFailure()) return;
    }
    usual.tracker.finish(usual.connections[0], usual.told);
    by_rules.tracker.finish(by_rules.connections[0], by_rules.told);
    ASSERT_EQ(usual.told.text, by_rules.told.text) << "seed " << seed;
    if (usual.connections[0].has_any(connection_flags::kClosing)) ++ends;
  }
  // The conversations are such as the ways are made for.
  EXPECT_GT(ends, kConversations / 4);
}

}  // namespace
}  // namespace flowloom
