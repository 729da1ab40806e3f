// See evidence_sink.hpp. A doubled brace is fmt's spelling of one.
#include "sinks/evidence_sink.hpp"

#include <fmt/compile.h>

#include <iterator>

namespace flowloom {
namespace {

using Text = fmt::memory_buffer;

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::array<std::string_view, 2> kSideNames = {"orig", "resp"};

void put(Text& out, std::string_view text) {
  out.append(text.data(), text.data() + text.size());
}

void put_copy(Text& out, std::string_view key, ConflictReader& reader) {
  put(out, key);
  reader.read_copy([&out](ByteView piece) {
    for (const std::uint8_t byte : piece) {
      out.push_back(kDigits[byte >> 4]);
      out.push_back(kDigits[byte & 15]);
    }
  });
  put(out, R"(")");
}

KeySide other(KeySide side) {
  return side == KeySide::Lower ? KeySide::Upper : KeySide::Lower;
}

/// Whether the origin of a direction picked up mid-stream may still move: then the offset is not
/// known yet. Only where a message had to leave early, because memory was short.
bool origin_is_open(const StreamEvent& event, const SideRecord& side) {
  return !event.closes() && event.record().midstream && side.stream_bytes + side.gap_bytes == 0;
}

}  // namespace

void EvidenceSink::consume(StreamEvent& event) {
  const std::uint64_t connection = event.record().first_packet;
  Counts written{};
  if (const Counts* earlier = event.message().first ? nullptr : written_.find(connection)) {
    written = *earlier;
  }
  const Counts before = written;
  ConflictEntry entry;
  for (ConflictReader reader(event.message().conflicts); reader.next(entry);) {
    write_entry(event, entry, reader);
    ++written[static_cast<std::size_t>(entry.conflict.sender)];
  }
  if (event.closes()) {
    write_rest(event, written);
    if (!event.message().first) written_.erase(connection);
  } else if (written != before) {
    written_.at(connection) = written;
  }
}

void EvidenceSink::write_entry(StreamEvent& event, const ConflictEntry& entry,
                               ConflictReader& reader) {
  const Conflict& conflict = entry.conflict;
  const Direction direction = event.record().direction_of(conflict);
  const SideRecord& side = event.record().side(direction);
  const bool open = origin_is_open(event, side);
  fmt::format_to(std::back_inserter(text_),
                 FMT_COMPILE(R"({{"uid":"{}","side":"{}","{}":{},"length":{},"winner":"{}")"),
                 event.uid(), kSideNames[index_of(direction)],
                 open ? "offset_from_first_seen" : "offset",
                 open ? conflict.position : conflict.position - side.origin, conflict.length,
                 kConflictWinnerNames[static_cast<std::size_t>(conflict.winner)]);
  put_copy(text_, R"(,"held":")", reader);
  put_copy(text_, R"(,"arrived":")", reader);
  if (const std::int64_t cut = conflict.length - entry.copied; cut > 0) {
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"(,"cut":{})"), cut);
  }
  end_line();
}

/// Conflicts beyond the limit, which did not even come as numbers.
void EvidenceSink::write_rest(StreamEvent& event, const Counts& written) {
  for (const KeySide sender : {event.record().originator, other(event.record().originator)}) {
    const Direction d = event.record().direction_of({0, 0, {}, sender});
    const std::uint64_t count = event.record().side(d).conflict_count;
    const std::uint64_t lines = written[static_cast<std::size_t>(sender)];
    if (count <= lines) continue;
    fmt::format_to(std::back_inserter(text_),
                   FMT_COMPILE(R"({{"uid":"{}","side":"{}","conflicts_unlisted":{})"), event.uid(),
                   kSideNames[index_of(d)], count - lines);
    end_line();
  }
}

void EvidenceSink::end_line() {
  put(text_, "}\n");
  output_.append({text_.data(), text_.size()});
  output_.end_record();
  text_.clear();
}

}  // namespace flowloom
