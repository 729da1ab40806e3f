// What the exact rules do where libnids loses data: see docs/libnids.md.
#include "compat/nids/tracker.hpp"

#include <algorithm>

namespace flowloom::nids {

namespace {

// Scale of a window whose handshake was not seen: the largest, so that nothing is refused for it.
constexpr std::uint32_t kUnknownScale = 1 << 14;
constexpr std::uint16_t kUnknownWindow = 0xffff;

// Segments behind a hole that the receiver has acknowledged, until it counts as lost: captures swap
// packets of the two directions.
constexpr std::uint8_t kGraceSegments = 3;

/// Both halves as if `segment` were the first of its direction.
void assume_handshake(const Segment& segment, half_stream& from, half_stream& to) {
  from.seq = from.first_data_seq = segment.seq;
  from.ack_seq = segment.ack;
  from.window = segment.window();
  from.wscale = kUnknownScale;
  to.seq = to.first_data_seq = segment.ack;
  to.ack_seq = segment.seq;
  to.window = kUnknownWindow;
  to.wscale = kUnknownScale;
}

}  // namespace

// The lower port is the server's, as nearly everywhere.
void Tracker::begin_midstream(const Segment& segment, std::uint64_t hash) {
  if (!segment.has(TH_ACK) || segment.has(TH_SYN | TH_RST) || segment.payload.empty()) return;
  make_room(segment);
  const bool from_client = segment.ends.source >= segment.ends.dest;
  Stream* const stream = table_.add(from_client ? segment.ends : reversed(segment.ends), hash);
  if (stream == nullptr) {
    report(NIDS_WARN_TCP, NIDS_WARN_TCP_TOOMUCH, segment.ip, segment.tcp);
    return;
  }
  half_stream& client = stream->seen.client;
  half_stream& server = stream->seen.server;
  assume_handshake(segment, from_client ? client : server, from_client ? server : client);
  stream->busy = true;
  establish(*stream);
  stream->busy = false;
  if (stream->doomed) {
    remove(*stream);
    return;
  }
  take_segment(segment, {stream, from_client ? Sender::Client : Sender::Server});
}

// The client goes on, so it was answered: by what was not captured, or will be seen later.
void Tracker::establish_unanswered(const Segment& segment, Stream& stream) {
  half_stream& client = stream.seen.client;
  half_stream& server = stream.seen.server;
  if (server.state != kClosed || !segment.has(TH_ACK) || segment.has(TH_RST) ||
      segment.payload.empty()) {
    return;
  }
  server.state = kSynReceived;
  server.seq = server.first_data_seq = segment.ack;
  server.ack_seq = client.seq;
  server.window = kUnknownWindow;
  server.wscale = kUnknownScale;
  client.wscale = kUnknownScale;
  client.ts_on = 0;
}

void Tracker::keep_syn_data(const Segment& segment, Stream& stream) {
  Piece piece = segment.piece();
  piece.seq = stream.seen.client.seq;
  piece.flags = 0;
  reassembler_.keep({stream, stream.seen.client, stream.seen.server}, piece, segment.truesize,
                    seconds_);
}

/// RFC 7413: the server acknowledges some of the data on the SYN, or all, or none.
bool Tracker::accepts_syn_data(const Segment& segment, const Stream& stream) {
  skbuff* const kept = stream.seen.server.list;
  if (kept == nullptr) return false;
  const std::uint32_t accepted = segment.ack - stream.seen.client.seq;
  if (accepted > kept->bytes) return false;
  kept->bytes = accepted;
  return true;
}

// Hosts answer a SYN within a connection with an ACK (RFC 5961), so that nobody can end it by
// guessing; only the server's SYN-ACK tells that it took the new one.
void Tracker::take_other_syn(const Segment& segment, Stream& stream, std::uint64_t hash) {
  if (segment.seq + 1 == stream.seen.client.seq && stream.seen.client.state == kSynSent) return;
  if (stream.seen.client.state == kSynSent) {
    remove(stream);
    begin(segment, hash);
    return;
  }
  half_stream said{};
  read_options(segment, said);
  stream.syn_waits = true;
  stream.waiting_seq = segment.seq;
  stream.waiting_window = segment.window();
  stream.waiting_scale = said.wscale_on != 0 ? said.wscale : 0;
  stream.waiting_timestamp = said.curr_ts;
  stream.waiting_stamped = said.ts_on != 0;
}

bool Tracker::confirms_waiting(const Segment& segment, const Stream& stream) {
  return stream.syn_waits && segment.has(TH_ACK) && segment.ack == stream.waiting_seq + 1;
}

/// The connection that waits takes the place of `stream`.
Stream& Tracker::replace(Stream& stream, std::uint64_t hash) {
  const Stream old = stream;
  end(stream, NIDS_TIMED_OUT);
  Stream& fresh = *table_.add(old.seen.addr, hash);  // in the place that has become free
  half_stream& client = fresh.seen.client;
  client.state = kSynSent;
  client.seq = client.first_data_seq = old.waiting_seq + 1;
  client.window = old.waiting_window;
  client.wscale_on = old.waiting_scale != 0 ? 1 : 0;
  client.wscale = std::max(old.waiting_scale, 1U);
  client.ts_on = old.waiting_stamped ? 1 : 0;
  client.curr_ts = old.waiting_timestamp;
  fresh.seen.server.state = kClosed;
  return fresh;
}

void Tracker::skip_acknowledged(const Direction& way) {
  std::uint8_t& behind = way.stream.behind_hole[&way.to == &way.stream.seen.server ? 1 : 0];
  if (way.to.list == nullptr || is_before(way.to.ack_seq, way.to.list->seq)) {
    behind = 0;
    return;
  }
  if (++behind < kGraceSegments) return;
  behind = 0;
  reassembler_.skip_hole(way, seconds_);
}

/// A FIN that waits behind a hole and was acknowledged: nothing will come to fill it.
void Tracker::flush_closed(const Direction& way) {
  const skbuff* const last = way.to.listtail;
  if (last == nullptr || (last->flags & TH_FIN) == 0) return;
  if (is_before(way.to.ack_seq, last->seq + last->bytes + 1)) return;
  reassembler_.flush(way, seconds_);
}

void Tracker::flush(Stream& stream) {
  half_stream& client = stream.seen.client;
  half_stream& server = stream.seen.server;
  if (stream.seen.nids_state != NIDS_DATA) return;
  reassembler_.flush({stream, client, server}, seconds_);
  if (!stream.doomed) reassembler_.flush({stream, server, client}, seconds_);
}

}  // namespace flowloom::nids
