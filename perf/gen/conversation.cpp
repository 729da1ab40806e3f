#include "perf/gen/conversation.hpp"

#include <algorithm>

namespace flowloom::gen {

namespace {

using tcp_bits::kAck;
using tcp_bits::kFin;
using tcp_bits::kPush;
using tcp_bits::kSyn;

constexpr std::uint64_t kLargestPayload = 1460;
constexpr std::uint32_t kSegmentsPerAck = 2;
constexpr std::uint64_t kBulkRequest = 120;

}  // namespace

/// One or two requests; the mean of a data segment is near 600 bytes, as in traffic of the web.
Dialogue Dialogue::http(Random& random) {
  Dialogue d;
  const std::size_t exchanges = random.between(1, 2);
  for (std::size_t i = 0; i < exchanges; ++i) {
    d.messages[2 * i] = random.between(120, 500);
    d.messages[2 * i + 1] =
        random.chance(0.7) ? random.between(100, 1000) : random.between(1461, 4600);
  }
  return d;
}

Dialogue Dialogue::bulk(std::uint64_t bytes) {
  Dialogue d;
  d.messages = {kBulkRequest, bytes, 0, 0};
  return d;
}

Dialogue Dialogue::tiny(std::uint32_t segments) {
  Dialogue d;
  d.tiny_segments = segments;
  return d;
}

Segment Conversation::bare(Side side, std::uint8_t flags) const {
  const std::size_t to = index_of(other(side));
  return {.side = side,
          .flags = flags,
          .bytes = 0,
          .offset = sent_[index_of(side)] + (fin_sent_[index_of(side)] ? 1 : 0),
          .acked = sent_[to] + (fin_sent_[to] ? 1 : 0)};
}

Segment Conversation::data(Side side, std::uint32_t bytes) {
  Segment segment = bare(side, kAck);
  segment.bytes = bytes;
  sent_[index_of(side)] += bytes;
  last_talker_ = side;
  return segment;
}

void Conversation::skip_empty_messages() {
  while (message_ < Dialogue::kMaxMessages && dialogue_.messages[message_] == 0) ++message_;
}

bool Conversation::talked() const {
  return dialogue_.tiny_segments == 0 && message_ == Dialogue::kMaxMessages &&
         unacked_segments_ == 0;
}

Segment Conversation::tiny_segment(Random& random) {
  --dialogue_.tiny_segments;
  message_ = Dialogue::kMaxMessages;
  const Side side = random.below(2) == 0 ? Side::Client : Side::Server;
  Segment segment = data(side, static_cast<std::uint32_t>(random.between(6, 10)));
  segment.flags |= kPush;
  return segment;
}

Segment Conversation::message_segment() {
  const Side side = message_ % 2 == 0 ? Side::Client : Side::Server;
  std::uint64_t& left = dialogue_.messages[message_];
  const auto bytes = static_cast<std::uint32_t>(std::min(left, kLargestPayload));
  left -= bytes;
  Segment segment = data(side, bytes);
  ++unacked_segments_;
  if (left == 0) {
    segment.flags |= kPush;
    skip_empty_messages();
    // The answer acknowledges; only the last message waits for an acknowledgement of its own.
    if (message_ < Dialogue::kMaxMessages) unacked_segments_ = 0;
  }
  return segment;
}

Segment Conversation::talk(Random& random) {
  if (dialogue_.tiny_segments > 0) return tiny_segment(random);
  if (unacked_segments_ == kSegmentsPerAck || message_ == Dialogue::kMaxMessages) {
    unacked_segments_ = 0;
    return bare(other(last_talker_), kAck);
  }
  return message_segment();
}

Segment Conversation::next(Random& random) {
  switch (phase_) {
    case Phase::Syn:
      phase_ = Phase::SynAck;
      return bare(Side::Client, kSyn);
    case Phase::SynAck:
      phase_ = Phase::Ack;
      return bare(Side::Server, kSyn | kAck);
    case Phase::Ack:
      phase_ = Phase::Talk;
      return bare(Side::Client, kAck);
    case Phase::Talk: {
      const Segment segment = talk(random);
      if (talked()) phase_ = Phase::ClientFin;
      return segment;
    }
    case Phase::ClientFin:
    case Phase::ServerFin: {
      const Side side = phase_ == Phase::ClientFin ? Side::Client : Side::Server;
      phase_ = phase_ == Phase::ClientFin ? Phase::ServerFin : Phase::LastAck;
      const Segment segment = bare(side, kFin | kAck);
      fin_sent_[index_of(side)] = true;
      return segment;
    }
    case Phase::LastAck:
    case Phase::Done:
      break;
  }
  phase_ = Phase::Done;
  return bare(Side::Client, kAck);
}

}  // namespace flowloom::gen
