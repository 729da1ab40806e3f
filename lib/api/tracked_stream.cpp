#include "api/tracked_stream.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

namespace flowloom {

namespace {

const TrackedStream& tracked(const Stream& stream) {
  return static_cast<const TrackedStream&>(stream);
}
TrackedStream& tracked(Stream& stream) { return static_cast<TrackedStream&>(stream); }

std::size_t index_of_side(Side side) { return static_cast<std::size_t>(side); }

EndPoint end_point_of(const ConnectionRecord& record, Side side) {
  const Endpoint& endpoint = record.sides[index_of_side(side)].endpoint;
  return {endpoint.address.bytes, endpoint.port, record.ipv6};
}

SideInfo side_info_of(const SideRecord& r, const EndPoint& end_point) {
  return {.end_point = end_point,
          .packets = r.packets,
          .payload_bytes = r.payload_bytes,
          .stream_bytes = r.stream_bytes,
          .gap_bytes = r.gap_bytes,
          .gaps = r.gap_count,
          .duplicate_bytes = r.duplicate_bytes,
          .overlap_conflicts = r.overlap_conflicts,
          .out_of_order = r.out_of_order,
          .retransmissions = r.retransmissions};
}

}  // namespace

void KeptBytes::drop_front(std::size_t count) {
  begin_ += count;
  if (begin_ < bytes_.size() / 2 + 1) return;
  bytes_.erase(bytes_.begin(),
               bytes_.begin() + static_cast<std::ptrdiff_t>(std::min(begin_, bytes_.size())));
  begin_ = 0;
}

void KeptBytes::clear() {
  bytes_.clear();
  begin_ = 0;
}

void TrackedStream::describe(ConnectionRecord& to) const {
  if (final_record != nullptr) {
    to = *final_record;
  } else {
    view->describe_other(handle, to);
  }
}

void TrackedStream::reset() {
  view = nullptr;
  user = nullptr;
  stopped = false;
  ignored = {};
  for (auto& side : kept) side.reset();
  done_with = 0;
  final_record = nullptr;
  owned_record.reset();
  key.reset();
}

TrackedStream& StreamTable::take() {
  if (free_.empty()) {
    if (made_ % kChunk == 0) chunks_.push_back(std::make_unique<TrackedStream[]>(kChunk));
    at(made_).slot = made_;
    free_.push_back(made_++);
  }
  TrackedStream& stream = at(free_.back());
  free_.pop_back();
  stream.number = ++taken_;
  return stream;
}

void StreamTable::give_back(TrackedStream& stream) {
  stream.reset();
  free_.push_back(stream.slot);
}

StreamInfo info_of(const ConnectionRecord& record) {
  StreamInfo info;
  info.first_packet = record.first_packet;
  info.start = record.start.time_since_epoch();
  info.end = record.end.time_since_epoch();
  for (const Side side : {Side::Originator, Side::Responder}) {
    const std::size_t i = index_of_side(side);
    info.sides[i] = side_info_of(record.sides[i], end_point_of(record, side));
  }
  info.reason = static_cast<EndReason>(record.close);
  info.midstream = record.midstream;
  info.established = record.established;
  info.reuse = record.reuse;
  info.state = kConnStateNames[static_cast<std::size_t>(record.state)];
  info.history.assign(record.history.data(), record.history_length);
  for (std::size_t i = 0; i < kAnomalyCount; ++i) {
    if (record.anomalies[i] != 0) info.anomalies.push_back({kAnomalyNames[i], record.anomalies[i]});
  }
  for (std::size_t i = 0; i < record.encapsulation.count; ++i) {
    const EncapsulationLayer& layer = record.encapsulation.layers[i];
    const EncapsulationKind& kind = kind_of(layer);
    info.encapsulation.push_back(kind.id == EncapsulationId::Shown
                                     ? fmt::format("{}:{}", kind.name, layer.id)
                                     : std::string(kind.name));
  }
  return info;
}

// --- what users see

static_assert(static_cast<std::size_t>(EndReason::EndOfInput) + 1 == kCloseReasonNames.size());
static_assert(static_cast<std::size_t>(GapReason::Unknown) + 1 == kGapCauseNames.size());

std::string_view name_of(GapReason reason) {
  return kGapCauseNames[static_cast<std::size_t>(reason)];
}

std::string_view name_of(EndReason reason) {
  return kCloseReasonNames[static_cast<std::size_t>(reason)];
}

std::string EndPoint::address_text() const {
  constexpr std::size_t kMappedPrefix = 12;
  std::array<char, INET6_ADDRSTRLEN> text{};
  const std::uint8_t* bytes = ipv6 ? address.data() : address.data() + kMappedPrefix;
  inet_ntop(ipv6 ? AF_INET6 : AF_INET, bytes, text.data(), text.size());
  return text.data();
}

std::string EndPoint::text() const {
  return ipv6 ? fmt::format("[{}]:{}", address_text(), port)
              : fmt::format("{}:{}", address_text(), port);
}

std::uint64_t Stream::id() const { return tracked(*this).number; }

EndPoint Stream::end_point(Side side) const {
  ConnectionRecord record;
  tracked(*this).describe(record);
  return end_point_of(record, side);
}

StreamInfo Stream::info() const {
  ConnectionRecord record;
  tracked(*this).describe(record);
  return info_of(record);
}

void Stream::collect(Side sender, Collect wanted) {
  tracked(*this).ignored[index_of_side(sender)] = wanted == Collect::No;
}

void Stream::discard(std::size_t bytes) { tracked(*this).done_with = bytes; }

std::span<const std::uint8_t> Stream::kept(Side sender) const {
  const auto& kept = tracked(*this).kept[index_of_side(sender)];
  return kept ? kept->view() : ByteView{};
}

void Stream::stop() { tracked(*this).stopped = true; }

void Stream::set_user(void* user) { tracked(*this).user = user; }

void* Stream::user() const { return tracked(*this).user; }

StreamHandler::~StreamHandler() = default;

}  // namespace flowloom
