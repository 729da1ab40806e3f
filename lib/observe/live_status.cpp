// See live_status.hpp.
#include "observe/live_status.hpp"

#include <array>

namespace flowloom {
namespace {

// Reassembled datagrams that were refused for their headers; a wrong TCP checksum is counted apart.
std::uint64_t datagrams_refused(const Ledger& ledger) {
  constexpr auto kNotRefused = std::to_array<Verdict>(
      {Verdict::Tcp, Verdict::Fragment, Verdict::Udp, Verdict::Icmp, Verdict::OtherProtocol,
       Verdict::NotIp, Verdict::Ipv6NoNext, Verdict::BadTcpChecksum});
  std::uint64_t count = 0;
  for (const std::uint64_t of_verdict : ledger.datagram_verdicts) count += of_verdict;
  for (const Verdict verdict : kNotRefused) {
    count -= ledger.datagram_verdicts[static_cast<std::size_t>(verdict)];
  }
  return count;
}

std::vector<NamedCount> named_counts(const Ledger& ledger) {
  const DefragmentCounters& d = ledger.datagrams;
  constexpr auto kBadChecksum = static_cast<std::size_t>(Verdict::BadTcpChecksum);
  std::vector<NamedCount> counts = {{"reassembled", d.reassembled}, {"expired", d.expired},
                                    {"evicted", d.evicted},         {"discarded", d.discarded},
                                    {"overlaps", d.overlaps},
                                    {"overlap_conflicts", d.overlap_conflicts},
                                    {"decided_by_checksum", d.decided_by_checksum},
                                    {"bad_checksum", ledger.datagram_verdicts[kBadChecksum]},
                                    {"refused", datagrams_refused(ledger)}};
  for (std::size_t i = 0; i < kFragmentRejectCount; ++i) {
    counts.push_back({std::string(kFragmentRejectNames[i]), d.rejected[i]});
  }
  return counts;
}

}  // namespace

LedgerSnapshot snapshot_of(const Ledger& ledger, const SourceStats& source,
                           const ShedCounts& shed) {
  LedgerSnapshot s;
  s.packets_received = ledger.received;
  s.packets_handed_over = ledger.handed_over;
  s.verdicts = ledger.verdicts;
  s.payload_seen = ledger.tcp.payload_seen;
  s.fates = ledger.tcp.fates;
  s.datagrams = named_counts(ledger);
  s.connections_created = ledger.connections_created;
  s.connections_closed = ledger.connections_closed;
  s.evicted = ledger.evicted;
  s.hurried = ledger.hurried;
  for (std::size_t i = 0; i < kLimitNames.size(); ++i) {
    if (ledger.limits[i]) s.limits.emplace_back(kLimitNames[i]);
  }
  s.packets_missed = source.missed;
  s.bad_timestamps = source.bad_timestamps;
  for (const InterfaceCount& input : source.inputs) {
    s.interfaces.push_back({input.name, input.received, input.missed});
  }
  s.shed = shed;
  return s;
}

}  // namespace flowloom
