// Any bytes as traffic through the front and one Shard with small limits, under any policy: raw
// frames, and segments put together from a few bytes, whose numbers are near each other often
// enough to meet. Nothing is right or wrong but the contract: consumers see no breach of it, the
// ledger balances, every pool is empty at the end, and the size of a burst changes nothing.
//
// Input: settings (6 bytes), then steps; see next_step().
#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.hpp"
#include "fuzz/fuzz_bytes.hpp"
#include "net/packet_clock_rule.hpp"
#include "pipeline/front.hpp"
#include "pipeline/shard.hpp"
#include "support/packet_builder.hpp"
#include "support/recording_consumer.hpp"

namespace flowloom::fuzz {
namespace {

constexpr std::uint64_t kStepsMax = 3000;
constexpr std::int64_t kStartNs = 1'700'000'000'000'000'000;
/// Near the wrap of sequence numbers, and far from it.
constexpr std::array<std::uint32_t, 2> kIsn = {0xffffff00, 0x10000000};
constexpr std::uint8_t kLinkTypes = 1
#define LINK(symbol, linktype, name) +1
#include "net/links.def"
#undef LINK
    ;

/// Control byte of a step.
constexpr std::uint8_t kRawFrame = 1 << 0;      // else a segment
constexpr std::uint8_t kEthernet = 1 << 1;      // of a raw frame; else the next byte names it
constexpr std::uint8_t kFromResponder = 1 << 1; // of a segment, as are the following
constexpr std::uint8_t kIpv6 = 1 << 2;
constexpr std::uint8_t kOtherBytes = 1 << 3;    // payload that contradicts what was sent
constexpr std::uint8_t kTagged = 1 << 4;
constexpr std::uint8_t kSnappedShort = 1 << 5;
constexpr unsigned kPortShift = 6;              // two bits: which connection

constexpr std::uint8_t kSynFlag = 0x02;
constexpr std::uint8_t kUrgFlag = 0x20;
/// ECE says nothing to a tracker; here it says that the segment has timestamps.
constexpr std::uint8_t kEceFlag = 0x40;

/// Every run is done a packet at a time, and once more with one of these.
constexpr std::array<std::uint32_t, 2> kBursts = {7, kBurstMax};
constexpr std::uint8_t kFragmentOverlaps = 9;

struct Settings {
  ShardConfig shard;
  FrontSettings front;
  std::uint32_t burst = kBurstMax;  ///< of the second run
};

Settings settings_of(FuzzBytes& input) {
  Settings settings;
  ShardConfig& shard = settings.shard;
  const unsigned a = input.u8();
  const unsigned b = input.u8();
  shard.tcp.overlap = static_cast<OverlapPolicy>(a % kOverlapPolicyCount);
  shard.checksum = static_cast<ChecksumMode>(a / 4 % 3);
  if ((a & 0x40U) != 0) shard.tcp.depth = static_cast<StreamOffset>(b);
  shard.max_flows = (a & 0x80U) != 0 ? 2 : 32;
  shard.tcp.pages_per_direction = 1 + b % 8;
  shard.reorder_bytes = b % 3 == 0 ? 1 : std::uint64_t{1} << 18;
  shard.idle_timeout = std::chrono::seconds{1 + input.u8()};
  shard.syn_timeout = std::chrono::seconds{1 + b % 16};
  shard.closed_timeout = std::chrono::seconds{1 + b / 16};
  const unsigned c = input.u8();
  settings.burst = kBursts[c / 16 % 2];
  settings.front.decode.seed = shard.seed;
  settings.front.decode.header_checksum = static_cast<HeaderChecksum>(c / 32 % 3);
  settings.front.defragment.memory_bytes = 0; // the least there can be
  settings.front.defragment.max_datagrams = 1 + c % 16;
  const unsigned d = input.u8();
  shard.tcp.deliver = static_cast<DeliverWhen>(d % kDeliverNames.size());
  shard.tcp.urgent = static_cast<UrgentMode>(d / 2 % kUrgentNames.size());
  shard.hold_first = (d & 0x40U) != 0 ? HoldFirst::Always : HoldFirst::Never;
  settings.front.defragment.ipv4_overlap =
      kFragmentOverlapNames[input.u8() % kFragmentOverlaps].policy;
  settings.front.defragment.ipv6_chain =
      (d & 0x80U) != 0 ? Ipv6HeaderChain::Any : Ipv6HeaderChain::Whole;
  return settings;
}

/// A frame as a source hands it over.
struct RawFrame {
  std::vector<std::uint8_t> bytes;
  std::uint32_t wire_length = 0;
  LinkType link = LinkType::Ethernet;
};

struct Step {
  RawFrame frame;
  Timestamp stamp;
};

std::string letters(std::uint8_t flags) {
  constexpr std::string_view kAll = "FSRP.UEW";
  std::string text;
  for (unsigned i = 0; i < kAll.size(); ++i) {
    if ((unsigned{flags} >> i & 1U) != 0) text += kAll[i];
  }
  return text.empty() ? "-" : text;
}

// Bytes follow from the position, so that repetitions agree unless told otherwise.
std::string payload_at(std::int32_t offset, std::size_t size, bool other) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    const auto position = static_cast<std::uint32_t>(offset) + static_cast<std::uint32_t>(i);
    text += static_cast<char>(other ? 'Z' : 'a' + position % 23);
  }
  return text;
}

// flags, sequence number and acknowledgement relative to the ISNs, payload length, window; where
// the flags say so, urgent pointer and timestamp
RawFrame segment(std::uint8_t control, FuzzBytes& input) {
  const unsigned side = (control & kFromResponder) != 0 ? 1 : 0;
  const auto port = static_cast<std::uint16_t>(40000 + (control >> kPortShift));
  const bool ipv6 = (control & kIpv6) != 0;
  const Endpoint originator = ipv6 ? test::endpoint6(1, port) : test::endpoint4(1, port);
  const Endpoint responder = ipv6 ? test::endpoint6(2, 80) : test::endpoint4(2, 80);
  const std::uint8_t flags = input.u8();
  const std::int32_t seq = input.i16();
  const std::int32_t ack = input.i16();
  const unsigned size = input.u8();
  test::PacketBuilder builder;
  builder.from(side == 0 ? originator : responder)
      .to(side == 0 ? responder : originator)
      .flags(letters(flags))
      .seq(kIsn[side] + static_cast<std::uint32_t>(seq))
      .ack(kIsn[1 - side] + static_cast<std::uint32_t>(ack))
      .window(static_cast<std::uint16_t>(input.u8() * 257U))
      .payload(payload_at(seq, size * (size > 200 ? 20U : 1U), (control & kOtherBytes) != 0));
  if ((control & kTagged) != 0) builder.vlan(7);
  if ((flags & kSynFlag) != 0) builder.window_scale(static_cast<std::uint8_t>(size % 16));
  if ((flags & kUrgFlag) != 0) builder.urgent(input.u8());
  if ((flags & kEceFlag) != 0) builder.timestamps(input.u8(), 0);
  test::Frame made = builder.build(Timestamp{});
  RawFrame frame{std::move(made.bytes), 0, LinkType::Ethernet};
  frame.wire_length = static_cast<std::uint32_t>(frame.bytes.size());
  if ((control & kSnappedShort) != 0) frame.bytes.resize(frame.bytes.size() - size / 2);
  return frame;
}

RawFrame raw_frame(std::uint8_t control, FuzzBytes& input) {
  RawFrame frame;
  if ((control & kEthernet) == 0) frame.link = static_cast<LinkType>(input.u8() % kLinkTypes);
  const std::uint8_t not_captured = (control & kSnappedShort) != 0 ? input.u8() : std::uint8_t{0};
  const ByteView bytes = input.take(input.u16());
  frame.bytes.assign(bytes.begin(), bytes.end());
  frame.wire_length = static_cast<std::uint32_t>(frame.bytes.size()) + not_captured;
  return frame;
}

/// Time that passes before a step: nothing, up to 60 ms, or up to a minute and a half.
Duration pause(std::uint8_t code) {
  if (code < 64) return Duration{0};
  if (code < 192) return std::chrono::microseconds{(code - 63) * 500};
  return std::chrono::milliseconds{(code - 191) * 1400};
}

class Pipeline {
 public:
  Pipeline(const Settings& settings, std::uint32_t burst)
      : front_(settings.front), shard_(settings.shard, consumer_) {
    burst_.limit = burst;
  }

  void feed(const Step& step) {
    frames_.push_back(step.frame);
    const RawFrame& kept = frames_.back();
    Packet& packet = burst_.packets[burst_.size++];
    packet = Packet{};
    packet.frame = kept.bytes.data();
    packet.stamp = step.stamp;
    packet.clock = rule_.advance(step.stamp);
    packet.number = ++fed_;
    packet.captured = static_cast<std::uint32_t>(kept.bytes.size());
    packet.wire_length = kept.wire_length;
    packet.flags = packet.captured < packet.wire_length ? packet_flags::kSnapped : std::uint8_t{0};
    packet.link = kept.link;
    packet.verdict = Verdict::Tcp;
    if (burst_.size == burst_.limit) flush();
  }

  void finish() {
    flush();
    front_.finish();
    shard_.finish();
    const Ledger& ledger = shard_.ledger();
    FLOWLOOM_CHECK(ledger.received == fed_);
    FLOWLOOM_CHECK(ledger.balances());
    FLOWLOOM_CHECK(shard_.connections() == 0);
    FLOWLOOM_CHECK(shard_.memory_in_use() == Shard::MemoryInUse{});
    if (!consumer_.violations().empty()) {
      std::fprintf(stderr, "%s\n%s", text().c_str(), consumer_.violations().c_str());
    }
    FLOWLOOM_CHECK(consumer_.violations().empty());
    std::uint64_t delivered = 0;
    for (const test::ConnectionLog& connection : consumer_.connections()) {
      FLOWLOOM_CHECK(connection.closed);
      for (const auto& side : connection.sides) delivered += side.bytes.size();
    }
    FLOWLOOM_CHECK(delivered == ledger.tcp.fates[static_cast<std::size_t>(Fate::Delivered)]);
  }

  [[nodiscard]] std::string text() const { return consumer_.text(from_nanoseconds(kStartNs)); }
  [[nodiscard]] const Ledger& ledger() const { return shard_.ledger(); }
  /// Which fragments a full table drops may depend on when it was swept.
  [[nodiscard]] bool lost_datagrams() const { return front_.reached_limit(); }

 private:
  void flush() {
    if (burst_.size == 0) return;
    front_.run(burst_);
    shard_.track(burst_);
    front_.release(burst_.packets[burst_.size - 1].number);
    frames_.clear(); // a view that is kept is found out by a sanitizer
    burst_.size = 0;
  }

  test::RecordingConsumer consumer_;
  Front front_;
  Shard shard_;
  PacketClockRule rule_;
  Burst burst_;
  std::vector<RawFrame> frames_;
  std::uint64_t fed_ = 0;
};

// A step: control byte, time byte, then what raw_frame() or segment() take.
Step next_step(FuzzBytes& input, Timestamp before) {
  const std::uint8_t control = input.u8();
  const Timestamp stamp = before + pause(input.u8());
  return {(control & kRawFrame) != 0 ? raw_frame(control, input) : segment(control, input), stamp};
}

void check_same(const Pipeline& one, const Pipeline& other) {
  if (one.lost_datagrams() || other.lost_datagrams()) return;
  const std::string a = one.text();
  const std::string b = other.text();
  if (a != b) {
    std::fprintf(stderr, "--- a packet at a time\n%s--- in bursts\n%s", a.c_str(), b.c_str());
  }
  FLOWLOOM_CHECK(a == b);
  FLOWLOOM_CHECK(one.ledger().verdicts == other.ledger().verdicts);
  FLOWLOOM_CHECK(one.ledger().tcp.fates == other.ledger().tcp.fates);
  FLOWLOOM_CHECK(one.ledger().tcp.anomalies == other.ledger().tcp.anomalies);
}

void run(FuzzBytes input) {
  const Settings settings = settings_of(input);
  Pipeline single(settings, 1);
  Pipeline bursts(settings, settings.burst);
  Timestamp stamp = from_nanoseconds(kStartNs);
  for (std::uint64_t i = 0; i < kStepsMax && !input.empty(); ++i) {
    const Step step = next_step(input, stamp);
    stamp = step.stamp;
    single.feed(step);
    bursts.feed(step);
  }
  single.finish();
  bursts.finish();
  check_same(single, bursts);
}

}  // namespace
}  // namespace flowloom::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flowloom::fuzz::run(flowloom::fuzz::FuzzBytes(data, size));
  return 0;
}
