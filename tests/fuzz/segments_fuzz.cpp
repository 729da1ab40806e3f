// Segments of one sender, in any order and with any overlap, through a whole Shard; against a list
// model of the receiver's queue of each system. What is delivered, and where the gaps are, must be
// as the model has it. The acknowledgements that come are those of a receiver that has the same.
//
// Input: policy, start, bytes of one position, then steps; see take_step().
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "fuzz/fuzz_bytes.hpp"
#include "support/recording_consumer.hpp"
#include "support/segment_overlap_model.hpp"
#include "support/shard_runner.hpp"

namespace flowloom::fuzz {
namespace {

using test::Chunk;
using test::SegmentOverlapModel;

/// The model looks at every position for every segment.
constexpr int kStepsMax = 120;
/// Positions of the stream, and of the longest segment.
constexpr int kPositions = 256 + 32;
/// A page and more; all positions lie inside the window.
constexpr int kUnitBytesMax = 150;
constexpr std::uint32_t kPeer = 77'000;
constexpr std::uint16_t kWindow = 64'000;
static_assert(kPositions * kUnitBytesMax < kWindow);

/// Bits of the second byte.
constexpr std::uint8_t kMidStream = 1 << 0;  // else after a handshake
constexpr std::uint8_t kDeliverAcked = 1 << 1;
constexpr std::uint8_t kWraps = 1 << 2;
constexpr std::uint8_t kIpv6 = 1 << 3;
constexpr std::uint8_t kSynAckMissed = 1 << 4;  // the peer's third step names the first position

/// Of a step: what its second byte says.
constexpr std::uint8_t kLengthMask = 0x1f;   // in positions; 0: the peer acknowledges what is there
constexpr unsigned kContentShift = 6;        // two bits: which of four versions of the bytes

/// Byte `at` of the stream in one of its versions; two versions agree in one of three places.
char byte_of(int version, int at) {
  return static_cast<char>('a' + (at % 3 == 0 ? at : at * 4 + version) % 26);
}

class Conversation {
 public:
  explicit Conversation(FuzzBytes& input)
      : algorithm_(test::kOverlapAlgorithms[input.u8() % test::kOverlapAlgorithms.size()]),
        start_(input.u8()),
        unit_(1 + input.u8() % kUnitBytesMax),
        origin_((start_ & kWraps) != 0 ? 0xfffffff0 : 1000),
        model_(algorithm_),
        runner_(config(), consumer_) {
    if (answers()) {
      runner_.feed(back().seq(kPeer - 1).ack(0).flags("S").build(tick()));
    } else if ((start_ & kMidStream) == 0) {
      runner_.feed(forth().seq(origin_ - 1).ack(0).flags("S").build(tick()));
      runner_.feed(back().seq(kPeer - 1).ack(origin_).flags("S.").build(tick()));
    }
    runner_.feed(back().seq(kPeer).ack(origin_).build(tick()));
    // Mid-stream, what was just acknowledged is the origin only if it is what comes next.
    if ((start_ & kMidStream) != 0 && !answers()) send({0, 1}, 0);
  }

  void take_step(FuzzBytes& input) {
    const int begin = input.u8();
    const std::uint8_t what = input.u8();
    const int length = what & kLengthMask;
    if (length == 0) {
      acknowledge();
    } else {
      send({begin, begin + length}, what >> kContentShift);
    }
  }

  void finish() {
    runner_.finish();
    model_.deliver();
    FLOWLOOM_CHECK(consumer_.violations().empty());
    FLOWLOOM_CHECK(runner_.ledger().balances());
    FLOWLOOM_CHECK(runner_.shard().memory_in_use() == Shard::MemoryInUse{});
    FLOWLOOM_CHECK(consumer_.connections().size() == 1);
    const std::string wanted = expected();
    const std::string found = delivered();
    if (wanted != found) {
      std::fprintf(stderr, "%s, unit %d:%s\nwanted %s\nfound  %s\n", algorithm_.c_str(), unit_,
                   to_text(sent_).c_str(), wanted.c_str(), found.c_str());
    }
    FLOWLOOM_CHECK(wanted == found);
  }

 private:
  [[nodiscard]] ShardConfig config() const {
    ShardConfig config = test::small_config();
    config.tcp.overlap = overlap_policy_from_name(algorithm_).value();
    if (acked()) config.tcp.deliver = DeliverWhen::Acked;
    return config;
  }
  /// The sender of the segments is the responder.
  [[nodiscard]] bool answers() const { return (start_ & kSynAckMissed) != 0; }
  [[nodiscard]] bool acked() const { return (start_ & kDeliverAcked) != 0; }
  Timestamp tick() { return now_ = saturating_add(now_, Duration{1000}); }
  [[nodiscard]] Endpoint end(std::uint8_t host, std::uint16_t port) const {
    return (start_ & kIpv6) != 0 ? test::endpoint6(host, port) : test::endpoint4(host, port);
  }
  [[nodiscard]] test::PacketBuilder forth() const {
    return test::PacketBuilder().from(end(1, 40'000)).to(end(2, 80)).window(kWindow);
  }
  [[nodiscard]] test::PacketBuilder back() const {
    return test::PacketBuilder().from(end(2, 80)).to(end(1, 40'000)).window(kWindow);
  }
  [[nodiscard]] std::uint32_t seq_at(int position) const {
    return origin_ + static_cast<std::uint32_t>(position * unit_);
  }

  void send(Chunk chunk, int version) {
    std::string payload;
    for (int at = chunk.begin * unit_; at < chunk.end * unit_; ++at) {
      payload += byte_of(version, at);
    }
    runner_.feed(forth().seq(seq_at(chunk.begin)).ack(kPeer).payload(payload).build(tick()));
    sent_.push_back(chunk);
    if (acked()) {
      model_.hold(chunk, version);
    } else {
      model_.add(chunk, version);
    }
  }

  // All that is in order, so that whatever the queue holds of it becomes final as a whole.
  void acknowledge() {
    const std::vector<int> owners = model_.owners(kPositions);
    const auto hole = std::find(owners.begin(), owners.end(), SegmentOverlapModel::kNobody);
    const auto position = static_cast<int>(hole - owners.begin());
    runner_.feed(back().seq(kPeer).ack(seq_at(position)).build(tick()));
    model_.deliver();
  }

  /// The stream; a dot is a missing byte.
  [[nodiscard]] std::string expected() const {
    std::string text;
    int position = 0;
    for (const int owner : model_.owners(kPositions)) {
      for (int at = position * unit_; at < (position + 1) * unit_; ++at) {
        text += owner == SegmentOverlapModel::kNobody ? '.' : byte_of(owner, at);
      }
      ++position;
    }
    text.erase(text.find_last_not_of('.') + 1);
    return text;
  }

  [[nodiscard]] std::string delivered() const {
    const Direction ours =
        answers() ? Direction::ResponderToOriginator : Direction::OriginatorToResponder;
    std::string text;
    for (const test::StreamEvent& e : consumer_.events()) {
      if (e.direction != ours) continue;
      if (e.kind == test::StreamEvent::Kind::Data) text += e.bytes;
      if (e.kind == test::StreamEvent::Kind::Gap) {
        text.append(static_cast<std::size_t>(e.length), '.');
      }
    }
    return text;
  }

  std::string algorithm_;
  std::uint8_t start_;
  int unit_;
  std::uint32_t origin_;
  SegmentOverlapModel model_;
  test::RecordingConsumer consumer_;
  test::ShardRunner runner_;
  Timestamp now_{Duration{1}};
  std::vector<Chunk> sent_;
};

}  // namespace
}  // namespace flowloom::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flowloom::fuzz::FuzzBytes input(data, size);
  flowloom::fuzz::Conversation conversation(input);
  for (int i = 0; i < flowloom::fuzz::kStepsMax && !input.empty(); ++i) {
    conversation.take_step(input);
  }
  conversation.finish();
  return 0;
}
