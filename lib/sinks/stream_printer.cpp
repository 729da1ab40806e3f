// See stream_printer.hpp.
#include "sinks/stream_printer.hpp"

#include "sinks/chain_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace flowloom {
namespace {

/// As tcpflow and Wireshark show them: red what the originator says, blue what he is answered.
constexpr std::array<std::string_view, 2> kDirectionColours = {"\x1b[31m", "\x1b[34m"};
constexpr std::string_view kMarkColour = "\x1b[7m";
constexpr std::string_view kPlain = "\x1b[0m";

std::string_view outcome(Conflict::Winner winner) {
  return winner == Conflict::Winner::Held ? "the copy that was held stays"
                                          : "the copy that arrived replaces it";
}

std::int64_t saturating_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

}  // namespace

StreamPrinter::StreamPrinter(const Settings& settings, const StreamEvent& event,
                             Direction direction, RecordWriter& output)
    : settings_(settings),
      direction_(direction),
      output_(output),
      content_(settings.mode, output),
      left_(settings.limit),
      shows_all_(settings.limit >= event.record().side(direction).stream_bytes) {
  if (settings_.mode == PrintMode::Raw) settings_.colours = Colours::No;
  if (settings_.mode != PrintMode::Raw || settings_.gap_bytes == GapBytes::Present) {
    add_gaps(event);
  }
  if (settings_.mode != PrintMode::Raw) add_conflicts(event);
  std::stable_sort(marks_.begin(), marks_.end(),
                   [](const Mark& a, const Mark& b) { return a.offset < b.offset; });
  if (settings_.colours == Colours::Yes) output_.append(kDirectionColours[index_of(direction_)]);
}

void StreamPrinter::add_gaps(const StreamEvent& event) {
  const unsigned d = index_of(direction_);
  const auto add = [this](const Gap& gap) {
    const std::string_view cause = kGapCauseNames[static_cast<std::size_t>(gap.cause)];
    marks_.push_back({gap.offset, std::max<std::int64_t>(gap.length, 0), true, cause});
  };
  if (event.earlier_gaps != nullptr) {
    for (const Gap& gap : (*event.earlier_gaps)[d]) add(gap);
  }
  Gap gap;
  for (GapReader reader(event.message().gaps[d]); reader.next(gap);) add(gap);
}

void StreamPrinter::add_conflicts(const StreamEvent& event) {
  const ConnectionRecord& record = event.record();
  if (event.earlier_conflicts != nullptr) {
    for (const auto& list : *event.earlier_conflicts) {
      for (const Conflict& conflict : list) add_conflict(record, conflict);
    }
  }
  ConflictEntry entry;
  for (ConflictReader reader(event.message().conflicts); reader.next(entry);) {
    add_conflict(record, entry.conflict);
  }
}

void StreamPrinter::add_conflict(const ConnectionRecord& record, const Conflict& conflict) {
  if (record.direction_of(conflict) != direction_) return;
  std::int64_t offset = 0;
  if (__builtin_sub_overflow(conflict.position, record.side(direction_).origin, &offset)) return;
  marks_.push_back({offset, conflict.length, false, outcome(conflict.winner)});
}

void StreamPrinter::show(const Mark& mark) {
  if (settings_.mode == PrintMode::Raw) return;
  content_.finish();
  const std::string text =
      mark.is_gap ? fmt::format("[gap: {} bytes, {}]", mark.length, mark.says)
                  : fmt::format("[conflict: {} bytes at {}, {}]", mark.length, mark.offset,
                                mark.says);
  if (settings_.colours == Colours::No) {
    output_.append(text);
  } else {
    output_.append(fmt::format("{}{}{}{}", kMarkColour, text, kPlain,
                               kDirectionColours[index_of(direction_)]));
  }
  output_.append('\n');
}

/// Shows the marks that stand where the next byte does.
void StreamPrinter::pass_marks() {
  while (next_ < marks_.size() && marks_[next_].offset <= position_) {
    const Mark& mark = marks_[next_++];
    show(mark);
    if (!mark.is_gap) continue;
    position_ = saturating_sum(position_, mark.length);
    if (settings_.gap_bytes == GapBytes::Present) skip_ = saturating_sum(skip_, mark.length);
    content_.skip(static_cast<std::uint64_t>(mark.length));
  }
}

std::int64_t StreamPrinter::run_to_mark() const {
  return next_ < marks_.size() ? marks_[next_].offset - position_ : INT64_MAX;
}

void StreamPrinter::print(ByteView piece) {
  while (!piece.empty() && left_ > 0) {
    if (skip_ == 0) pass_marks();
    if (skip_ > 0) {
      const auto skipped = std::min<std::uint64_t>(static_cast<std::uint64_t>(skip_), piece.size());
      piece = piece.subspan(static_cast<std::size_t>(skipped));
      skip_ -= static_cast<std::int64_t>(skipped);
      continue;
    }
    std::uint64_t count = std::min<std::uint64_t>(piece.size(), left_);
    count = std::min(count, static_cast<std::uint64_t>(run_to_mark()));
    content_.print(piece.first(static_cast<std::size_t>(count)));
    piece = piece.subspan(static_cast<std::size_t>(count));
    position_ = saturating_sum(position_, static_cast<std::int64_t>(count));
    left_ -= count;
  }
}

void StreamPrinter::finish() {
  if (shows_all_) {
    for (; next_ < marks_.size(); ++next_) show(marks_[next_]);
  }
  content_.finish();
  if (settings_.colours == Colours::Yes) output_.append(kPlain);
}

}  // namespace flowloom
