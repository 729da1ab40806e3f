// Conversations made of chance with a known truth: what each side really sent, and which of it the
// capture holds. Segments are cut anew, repeated, reordered and lost; the seed is the test case.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "support/packet_builder.hpp"

namespace flowloom::test {

/// How bad the path and the capture are; percentages are per segment.
struct TrafficShape {
  std::size_t stream_bytes_max = 4000;  ///< per direction
  std::size_t segment_bytes_max = 300;
  unsigned reorder_distance = 8;   ///< a segment may be overtaken by so many
  unsigned repeat_percent = 15;    ///< sent again, cut anew, with equal bytes
  unsigned loss_percent = 0;       ///< not in the capture, whatever the receiver got
  enum class Acks : std::uint8_t {
    OfWhatWasSeen,  ///< never of bytes that the capture does not hold: nothing is given up early
    OfWhatWasSent   ///< of anything sent so far, as a receiver beside a lossy tap
  } acks = Acks::OfWhatWasSeen;
  enum class Handshake : std::uint8_t {
    Captured,
    WithoutSynAck  ///< its third step names where the responder's stream begins
  } handshake = Handshake::Captured;
};

/// One direction's bytes and what became of them on the way to the capture.
struct StreamTruth {
  std::string bytes;
  std::vector<bool> captured;
};

struct Conversation {
  std::uint32_t number = 0;
  Endpoint originator;
  Endpoint responder;
  StreamTruth streams[2];     ///< [0] originator's
  std::vector<Frame> frames;  ///< without stamps that mean anything
};

/// SYN to FIN, both sides talking.
Conversation make_conversation(std::uint32_t number, const TrafficShape& shape,
                               std::mt19937_64& random);

/// Numbered from 0.
std::vector<Conversation> make_conversations(std::uint32_t count, const TrafficShape& shape,
                                             std::mt19937_64& random);

/// Frames of all conversations, shuffled into each other in order, one every `step`.
std::vector<Frame> interleaved(const std::vector<Conversation>& conversations, Duration step,
                               std::mt19937_64& random);

}  // namespace flowloom::test
