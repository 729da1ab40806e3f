// A StreamConsumer that remembers everything, as events and as text, and holds what it is told to
// the contract of stream/consumer.hpp: keys ascend, offsets are contiguous, nothing follows an end.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "stream/consumer.hpp"

namespace flowloom::test {

/// One call, as it came.
struct StreamEvent {
  enum class Kind : std::uint8_t { Open, Data, Gap, End, Close };
  Kind kind = Kind::Open;
  EventKey key;
  std::size_t connection = 0;  ///< ordinal of its on_open
  Direction direction = Direction::OriginatorToResponder;
  Endpoint sender;             ///< who sent these bytes; not for Open and Close
  StreamOffset offset = 0;
  std::int64_t length = 0;
  GapCause cause = GapCause::Unknown;
  std::string bytes;           ///< of Data
};

/// A conflict with both versions of its bytes.
struct ToldConflict {
  Conflict conflict;
  std::string held;
  std::string arrived;
};

/// What one connection came to.
struct ConnectionLog {
  std::uint64_t first_packet = 0;
  bool closed = false;
  ConnectionRecord record;  ///< as closed
  struct Side {
    std::string bytes;      ///< delivered, gaps left out
    std::vector<Gap> gaps;
    StreamOffset end = 0;
    bool ended = false;
  };
  std::array<Side, 2> sides;
  std::vector<ToldConflict> conflicts;
  /// Of one direction, as the record has it.
  [[nodiscard]] std::vector<ToldConflict> conflicts_of(Direction d) const;
  [[nodiscard]] const Side& side(Direction d) const { return sides[index_of(d)]; }
};

/// A record without addresses, sequence numbers and IP lengths: what must be equal wherever and
/// over whichever IP version a connection runs. Times count from `base`.
std::string to_text(const ConnectionRecord& record, Timestamp base);

class RecordingConsumer final : public StreamConsumer {
 public:
  Interest on_open(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot) override;
  void on_data(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot, Direction d,
               StreamOffset offset, ByteView bytes) override;
  void on_gap(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot, Direction d,
              const Gap& gap) override;
  void on_conflict(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                   const Conflict& conflict, const ConflictCopies& copies) override;
  void on_end(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
              Direction d) override;
  void on_close(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot) override;

  [[nodiscard]] const std::vector<StreamEvent>& events() const { return events_; }
  [[nodiscard]] const std::vector<ConnectionLog>& connections() const { return connections_; }
  /// Breaches of the contract, as sentences; empty: none.
  [[nodiscard]] const std::string& violations() const { return violations_; }
  /// The whole log, a line per event; see to_text() for what is left out.
  [[nodiscard]] std::string text(Timestamp base) const;

 private:
  StreamEvent& add(StreamEvent::Kind kind, const EventKey& key, const ConnectionView& view,
                   ConsumerSlot slot);
  StreamEvent& add_stream(StreamEvent::Kind kind, const EventKey& key, const ConnectionView& view,
                          ConsumerSlot slot, Direction d, const Gap& range);
  void expect(const char* rule, bool holds);

  std::vector<StreamEvent> events_;
  std::vector<ConnectionLog> connections_;
  std::vector<std::uint32_t> handles_;
  std::string violations_;
};

}  // namespace flowloom::test
