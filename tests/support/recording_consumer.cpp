#include "support/recording_consumer.hpp"

#include <sstream>

namespace flowloom::test {

namespace {

constexpr std::array<const char*, 5> kKindNames = {"open", "data", "gap", "end", "close"};

std::string escaped(const std::string& bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += "\\x";
      text += kHex[byte >> 4];
      text += kHex[byte & 15];
    }
  }
  return text;
}

std::string side_text(const SideRecord& side) {
  std::ostringstream out;
  out << side.packets << "p " << side.payload_bytes << "B stream " << side.stream_bytes << " gaps "
      << side.gap_count << "/" << side.gap_bytes << " dup " << side.duplicate_bytes << " conflicts "
      << side.overlap_conflicts << " ooo " << side.out_of_order << " rexmit "
      << side.retransmissions << " urg " << side.urgent_bytes;
  return out.str();
}

}  // namespace

std::string to_text(const ConnectionRecord& record, Timestamp base) {
  std::ostringstream out;
  out << kCloseReasonNames[static_cast<std::size_t>(record.close)] << " "
      << kConnStateNames[static_cast<std::size_t>(record.state)] << " "
      << std::string_view(record.history.data(), record.history_length) << " packet "
      << record.first_packet << " reuse " << record.reuse << " start "
      << (record.start - base).count() << " end " << (record.end - base).count()
      << (record.midstream ? " midstream" : "") << (record.established ? " established" : "")
      << " [" << side_text(record.sides[0]) << "] [" << side_text(record.sides[1]) << "]";
  for (std::size_t i = 0; i < kAnomalyCount; ++i) {
    if (record.anomalies[i] != 0) out << " " << kAnomalyNames[i] << "=" << record.anomalies[i];
  }
  return out.str();
}

/// All conflicts of a closed connection: the direction, where, who won, and both versions.
static std::string conflicts_text(const ConnectionLog& log) {
  std::ostringstream out;
  for (const ToldConflict& told : log.conflicts) {
    const Direction d = log.record.direction_of(told.conflict);
    out << " conflict " << (index_of(d) == 0 ? "> " : "< ")
        << told.conflict.position - log.record.side(d).origin << " "
        << kConflictWinnerNames[static_cast<std::size_t>(told.conflict.winner)] << " \""
        << escaped(told.held) << "\" \"" << escaped(told.arrived) << "\"";
  }
  return out.str();
}

void RecordingConsumer::expect(const char* rule, bool holds) {
  if (holds) return;
  violations_ += std::string(rule) + " (event " + std::to_string(events_.size()) + ")\n";
}

StreamEvent& RecordingConsumer::add(StreamEvent::Kind kind, const EventKey& key,
                                    const ConnectionView& view, ConsumerSlot slot) {
  if (!events_.empty()) expect("keys ascend", events_.back().key < key);
  const std::size_t connection = slot - 1;
  expect("the slot is the one given at on_open", connection < connections_.size());
  expect("the handle stays", handles_.at(connection) == view.handle());
  expect("nothing follows on_close", !connections_.at(connection).closed);
  StreamEvent event;
  event.kind = kind;
  event.key = key;
  event.connection = connection;
  events_.push_back(std::move(event));
  return events_.back();
}

Interest RecordingConsumer::on_open(const EventKey& key, const ConnectionView& view,
                                    ConsumerSlot& slot) {
  expect("the slot is 0 at on_open", slot == 0);
  ConnectionRecord record;
  view.describe(record);
  connections_.emplace_back().first_packet = record.first_packet;
  handles_.push_back(view.handle());
  slot = static_cast<ConsumerSlot>(connections_.size());
  add(StreamEvent::Kind::Open, key, view, slot);
  return Interest::Bytes;
}

StreamEvent& RecordingConsumer::add_stream(StreamEvent::Kind kind, const EventKey& key,
                                           const ConnectionView& view, ConsumerSlot slot,
                                           Direction d, const Gap& range) {
  StreamEvent& event = add(kind, key, view, slot);
  ConnectionRecord record;
  view.describe(record);
  event.direction = d;
  event.sender = record.side(d).endpoint;
  event.offset = range.offset;
  event.length = range.length;
  event.cause = range.cause;
  ConnectionLog::Side& side = connections_[event.connection].sides[index_of(d)];
  expect("offsets are contiguous", side.end == range.offset);
  expect("nothing follows on_end", !side.ended);
  side.end = range.offset + range.length;
  return event;
}

void RecordingConsumer::on_data(const EventKey& key, const ConnectionView& view,
                                ConsumerSlot& slot, Direction d, StreamOffset offset,
                                ByteView bytes) {
  expect("data is not empty", !bytes.empty());
  const Gap range{offset, static_cast<std::int64_t>(bytes.size()), GapCause::Unknown};
  StreamEvent& event = add_stream(StreamEvent::Kind::Data, key, view, slot, d, range);
  event.bytes.assign(bytes.begin(), bytes.end());
  connections_[event.connection].sides[index_of(d)].bytes += event.bytes;
}

void RecordingConsumer::on_gap(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                               Direction d, const Gap& gap) {
  expect("a gap is not empty", gap.length > 0);
  const StreamEvent& event = add_stream(StreamEvent::Kind::Gap, key, view, slot, d, gap);
  connections_[event.connection].sides[index_of(d)].gaps.push_back(gap);
}

// Not among the events: it is no part of the sequence, and tests count those.
void RecordingConsumer::on_conflict(const EventKey& key, const ConnectionView& view,
                                    ConsumerSlot& slot, const Conflict& conflict,
                                    const ConflictCopies& copies) {
  expect("keys ascend", events_.empty() || events_.back().key < key);
  ConnectionLog& log = connections_.at(slot - 1);
  expect("the handle stays", handles_.at(slot - 1) == view.handle());
  expect("nothing follows on_close", !log.closed);
  const auto length = static_cast<std::size_t>(conflict.length);
  expect("a conflict has both versions, and they begin and end with a difference",
         length > 0 && copies.held.size() == length && copies.arrived.size() == length &&
             copies.held.front() != copies.arrived.front() &&
             copies.held.back() != copies.arrived.back());
  log.conflicts.push_back({conflict,
                           {copies.held.begin(), copies.held.end()},
                           {copies.arrived.begin(), copies.arrived.end()}});
}

std::vector<ToldConflict> ConnectionLog::conflicts_of(Direction d) const {
  std::vector<ToldConflict> all;
  for (const ToldConflict& told : conflicts) {
    if (record.direction_of(told.conflict) == d) all.push_back(told);
  }
  return all;
}

void RecordingConsumer::on_end(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                               Direction d) {
  const StreamOffset end = connections_.at(slot - 1).sides[index_of(d)].end;
  const StreamEvent& event =
      add_stream(StreamEvent::Kind::End, key, view, slot, d, {end, 0, GapCause::Unknown});
  connections_[event.connection].sides[index_of(d)].ended = true;
}

void RecordingConsumer::on_close(const EventKey& key, const ConnectionView& view,
                                 ConsumerSlot& slot) {
  ConnectionLog& log = connections_[add(StreamEvent::Kind::Close, key, view, slot).connection];
  log.closed = true;
  view.describe(log.record);
  for (unsigned i = 0; i < 2; ++i) {
    const SideRecord& side = log.record.sides[i];
    const ConnectionLog::Side& seen = log.sides[i];
    std::uint64_t gap_bytes = 0;
    for (const Gap& gap : seen.gaps) gap_bytes += static_cast<std::uint64_t>(gap.length);
    expect("the record counts the delivered bytes", side.stream_bytes == seen.bytes.size());
    expect("the record counts the gaps", side.gap_count == seen.gaps.size());
    const std::size_t conflicts = log.conflicts_of(static_cast<Direction>(i)).size();
    expect("the record counts the conflicts", side.conflict_count == conflicts);
    expect("conflicts have segments", (side.overlap_conflicts > 0) == (conflicts > 0));
    expect("the record counts the gaps' bytes", side.gap_bytes == gap_bytes);
  }
}

std::string RecordingConsumer::text(Timestamp base) const {
  std::ostringstream out;
  for (const StreamEvent& event : events_) {
    out << (event.key.clock - base).count() << " " << event.key.number << "." << event.key.sub
        << " #" << event.connection + 1 << " " << kKindNames[static_cast<std::size_t>(event.kind)];
    const bool of_stream =
        event.kind != StreamEvent::Kind::Open && event.kind != StreamEvent::Kind::Close;
    if (of_stream) {
      out << (index_of(event.direction) == 0 ? " > " : " < ") << event.offset << " "
          << event.length;
    }
    if (event.kind == StreamEvent::Kind::Gap) {
      out << " " << kGapCauseNames[static_cast<std::size_t>(event.cause)];
    }
    if (event.kind == StreamEvent::Kind::Data) out << " \"" << escaped(event.bytes) << "\"";
    if (event.kind == StreamEvent::Kind::Close) {
      out << " " << to_text(connections_[event.connection].record, base)
          << conflicts_text(connections_[event.connection]);
    }
    out << "\n";
  }
  return out.str();
}

}  // namespace flowloom::test
