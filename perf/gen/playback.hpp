// Plays many conversations into one capture, interleaved, with the mishaps of a real tap: loss,
// reordering, retransmission, overlaps, fragments. Tells the truth about what it wrote.
#pragma once

#include "perf/gen/content.hpp"
#include "perf/gen/conversation.hpp"
#include "perf/gen/flood.hpp"
#include "perf/gen/frame_builder.hpp"
#include "perf/gen/pcap_file.hpp"
#include "perf/gen/truth.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace flowloom::gen {

/// Probabilities, of a data segment unless said otherwise.
struct Mishaps {
  double reorder = 0;
  double retransmit = 0;
  double overlap = 0;
  double lose = 0;  ///< of any packet
  double fragment = 0;
  double fragments_backwards = 0;  ///< of a fragmented segment
};

/// Packets of nobody between those of the conversations.
struct FloodPlan {
  FloodKind kind = FloodKind::None;
  Family family = Family::V4;
  std::uint64_t packets = 0;
  double per_packet = 0;  ///< of a conversation; what is left comes at the end
};

struct PlaybackConfig {
  std::string path;
  std::uint64_t seed = 1;
  Padding padding = Padding::Ethernet;
  Mishaps mishaps;
  std::uint64_t connections = 1;
  std::uint64_t concurrent = 1;
  std::uint32_t longest_run = 1;        ///< packets of one connection in a row
  std::int64_t packet_interval_ns = 0;  ///< mean; drawn evenly from [0, 2 x mean]
  FloodPlan flood;
};

class Playback {
 public:
  /// Makes connection number `i`.
  using Casting = std::function<Conversation(std::uint64_t i, Random& random)>;

  explicit Playback(const PlaybackConfig& config);

  /// With the whole flood.
  void play(const Casting& casting);
  /// One SYN outside all conversations.
  void put_lone_syn(const Identity& identity);
  void close(const std::string& kind);
  [[nodiscard]] Random& random() { return random_; }

 private:
  enum class Reason : std::uint8_t { Reordered, Retransmitted, Overlapping };

  struct Held {
    Segment segment;
    std::uint32_t wait;  ///< further packets of the connection that go first
    Reason reason;
  };
  struct Slot {
    Conversation conversation;
    std::array<Coverage, 2> coverage;
    std::vector<Held> held;
  };

  /// Puts the slot's next packet; false where its conversation has ended.
  bool step(Slot& slot);
  bool put_held(Slot& slot);
  void put_fresh(Slot& slot);
  void hold_copies(Slot& slot, const Segment& segment);
  void put(Slot& slot, const Segment& segment);
  bool put_fragments(const Identity& identity, const Segment& segment);
  void write(FrameBuilder::Frame frame, Random& random);
  void write(FrameBuilder::Frame frame) { write(frame, random_); }
  void put_flood(std::uint64_t packets, const Endpoint& server);

  PlaybackConfig config_;
  Random random_;
  FrameBuilder builder_;
  PcapFile pcap_;
  TruthWriter truth_;
  Flood flood_;  ///< with random numbers of its own: the conversations are the same without it
  std::uint64_t flooded_ = 0;
  double flood_due_ = 0;
  std::int64_t stamp_ns_;
};

}  // namespace flowloom::gen
