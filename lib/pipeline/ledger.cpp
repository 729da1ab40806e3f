#include "pipeline/ledger.hpp"

#include <numeric>

namespace flowloom {

namespace {

template <class Array>
std::uint64_t sum(const Array& values) {
  return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

template <class Array>
void add(Array& to, const Array& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace

Ledger& Ledger::operator+=(const Ledger& other) {
  received += other.received;
  handed_over += other.handed_over;
  add(verdicts, other.verdicts);
  checksums_offloaded += other.checksums_offloaded;
  tcp.payload_seen += other.tcp.payload_seen;
  add(tcp.fates, other.tcp.fates);
  add(tcp.anomalies, other.tcp.anomalies);
  tcp.rooms_made += other.tcp.rooms_made;
  connections_created += other.connections_created;
  add(connections_closed, other.connections_closed);
  add(evicted, other.evicted);
  hurried += other.hurried;
  datagrams.fragments += other.datagrams.fragments;
  datagrams.opened += other.datagrams.opened;
  datagrams.reassembled += other.datagrams.reassembled;
  datagrams.expired += other.datagrams.expired;
  datagrams.evicted += other.datagrams.evicted;
  datagrams.discarded += other.datagrams.discarded;
  datagrams.overlaps += other.datagrams.overlaps;
  datagrams.overlap_conflicts += other.datagrams.overlap_conflicts;
  datagrams.decided_by_checksum += other.datagrams.decided_by_checksum;
  add(datagram_verdicts, other.datagram_verdicts);
  add(datagrams.rejected, other.datagrams.rejected);
  for (std::size_t i = 0; i < limits.size(); ++i) limits[i] = limits[i] || other.limits[i];
  return *this;
}

bool Ledger::balances() const {
  return received == sum(verdicts) && tcp.payload_seen == sum(tcp.fates) &&
         connections_created == sum(connections_closed) &&
         connections_closed[static_cast<std::size_t>(CloseReason::Evicted)] == sum(evicted);
}

}  // namespace flowloom
