// The data path of an extractor on the caller's own thread: filter, front, shard, burst by burst.
#pragma once

#include "api/event_outlet.hpp"
#include "api/settings.hpp"
#include "api/shard_listener.hpp"
#include "io/bpf_filter.hpp"
#include "io/packet_source.hpp"
#include "pipeline/front.hpp"
#include "pipeline/shard.hpp"

namespace flowloom {

class SingleRun {
 public:
  /// Reserves all memory. `filter` and `scans` may be nullptr.
  SingleRun(const ApiSettings& settings, PacketEvents packets, const BpfFilter* filter,
            StreamTable& streams, EventOutlet& outlet, ScanWatch* scans);

  /// Takes one burst of the source in, or finds that there is none; then only time may pass.
  SourceState step(PacketSource& source);
  /// The input has ended: everything is told, every connection closes.
  void finish();

  [[nodiscard]] Ledger ledger() const;

 private:
  void pass_time(PacketSource& source);
  void track_one(Burst& burst, const Packet& recorded);

  const PacketEvents packets_;
  const BpfFilter* filter_;
  ShardListener listener_;
  Front front_;
  Shard shard_;
  Burst burst_;
};

}  // namespace flowloom
