#include "compat/nids/tracker.hpp"

#include <algorithm>
#include <optional>

#include "compat/nids/tcp_segment.hpp"
#include "compat/nids/tcp_values.hpp"

namespace flowloom::nids {

Tracker::Tracker(const Settings& settings, const CallbackList& callbacks,
                 const ChecksumControl& checksums)
    : rules_(settings.rules),
      streams_max_(settings.streams),
      callbacks_(callbacks),
      checksums_(checksums),
      table_(std::max(settings.streams, 1U), settings.seed),
      reassembler_(listeners_, timers_),
      scans_(settings.scans) {}

bool Tracker::is_readable(const Datagram& datagram, Segment& segment, Timestamp stamp) {
  segment.ip = datagram.ip;
  segment.tcp = datagram.ip + datagram.header_bytes;
  segment.truesize = datagram.truesize;
  const std::uint32_t tcp_bytes = datagram.bytes - datagram.header_bytes;
  const bool has_header = tcp_bytes >= kTcpMinHeaderBytes;
  if (has_header) {
    const TcpHeader header{segment.tcp};
    segment.header_bytes = header.header_bytes();
    segment.flags = header.flags().bits();
    segment.ends = ends_of(segment.ip, segment.tcp);
  }
  if (!has_header || segment.header_bytes > tcp_bytes ||
      (segment.ends.saddr | segment.ends.daddr) == 0) {
    report(NIDS_WARN_TCP, NIDS_WARN_TCP_HDR, segment.ip, segment.tcp);
    return false;
  }
  segment.payload = {segment.tcp + segment.header_bytes, tcp_bytes - segment.header_bytes};
  segment.seq = load_be32(segment.tcp + kSeqOffset);
  segment.ack = load_be32(segment.tcp + kAckOffset);
  segment.stamp = stamp;
  if (!segment.has(TH_ACK)) look_for_scan(segment);
  if (streams_max_ == 0) return false;
  if (checksums_.checks(segment.ends.saddr) && !checksum_is_right(segment, tcp_bytes)) {
    report(NIDS_WARN_TCP, NIDS_WARN_TCP_HDR, segment.ip, segment.tcp);
    return false;
  }
  return true;
}

void Tracker::look_for_scan(const Segment& segment) {
  const ScanHost* const host = scans_.add(
      {segment.ends.saddr, segment.ends.daddr, segment.ends.dest, segment.flags, segment.stamp});
  if (host != nullptr) report(NIDS_WARN_SCAN, 0, nullptr, host);
}

void Tracker::take_tcp(const Datagram& datagram, Timestamp stamp) {
  Segment segment{};
  seconds_ = seconds_of(stamp);
  if (!is_readable(datagram, segment, stamp)) return;
  const std::uint64_t hash =
      datagram.hashed == Hashed::Yes ? datagram.hash : table_.hash_of_ends(segment.ends);
  const Found found = table_.find(segment.ends, hash);
  if (found.stream == nullptr) {
    if (segment.has(TH_SYN) && !segment.has(TH_ACK) && !segment.has(TH_RST)) {
      begin(segment, hash);
    } else if (rules_ == Rules::Exact) {
      begin_midstream(segment, hash);
    }
    return;
  }
  if (segment.has(TH_SYN)) {
    take_syn(segment, found, hash);
    return;
  }
  take_segment(segment, found);
}

void Tracker::make_room(const Segment& segment) {
  while (table_.size() >= streams_max_) {
    Stream& oldest = *table_.oldest();
    const bool was_asked = oldest.seen.client.state == kSynSent;
    end(oldest, NIDS_TIMED_OUT);
    if (!was_asked) report(NIDS_WARN_TCP, NIDS_WARN_TCP_TOOMUCH, segment.ip, segment.tcp);
  }
}

void Tracker::begin(const Segment& segment, std::uint64_t hash) {
  make_room(segment);
  Stream* const stream = table_.add(segment.ends, hash);
  if (stream == nullptr) {
    report(NIDS_WARN_TCP, NIDS_WARN_TCP_TOOMUCH, segment.ip, segment.tcp);
    return;
  }
  half_stream& client = stream->seen.client;
  client.state = kSynSent;
  client.seq = segment.seq + 1;
  client.first_data_seq = client.seq;
  client.window = segment.window();
  read_options(segment, client);
  stream->seen.server.state = kClosed;
  stream->seen.ts = seconds_;
  if (rules_ == Rules::Exact && !segment.payload.empty()) keep_syn_data(segment, *stream);
}

void Tracker::take_syn(const Segment& segment, const Found& found, std::uint64_t hash) {
  Stream& stream = *found.stream;
  if (found.sender == Sender::Server) {
    if (rules_ == Rules::Exact && confirms_waiting(segment, stream)) {
      take_syn_ack(segment, replace(stream, hash));
    } else {
      take_syn_ack(segment, stream);
    }
    return;
  }
  if (segment.has(TH_ACK) || segment.has(TH_RST)) return;
  if (nids_params.tcp_flow_timeout > 0 &&
      seconds_ - stream.seen.ts > nids_params.tcp_flow_timeout) {
    if (rules_ == Rules::Exact) {
      end(stream, NIDS_TIMED_OUT);
    } else {
      remove(stream);
    }
    begin(segment, hash);
  } else if (rules_ == Rules::Exact) {
    take_other_syn(segment, stream, hash);
  }
}

void Tracker::take_syn_ack(const Segment& segment, Stream& stream) {
  half_stream& client = stream.seen.client;
  half_stream& server = stream.seen.server;
  if (client.state != kSynSent || server.state != kClosed || !segment.has(TH_ACK)) return;
  const bool with_data = rules_ == Rules::Exact && accepts_syn_data(segment, stream);
  if (segment.ack != client.seq && !with_data) return;
  stream.seen.ts = seconds_;
  server.state = kSynReceived;
  server.seq = segment.seq + 1;
  server.first_data_seq = server.seq;
  server.ack_seq = segment.ack;
  server.window = segment.window();
  const std::uint32_t no_stamp = server.curr_ts;
  read_options(segment, server);
  if (client.ts_on == 0) server.curr_ts = no_stamp;
  if (client.ts_on == 0 || server.ts_on == 0) client.ts_on = server.ts_on = 0;
  if (client.wscale_on == 0 || server.wscale_on == 0) {
    client.wscale_on = server.wscale_on = 0;
    client.wscale = server.wscale = 1;
  }
}

bool Tracker::in_window(const Segment& segment, const half_stream& to) {
  const auto size = static_cast<std::uint32_t>(segment.payload.size());
  if (size == 0 && segment.seq == to.ack_seq) return true;
  const std::uint32_t end = to.ack_seq + std::uint32_t{to.window} * to.wscale;
  return is_before(segment.seq, end) && !is_before(segment.seq + size, to.ack_seq);
}

bool Tracker::is_too_old(const Segment& segment, const Direction& way) {
  if (way.to.ts_on == 0) return false;
  const auto stamp = timestamp_of(segment.tcp, segment.header_bytes);
  return stamp && is_before(*stamp, way.from.curr_ts);
}

void Tracker::take_segment(const Segment& segment, const Found& found) {
  Stream& stream = *found.stream;
  const bool from_client = found.sender == Sender::Client;
  half_stream& client = stream.seen.client;
  half_stream& server = stream.seen.server;
  const Direction way{stream, from_client ? client : server, from_client ? server : client};
  if (rules_ == Rules::Exact && client.state == kSynSent && from_client) {
    establish_unanswered(segment, stream);
  }
  if (!in_window(segment, way.to)) return;
  if (segment.has(TH_RST)) {
    reset(stream);
    return;
  }
  if (is_too_old(segment, way)) return;
  stream.busy = true;
  const bool closed = segment.has(TH_ACK) && take_ack(segment, way);
  if (closed) {
    stream.busy = false;
    end(stream, NIDS_CLOSE);
    return;
  }
  if (!stream.doomed) take_data(segment, way);
  stream.busy = false;
  if (stream.doomed || stream.seen.listeners == nullptr) remove(stream);
}

void Tracker::reset(Stream& stream) {
  if (stream.seen.nids_state == NIDS_DATA) {
    end(stream, NIDS_RESET);
  } else {
    remove(stream);
  }
}

void Tracker::establish(Stream& stream) {
  tcp_stream& seen = stream.seen;
  seen.client.state = kEstablished;
  seen.server.state = kEstablished;
  seen.client.ack_seq = seen.server.seq;
  seen.ts = seconds_;
  seen.nids_state = NIDS_JUST_EST;
  listeners_.offer(stream, callbacks_);
  if (!stream.doomed && seen.listeners != nullptr) seen.nids_state = NIDS_DATA;
  stream.doomed = stream.doomed || seen.listeners == nullptr;
  if (rules_ == Rules::Exact && !stream.doomed) {
    reassembler_.resume({stream, seen.client, seen.server}, seconds_);
  }
}

/// Whether the connection is closed by this acknowledgement.
bool Tracker::take_ack(const Segment& segment, const Direction& way) {
  half_stream& client = way.stream.seen.client;
  half_stream& server = way.stream.seen.server;
  if (&way.from == &client && client.state == kSynSent && server.state == kSynReceived &&
      segment.ack == server.seq) {
    establish(way.stream);
    if (way.stream.doomed) return false;
  }
  if (is_after(segment.ack, way.from.ack_seq)) way.from.ack_seq = segment.ack;
  if (rules_ == Rules::Exact) {
    flush_closed({way.stream, way.to, way.from});
    if (way.stream.doomed) return false;
  }
  if (way.to.state == kFinSent) way.to.state = kFinConfirmed;
  return way.to.state == kFinConfirmed && way.from.state == kFinConfirmed;
}

void Tracker::take_data(const Segment& segment, const Direction& way) {
  const Piece piece = segment.piece();
  const std::uint32_t expected = expected_seq(way);
  if (piece.size() != 0 || piece.has_fin()) {
    if (is_after(piece.seq, expected)) {
      reassembler_.keep(way, piece, segment.truesize, seconds_);
      if (rules_ == Rules::Exact) skip_acknowledged(way);
    } else if (is_after(piece.end(), expected)) {
      const auto stamp = timestamp_of(segment.tcp, segment.header_bytes);
      if (stamp) way.from.curr_ts = *stamp;
      reassembler_.take(way, piece, seconds_);
    }
  }
  if (way.stream.doomed) return;
  way.from.window = segment.window();
  constexpr int kQueueMax = 65535;
  if (way.to.rmem_alloc <= kQueueMax) return;
  report(NIDS_WARN_TCP, NIDS_WARN_TCP_BIGQUEUE, segment.ip, segment.tcp);
  if (rules_ == Rules::Exact) {
    reassembler_.skip_hole(way, seconds_);
  } else {
    reassembler_.purge(way.to);
  }
}

void Tracker::end(Stream& stream, char state) {
  stream.busy = true;
  if (rules_ == Rules::Exact) flush(stream);
  stream.seen.nids_state = state;
  listeners_.announce(stream);
  stream.busy = false;
  remove(stream);
}

void Tracker::end_due(Timestamp stamp) {
  while (Stream* const stream = timers_.due(seconds_of(stamp))) end(*stream, NIDS_TIMED_OUT);
}

void Tracker::exit_all() {
  while (Stream* const stream = table_.oldest()) end(*stream, NIDS_EXITING);
}

void Tracker::remove(Stream& stream) {
  reassembler_.release(stream);
  listeners_.release(stream);
  table_.remove(stream);
}

void Tracker::free_stream(Stream& stream) {
  if (stream.busy) {
    stream.doomed = true;
  } else {
    remove(stream);
  }
}

tcp_stream* Tracker::find(const tuple4& ends) const {
  const Found found = table_.find(ends, table_.hash_of_ends(ends));
  return found.stream != nullptr && found.sender == Sender::Client ? &found.stream->seen : nullptr;
}

// The host, or something on the way to it, says that it cannot be reached (RFC 792).
void Tracker::take_icmp(const Datagram& datagram) {
  constexpr std::uint32_t kHeaderBytes = 8;
  constexpr std::uint32_t kLeastBytes = 28;  // with the header of what it is about
  constexpr std::uint8_t kUnreachable = 3;
  constexpr std::uint8_t kProtocolUnreachable = 2;
  constexpr std::uint8_t kPortUnreachable = 3;
  constexpr std::uint8_t kCodes = 15;
  constexpr std::uint32_t kQuotedTcpBytes = 8;

  if (streams_max_ == 0) return;
  const std::uint8_t* const icmp = datagram.ip + datagram.header_bytes;
  const std::uint32_t bytes = datagram.bytes - datagram.header_bytes;
  if (bytes < kLeastBytes || !checksum_is_good(checksum_sum({icmp, bytes}))) return;
  const std::uint8_t* const about = icmp + kHeaderBytes;
  const std::uint32_t about_bytes = header_bytes_of(about);
  if (icmp[0] != kUnreachable || icmp[1] > kCodes ||
      bytes - kHeaderBytes < about_bytes + kQuotedTcpBytes) {
    return;
  }
  const bool by_host = icmp[1] == kProtocolUnreachable || icmp[1] == kPortUnreachable;
  if (by_host && load_native<std::uint32_t>(datagram.ip + kIpv4SourceOffset) !=
                     load_native<std::uint32_t>(about + kIpv4DestinationOffset)) {
    return;
  }
  if (about[kIpv4ProtocolOffset] != kTcpProtocol) return;
  const tuple4 ends = ends_of(about, about + about_bytes);
  const Found found = table_.find(ends, table_.hash_of_ends(ends));
  if (found.stream != nullptr && found.stream->seen.client.state == kSynSent) {
    remove(*found.stream);
  }
}

}  // namespace flowloom::nids
