// A TCP connection as frames, and the events of an extractor as lines of text.
#pragma once

#include <flowloom/extractor.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/packet_builder.hpp"

namespace flowloom::test {

/// Frames of one connection, a millisecond apart.
class Talk {
 public:
  explicit Talk(std::uint8_t host = 1, std::uint16_t port = 40000)
      : client_(endpoint4(host, port)) {}

  Talk& open() { return up("S").down("S.").up("."); }
  Talk& up(std::string_view flags, std::string_view payload = {}) {
    return say(0, flags, payload);
  }
  Talk& down(std::string_view flags, std::string_view payload = {}) {
    return say(1, flags, payload);
  }
  Talk& close() { return up("F.").down("F.").up("."); }
  /// The last frame was not captured.
  Talk& lose() { return frames_.pop_back(), *this; }
  Talk& urgent(std::string_view payload, std::uint16_t pointer) {
    urgent_ = pointer;
    up("U.", payload);
    urgent_ = 0;
    return *this;
  }
  [[nodiscard]] const std::vector<Frame>& frames() const { return frames_; }

 private:
  Talk& say(std::size_t side, std::string_view flags, std::string_view payload) {
    const bool syn = flags.find('S') != std::string_view::npos;
    const bool fin = flags.find('F') != std::string_view::npos;
    const bool ack = flags.find('.') != std::string_view::npos;
    frames_.push_back(PacketBuilder()
                          .from(side == 0 ? client_ : server_)
                          .to(side == 0 ? server_ : client_)
                          .seq(next_[side])
                          .ack(ack ? next_[1 - side] : 0)
                          .flags(flags)
                          .urgent(urgent_)
                          .payload(payload)
                          .build(clock_));
    next_[side] += static_cast<std::uint32_t>(payload.size()) + (syn || fin ? 1U : 0U);
    clock_ += std::chrono::milliseconds{1};
    return *this;
  }

  Endpoint client_;
  Endpoint server_ = endpoint4(200, 80);
  std::uint32_t next_[2] = {0xfffffff0, 7000};
  std::uint16_t urgent_ = 0;
  Timestamp clock_ = from_nanoseconds(1'600'000'000'000'000'000);
  std::vector<Frame> frames_;
};

inline CapturedFrame captured(const Frame& frame) {
  return {.bytes = frame.bytes,
          .stamp = frame.stamp.time_since_epoch(),
          .link_type = kLinkEthernet,
          .wire_length = frame.wire_length};
}

inline std::vector<CapturedFrame> captured(const std::vector<Frame>& frames) {
  std::vector<CapturedFrame> all;
  for (const Frame& frame : frames) all.push_back(captured(frame));
  return all;
}

inline std::string text_of(const ExtractorEvent& e) {
  const std::string who = e.from == Side::Originator ? "> " : "< ";
  const std::string at = std::to_string(e.offset);
  const std::string bytes(e.data.begin(), e.data.end());
  switch (e.kind) {
    case EventKind::Opened:
      return "opened " + e.stream->end_point(Side::Originator).text() + " " +
             e.stream->end_point(Side::Responder).text();
    case EventKind::Data:
      return who + at + " " + bytes;
    case EventKind::Gap:
      return who + at + " gap " + std::to_string(e.length) + " " +
             std::string(name_of(e.gap_reason));
    case EventKind::Urgent:
      return who + at + " urgent " + bytes;
    case EventKind::Ended:
      return who + "ended";
    case EventKind::Closed:
      return "closed " + std::string(name_of(e.end_reason));
    case EventKind::Packet:
      return "packet " + std::to_string(e.packet);
    case EventKind::Scan:
      return "scan " + std::string(e.scan->kind) + " across " + std::string(e.scan->across) +
             " of " + e.scan->source.address_text() + " " +
             std::to_string(e.scan->targets.size()) + " from " + e.scan->targets.front().text();
  }
  return {};
}

using Lines = std::vector<std::string>;

/// Writes down what it is told.
class Recorder : public StreamHandler {
 public:
  void on_event(const ExtractorEvent& event) override { lines.push_back(text_of(event)); }
  Lines lines;
};

/// What became of each connection: end points -> bytes of both sides and gaps, and how it ended.
class Summary : public StreamHandler {
 public:
  void on_event(const ExtractorEvent& e) override {
    std::string& mine = open_[e.stream->id()];
    const std::size_t side = static_cast<std::size_t>(e.from);
    if (e.kind == EventKind::Data || e.kind == EventKind::Gap) {
      if (at_[e.stream->id()][side] != e.offset) mine += " OUT OF ORDER ";
      at_[e.stream->id()][side] = e.offset + e.data.size() + e.length;
    }
    std::string& said = bytes_[e.stream->id()][side];
    if (e.kind == EventKind::Data) said.append(e.data.begin(), e.data.end());
    if (e.kind == EventKind::Gap) said += "[" + text_of(e) + "]";
    if (e.kind != EventKind::Closed) return;
    const StreamInfo info = e.stream->info();
    const auto& both = bytes_[e.stream->id()];
    connections.push_back(info.sides[0].end_point.text() + " " + info.sides[1].end_point.text() +
                          mine + " " + both[0] + " | " + both[1] + " " + text_of(e) + " " +
                          info.history);
  }
  Lines connections;  ///< in the order of their ends

 private:
  std::map<std::uint64_t, std::string> open_;
  std::map<std::uint64_t, std::array<std::string, 2>> bytes_;
  std::map<std::uint64_t, std::array<std::uint64_t, 2>> at_;
};

}  // namespace flowloom::test
