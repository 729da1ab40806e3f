// See pcap_sink.hpp.
#include "sinks/pcap_sink.hpp"

#include "sinks/chain_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace flowloom {
namespace {

/// A packet says no more than this of gaps that it made known; the record lists them all.
constexpr std::size_t kGapCommentsMax = 16;

struct MarkText {
  std::uint8_t mark;
  std::string_view text;
};
constexpr MarkText kMarkTexts[] = {
    {packet_marks::kRetransmission, "retransmission"},
    {packet_marks::kConflict, "differs from bytes that were held"},
    {packet_marks::kBadChecksum, "wrong TCP checksum: not part of the stream"},
    {packet_marks::kReassembled, "put together from fragments"},
    {packet_marks::kCut, "cut: there is no memory for the rest"},
};

}  // namespace

void PcapSink::consume(StreamEvent& event) {
  blocks_.clear();
  if (event.whole()) {
    Capture capture;
    build(event, capture);
    files_.write_whole(event, blocks_.bytes());
    return;
  }
  Capture& capture = captures_.at(event.record().first_packet);
  build(event, capture);
  files_.append(event, capture.file, blocks_.bytes());
  if (!event.closes()) return;
  files_.complete(event, capture.file);
  captures_.erase(event.record().first_packet);
}

void PcapSink::build(StreamEvent& event, Capture& capture) {
  const StreamMessage& message = event.message();
  if (message.first) begin(event);
  for (unsigned d = 0; d < 2; ++d) {
    Gap gap;
    for (GapReader reader(message.gaps[d]); reader.next(gap);) capture.gaps[d].push_back(gap);
  }
  std::array<std::size_t, 2> gap{};
  ChainReader packets(message.packets);
  for (PacketEntry entry; read_plain(packets, entry);) {
    add_packet(event, capture, entry, gap);
    packets.read(entry.copied, [this](ByteView piece) { blocks_.add(piece); });
    blocks_.end_packet(comments_);
  }
  for (unsigned d = 0; d < 2; ++d) {
    capture.gaps[d].erase(capture.gaps[d].begin(),
                          capture.gaps[d].begin() + static_cast<std::ptrdiff_t>(gap[d]));
  }
  if (event.closes()) end(event, capture);
}

void PcapSink::begin(StreamEvent& event) {
  blocks_.section(fmt::format("connection {}, Community ID {}", event.uid(),
                              event.ids().community_id(event.record()).view()));
}

/// Writes the packet up to its bytes, and says in comments_ what follows them.
void PcapSink::add_packet(StreamEvent& event, Capture& capture, const PacketEntry& entry,
                          std::array<std::size_t, 2>& gap) {
  const std::uint32_t interface = interface_of(capture, entry.link);
  comment(event, capture, entry, gap);
  ++capture.packets;
  blocks_.begin_packet({.interface = interface,
                        .stamp = entry.stamp,
                        .captured = entry.copied,
                        .wire_length = entry.wire_length});
}

std::uint32_t PcapSink::interface_of(Capture& capture, LinkType link) {
  const auto at = std::find(capture.interfaces.begin(), capture.interfaces.end(), link);
  const auto index = static_cast<std::uint32_t>(at - capture.interfaces.begin());
  if (at == capture.interfaces.end()) {
    capture.interfaces.push_back(link);
    blocks_.interface(link_type_number(link));
  }
  return index;
}

void PcapSink::comment(const StreamEvent& event, const Capture& capture, const PacketEntry& entry,
                       std::array<std::size_t, 2>& gap) {
  comments_.clear();
  for (const MarkText& row : kMarkTexts) {
    if ((entry.marks & row.mark) != 0) comments_.emplace_back(row.text);
  }
  if ((entry.marks & packet_marks::kOutOfOrder) != 0) {
    comments_.push_back(fmt::format("out of order: {} bytes ahead", entry.ahead));
  }
  const ConnectionRecord& record = event.record();
  for (unsigned d = 0; d < 2; ++d) {
    const std::size_t end = std::min(gap[d] + entry.gaps[d], capture.gaps[d].size());
    for (; gap[d] < end; ++gap[d]) {
      if (comments_.size() >= kGapCommentsMax) continue;
      const Gap& one = capture.gaps[d][gap[d]];
      comments_.push_back(fmt::format(
          "gap: {} bytes from {} at {}, {}", one.length,
          format_endpoint(record.sides[d].endpoint, family_of(record)).view(), one.offset,
          kGapCauseNames[static_cast<std::size_t>(one.cause)]));
    }
  }
}

void PcapSink::end(StreamEvent& event, const Capture& capture) {
  // Of several link types it is not known how many packets each has.
  if (capture.interfaces.size() == 1) {
    blocks_.statistics({.interface = 0,
                        .start = event.record().start,
                        .end = event.record().end,
                        .received = capture.packets});
  }
  // A capture does not depend on what other writers there are.
  const auto files = std::exchange(event.files, {});
  std::string_view record = formatter_.format(event);
  event.files = files;
  record.remove_suffix(record.ends_with('\n') ? 1 : 0);
  blocks_.section(record);
}

}  // namespace flowloom
