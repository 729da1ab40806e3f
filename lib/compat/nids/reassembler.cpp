#include "compat/nids/reassembler.hpp"

namespace flowloom::nids {

namespace {

/// How long a connection may take to close when both sides wanted to.
constexpr std::int64_t kClosingSeconds = 10;

char data_bit(const Direction& way) {
  return &way.to == &way.stream.seen.client ? kClientData : kServerData;
}

char urgent_bit(const Direction& way) {
  return &way.to == &way.stream.seen.client ? kClientUrgent : kServerUrgent;
}

}  // namespace

void Reassembler::start_closing(Stream& stream, std::int64_t seconds) {
  if (nids_params.tcp_workarounds != 0) timers_.set(stream, seconds + kClosingSeconds);
}

void Reassembler::take(const Direction& way, const Piece& piece, std::int64_t seconds) {
  show(way, piece, seconds);
  if (way.to.list != nullptr && !way.stream.doomed) resume(way, seconds);
}

void Reassembler::resume(const Direction& way, std::int64_t seconds) {
  while (skbuff* const first = way.to.list) {
    if (is_after(first->seq, expected_seq(way))) return;
    const Piece piece{first->seq, {first->data, first->bytes}, first->flags, first->urgent_pointer};
    if (is_after(piece.end(), expected_seq(way))) show(way, piece, seconds);
    if (way.stream.doomed) return;
    unlink(way.to, first);
  }
}

void Reassembler::keep(const Direction& way, const Piece& piece, std::uint32_t truesize,
                       std::int64_t seconds) {
  skbuff* const segment = store_.take(piece.bytes);
  if (segment == nullptr) return;
  segment->seq = piece.seq;
  segment->flags = piece.flags;
  segment->urgent_pointer = piece.urgent_pointer;
  segment->truesize = truesize;
  way.to.rmem_alloc += static_cast<int>(truesize);
  if (piece.has_fin()) {
    way.from.state = kClosing;
    if (way.to.state == kFinSent || way.to.state == kFinConfirmed) {
      start_closing(way.stream, seconds);
    }
  }
  // From the end, since most are the latest yet. What a half may be charged bounds the walk.
  skbuff* before = way.to.listtail;
  while (before != nullptr && is_after(before->seq, piece.seq)) before = before->prev;
  segment->prev = before;
  segment->next = before == nullptr ? way.to.list : before->next;
  (before == nullptr ? way.to.list : before->next) = segment;
  (segment->next == nullptr ? way.to.listtail : segment->next->prev) = segment;
}

void Reassembler::unlink(half_stream& half, skbuff* segment) {
  (segment->prev == nullptr ? half.list : segment->prev->next) = segment->next;
  (segment->next == nullptr ? half.listtail : segment->next->prev) = segment->prev;
  half.rmem_alloc -= static_cast<int>(segment->truesize);
  store_.give_back(segment);
}

void Reassembler::purge(half_stream& half) {
  while (half.list != nullptr) unlink(half, half.list);
}

void Reassembler::release(Stream& stream) {
  timers_.clear(stream);
  for (half_stream* half : {&stream.seen.client, &stream.seen.server}) {
    purge(*half);
    buffer_.release(*half);
  }
}

// An urgent byte splits what it stands in: the bytes before it, itself, the bytes behind it.
void Reassembler::show(const Direction& way, const Piece& piece, std::int64_t seconds) {
  half_stream& to = way.to;
  const std::uint32_t expected = expected_seq(way);
  const std::uint32_t old = expected - piece.seq;
  const std::uint32_t urgent = piece.seq + piece.urgent_pointer - 1;
  if ((piece.flags & TH_URG) != 0 && is_after(urgent, expected - 1) &&
      (to.urg_seen == 0 || is_after(urgent, to.urg_ptr))) {
    to.urg_ptr = urgent;
    to.urg_seen = 1;
  }
  if (to.urg_seen != 0 && is_after(to.urg_ptr + 1, expected) &&
      is_before(to.urg_ptr, piece.seq + piece.size())) {
    const std::uint32_t at = to.urg_ptr - piece.seq;
    if (at > old) show_bytes(way, piece.bytes.subspan(old, at - old));
    if (way.stream.doomed) return;
    show_urgent(way, piece.bytes[at]);
    if (way.stream.doomed) return;
    if (at + 1 < piece.size()) show_bytes(way, piece.bytes.subspan(at + 1));
  } else if (old < piece.size()) {
    show_bytes(way, piece.bytes.subspan(old));
  }
  if (!piece.has_fin() || way.stream.doomed) return;
  way.from.state = kFinSent;
  if (to.state == kClosing) start_closing(way.stream, seconds);
}

void Reassembler::show_bytes(const Direction& way, ByteView bytes) {
  if (way.to.collect != 0) {
    buffer_.append(way.to, bytes);
    notify_data(way);
    return;
  }
  way.to.count = static_cast<int>(static_cast<std::uint32_t>(way.to.count) +
                                  static_cast<std::uint32_t>(bytes.size()));
  way.to.offset = way.to.count;
}

void Reassembler::show_urgent(const Direction& way, std::uint8_t byte) {
  way.to.urgdata = byte;
  way.to.count_new_urg = 1;
  if (way.to.collect_urg != 0) {
    listeners_.call(way.stream, urgent_bit(way));
    if (way.stream.doomed) return;
    listeners_.prune(way.stream);
  }
  way.to.count_new_urg = 0;
  way.to.urg_seen = 0;
  ++way.to.urg_count;
}

void Reassembler::notify_data(const Direction& way) {
  half_stream& to = way.to;
  int& read = way.stream.seen.read;
  do {
    const int shown = to.count - to.offset;
    read = shown;
    listeners_.call(way.stream, data_bit(way));
    if (way.stream.doomed) return;
    if (read > shown - to.count_new) to.count_new = shown - read;
    buffer_.drop(to, read);
  } while (nids_params.one_loop_less != 0 && read > 0 && to.count_new != 0);
  to.count_new = 0;
  listeners_.prune(way.stream);
}

void Reassembler::skip_hole(const Direction& way, std::int64_t seconds) {
  const std::uint32_t missing = way.to.list->seq - expected_seq(way);
  way.to.count = static_cast<int>(static_cast<std::uint32_t>(way.to.count) + missing);
  way.to.offset = way.to.count;
  resume(way, seconds);
}

void Reassembler::flush(const Direction& way, std::int64_t seconds) {
  while (way.to.list != nullptr && !way.stream.doomed) skip_hole(way, seconds);
}

}  // namespace flowloom::nids
