// Bytes at positions that were announced: repeated, late, or told otherwise. Part of TcpTracker.
#pragma once

#include <algorithm>

#include "tcp/tcp_tracker.hpp"

namespace flowloom {

// What a keep-alive repeats is garbage by intention (RFC 1122, 4.2.3.6): not compared.
template <class Handler>
void TcpTracker<Handler>::note_probe(Connection& c, Direction d, StreamOffset begin,
                                     StreamOffset end) {
  count_old(c, d, begin, end, 0);
  count(c, Anomaly::KeepAlive);
}

// Bytes at positions already announced.
template <class Handler>
void TcpTracker<Handler>::note_old_text(Connection& c, Direction d, StreamOffset begin,
                                        ByteView bytes, Handler& out) {
  const StreamOffset end = begin + static_cast<StreamOffset>(bytes.size());
  count_old(c, d, begin, end, compare_repeated(c, d, begin, bytes, out));
  if (begin < 0) count(c, Anomaly::BeforeOrigin);
  if (HalfExtra* extra = half_extra(c, d)) ++extra->retransmissions;
  add_letter(c, d, Letter::Retransmission);
}

// What was delivered stays; a repetition that says something else is told. Returns by how many
// bytes it differs.
template <class Handler>
std::uint64_t TcpTracker<Handler>::compare_repeated(Connection& c, Direction d,
                                                    StreamOffset begin, ByteView bytes,
                                                    Handler& out) {
  HalfExtra* extra = half_extra(c, d);
  ConflictTeller teller(*this, c, d, out);
  const std::uint64_t differing = memory_.delivered.compare(
      {.head = c.delivered[index_of(d)],
       .owner = owner_of(c, d),
       .begin = begin,
       .base = extra == nullptr ? 0 : extra->queue.base(),
       .bytes = bytes},
      teller);
  if (differing == 0) return 0;
  if (extra != nullptr) ++extra->overlap_conflicts;
  count(c, Anomaly::RetransmissionDifferentData);
  return differing;
}

// Bytes at positions already announced: late where they were announced as missing.
template <class Handler>
void TcpTracker<Handler>::count_old(Connection& c, Direction d, StreamOffset begin,
                                    StreamOffset end, std::uint64_t differing) {
  std::int64_t late = 0;
  HalfExtra* extra = half_extra(c, d);
  if (extra != nullptr) {
    const auto gaps = std::min<std::size_t>(extra->gap_count, extra->recent_gaps.size());
    for (std::size_t i = 0; i < gaps; ++i) {
      const OffsetRange& gap = extra->recent_gaps[i];
      late += std::max<std::int64_t>(0, std::min(end, gap.end) - std::max(begin, gap.begin));
    }
  }
  std::int64_t before = std::clamp<std::int64_t>(-begin, 0, end - begin);
  const std::int64_t duplicate =
      end - begin - late - before - static_cast<std::int64_t>(differing);
  counters_.fate(Fate::Overlap, differing);
  counters_.fate(Fate::Late, static_cast<std::uint64_t>(late));
  counters_.fate(Fate::BeforeOrigin, static_cast<std::uint64_t>(before));
  counters_.fate(Fate::Duplicate, static_cast<std::uint64_t>(duplicate));
  if (extra != nullptr) extra->duplicate_bytes += static_cast<std::uint64_t>(duplicate);
}

}  // namespace flowloom
