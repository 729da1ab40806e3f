// One made TCP connection as the sequence of segments that its two ends exchange: handshake, data
// with acknowledgements, FIN from both sides. Knows nothing of losses or of frames.
#pragma once

#include "perf/gen/content.hpp"
#include "perf/gen/segment.hpp"

#include <array>
#include <cstdint>

namespace flowloom::gen {

/// What the ends say to each other: messages in turns, client first, cut into segments of at most
/// 1460 bytes; or many tiny ones in random turns.
struct Dialogue {
  static constexpr std::size_t kMaxMessages = 4;

  std::array<std::uint64_t, kMaxMessages> messages{};  ///< bytes; 0 where there is none
  std::uint32_t tiny_segments = 0;                     ///< instead of messages

  static Dialogue http(Random& random);
  static Dialogue bulk(std::uint64_t bytes);
  static Dialogue tiny(std::uint32_t segments);
};

class Conversation {
 public:
  Conversation() = default;
  Conversation(const Identity& identity, const Dialogue& dialogue)
      : identity_(identity), dialogue_(dialogue), phase_(Phase::Syn) {}

  [[nodiscard]] bool done() const { return phase_ == Phase::Done; }
  /// Preconditions: !done().
  Segment next(Random& random);

  [[nodiscard]] const Identity& identity() const { return identity_; }
  /// Stream bytes sent so far, by Side.
  [[nodiscard]] const std::array<std::uint64_t, 2>& sent() const { return sent_; }

 private:
  enum class Phase : std::uint8_t { Done, Syn, SynAck, Ack, Talk, ClientFin, ServerFin, LastAck };

  Segment talk(Random& random);
  Segment message_segment();
  Segment tiny_segment(Random& random);
  Segment data(Side side, std::uint32_t bytes);
  [[nodiscard]] Segment bare(Side side, std::uint8_t flags) const;
  void skip_empty_messages();
  [[nodiscard]] bool talked() const;

  Identity identity_;
  Dialogue dialogue_;
  std::array<std::uint64_t, 2> sent_{};
  std::uint32_t message_ = 0;
  std::uint32_t unacked_segments_ = 0;
  Side last_talker_ = Side::Client;
  std::array<bool, 2> fin_sent_{};
  Phase phase_ = Phase::Done;
};

}  // namespace flowloom::gen
