// See lines_sink.hpp.
#include "sinks/lines_sink.hpp"

#include "sinks/chain_reader.hpp"

#include <fmt/compile.h>

#include <algorithm>
#include <iterator>
#include <optional>

namespace flowloom {
void LinesSink::consume(StreamEvent& event) {
  const bool prints = settings_.print != PrintMode::None;
  if (!event.closes()) {
    if (prints && settings_.print_bytes > 0) keep_beginnings(event.message());
    return;
  }
  if (event.record().noteworthy()) {
    write_line(event.record());
    if (prints) {
      print_direction(event, Direction::OriginatorToResponder);
      print_direction(event, Direction::ResponderToOriginator);
    }
    output_.end_record();
  }
  if (!event.whole()) forget(event.record());
}

void LinesSink::keep_beginnings(const StreamMessage& message) {
  Beginnings& kept = beginnings_.at(message.record.first_packet);
  for (unsigned d = 0; d < 2; ++d) {
    ChainReader reader(message.data[d]);
    while (!reader.at_end() && kept[d].size() < settings_.print_bytes &&
           kept_bytes_ < kKeptBytesMax) {
      const std::uint64_t limit =
          std::min(settings_.print_bytes - kept[d].size(), kKeptBytesMax - kept_bytes_);
      const ByteView piece = reader.take(limit);
      kept[d].insert(kept[d].end(), piece.begin(), piece.end());
      kept_bytes_ += piece.size();
    }
  }
}

void LinesSink::forget(const ConnectionRecord& record) {
  if (const Beginnings* kept = beginnings_.find(record.first_packet); kept != nullptr) {
    kept_bytes_ -= (*kept)[0].size() + (*kept)[1].size();
    beginnings_.erase(record.first_packet);
  }
}

void LinesSink::write_line(const ConnectionRecord& record) {
  const auto& [originator, responder] = record.sides;
  const IpFamily family = family_of(record);
  text_.clear();
  fmt::format_to(std::back_inserter(text_), FMT_COMPILE("[+] {} - {} (CTS: {}B | STC: {}B)"),
                 format_endpoint(originator.endpoint, family).view(),
                 format_endpoint(responder.endpoint, family).view(), originator.stream_bytes,
                 responder.stream_bytes);
  const std::uint64_t gaps = originator.gap_count + responder.gap_count;
  if (gaps > 0) {
    fmt::format_to(std::back_inserter(text_), " gaps: {} ({}B)", gaps,
                   originator.gap_bytes + responder.gap_bytes);
  }
  text_.push_back('\n');
  output_.append(text_);
}

void LinesSink::print_marker(const ConnectionRecord& record, Direction direction,
                             std::uint64_t shown) {
  const SideRecord& sender = record.side(direction);
  const SideRecord& receiver = record.side(reverse(direction));
  text_.clear();
  fmt::format_to(std::back_inserter(text_), "{} {} -> {}, {} of {} bytes\n",
                 direction == Direction::OriginatorToResponder ? ">>" : "<<",
                 format_endpoint(sender.endpoint, family_of(record)).view(),
                 format_endpoint(receiver.endpoint, family_of(record)).view(), shown,
                 sender.stream_bytes);
  output_.append(text_);
}

void LinesSink::print_direction(StreamEvent& event, Direction direction) {
  const SideRecord& side = event.record().side(direction);
  if (side.stream_bytes + side.gap_count == 0) return;
  const bool all = settings_.print_bytes == 0;
  const std::uint64_t limit = all ? UINT64_MAX : settings_.print_bytes;
  const bool stored = settings_.from == PrintFrom::Store || (all && !event.whole());
  if (stored && print_stored(event, direction, limit)) return;
  print_known(event, direction, limit);
}

StreamPrinter LinesSink::printer(const StreamEvent& event, Direction direction,
                                 std::uint64_t limit, GapBytes gap_bytes) {
  return StreamPrinter({.mode = settings_.print,
                        .gap_bytes = gap_bytes,
                        .colours = settings_.colours,
                        .limit = limit},
                       event, direction, output_);
}

/// Prints what was kept of earlier messages, then what this message holds.
void LinesSink::print_known(const StreamEvent& event, Direction direction, std::uint64_t limit) {
  const unsigned index = index_of(direction);
  const Beginnings* kept = event.whole() ? nullptr : beginnings_.find(event.record().first_packet);
  const ByteView before = kept != nullptr ? ByteView((*kept)[index]) : ByteView();
  const std::uint64_t held = event.message().data[index].bytes;
  // What lies between the kept beginning and this message is gone, unless nothing does.
  const bool joins =
      event.whole() || before.size() + held == event.record().sides[index].stream_bytes;
  const std::uint64_t shown =
      std::min<std::uint64_t>(limit, before.size() + (joins ? held : 0));
  print_marker(event.record(), direction, shown);
  StreamPrinter out = printer(event, direction, shown, GapBytes::Absent);
  out.print(before);
  if (joins) {
    for_each_piece(event.message().data[index], [&](ByteView piece) { out.print(piece); });
  }
  out.finish();
}

/// Prints a stream that was longer than its messages from where it went to.
bool LinesSink::print_stored(StreamEvent& event, Direction direction, std::uint64_t limit) {
  if (store_ == nullptr) return false;
  std::optional<StreamPrinter> out;
  const std::uint64_t shown = std::min(limit, event.record().side(direction).stream_bytes);
  std::uint64_t left = limit;
  const bool read = store_->read(event, direction, [&](ByteView piece) {
    if (!out) {
      print_marker(event.record(), direction, shown);
      out.emplace(printer(event, direction, shown, settings_.gap_bytes));
    }
    out->print(piece);
    left -= std::min<std::uint64_t>(left, piece.size());
    return left > 0;
  });
  if (out) out->finish();
  return out.has_value() || (read && event.record().side(direction).stream_bytes == 0);
}

}  // namespace flowloom
