// Runs sources, shards and the writer core: who does what on which thread.
//
//   one worker            receive -> front -> track, on one thread (run to completion)
//   several, one source   one RX thread: receive -> front -> steer; each worker: track
//   several sources       run to completion per source (hardware queues); what arrives at the
//                         wrong worker is handed to the one that owns it (hand_over)
//
// The writer core runs beside them, unless nothing is written.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/backoff.hpp"
#include "export/exporter.hpp"
#include "io/bpf_filter.hpp"
#include "io/packet_source.hpp"
#include "pipeline/front.hpp"
#include "pipeline/shard.hpp"
#include "runtime/flow_owners.hpp"
#include "runtime/hand_over.hpp"
#include "runtime/hand_over_worker.hpp"
#include "runtime/message_writer.hpp"
#include "runtime/run_status.hpp"
#include "runtime/steering.hpp"
#include "stream/counting_consumer.hpp"

namespace flowloom {

/// Whether the writer core has anything to write.
enum class Export : std::uint8_t { None, RecordsOnly, RecordsAndBytes };

struct EngineSettings {
  ShardConfig shard;                       ///< of the whole run; shared out among the workers
  DefragmentSettings defragment;           ///< of each source
  unsigned workers = 1;
  std::uint32_t burst = kBurstMax;         ///< packets per burst; tests use 1 and 7
  Export output = Export::RecordsAndBytes;
  KeepEvidence evidence = KeepEvidence::No;
  Farewell farewell = Farewell::Record;  ///< as ExporterConfig has it
  PacketsWanted packets = PacketsWanted::None;  ///< with shard.packets
  EarlyBytes early_bytes = EarlyBytes::No;
  std::uint64_t export_memory = std::uint64_t{256} << 20;  ///< of the whole run
  WhenFull when_full = WhenFull::Wait;     ///< Shed where packets do not wait: live
  /// Of threads that have had nothing to do for long; see Backoff.
  std::chrono::nanoseconds longest_sleep = Backoff::kShortSleep;
  const BpfFilter* filter = nullptr;       ///< outlives the engine; nullptr: everything
  SourceOrder order = SourceOrder::Recorded;  ///< of several sources
  /// Several sources: who owns which flow, where hardware decides; nullptr: by a hash. Of as many
  /// workers as there are; only the constructor looks at it.
  const FlowOwners* owners = nullptr;
};

/// What a thread is for; launchers place it accordingly.
enum class Role : std::uint8_t { Receive, Worker, Writer };

/// Starts threads: plain ones, or on EAL's lcores.
class Launcher {
 public:
  virtual ~Launcher() = default;
  virtual void launch(Role role, unsigned index, std::function<void()> body) = 0;
  /// Waits until every launched body has returned.
  virtual void join() = 0;
};

/// std::thread for every role.
class ThreadLauncher final : public Launcher {
 public:
  ~ThreadLauncher() override { join(); }
  void launch(Role role, unsigned index, std::function<void()> body) override;
  void join() override;

 private:
  std::vector<std::thread> threads_;
};

class Engine {
 public:
  /// Reserves all memory. `sources`: one, or one per worker. Throws std::bad_alloc.
  Engine(const EngineSettings& settings, std::vector<PacketSource*> sources,
         MessageWriter* writer);
  ~Engine();

  /// Starts everything on `launcher` and returns when the input has ended, or soon after stop(),
  /// and everything is written. `tick` is called on the caller's thread every `interval`, with
  /// what the threads answered since the last one; it must not throw.
  void run(Launcher& launcher, std::chrono::milliseconds interval,
           const std::function<void(const RunStatus&)>& tick);

  /// Ends the input early: open connections are written, the ledger balances. From any thread.
  void stop() { stop_.store(true, std::memory_order_relaxed); }

  /// Sums over all threads; what was shed was not delivered. Preconditions: run() returned.
  [[nodiscard]] Ledger ledger() const;
  /// The same of what the writers were too slow for.
  [[nodiscard]] ShedCounts shed() const;
  /// Bytes delivered, where nothing is exported. Preconditions: run() returned.
  [[nodiscard]] std::uint64_t counted_bytes() const;
  [[nodiscard]] std::size_t reserved_bytes() const;

 private:
  struct Worker;
  void run_to_completion(unsigned index);
  void run_beside_others(unsigned index);
  bool advance(Worker& worker, HandOverWorker& own, HandOverWorker::Ready*& waiting);
  void run_receiver();
  void run_steered(unsigned index);
  void run_writer();
  struct Receiver;
  void share_sources();
  void start(Launcher& launcher);
  void mark(Burst& burst, unsigned source) const;
  void prepare(Burst& burst, unsigned source);
  void complete(Burst& burst, unsigned index);
  void end_input(Receiver& receiver);
  void tell_worker(Worker& worker, unsigned index);
  void tell_receiver(unsigned index);
  void gather(RunStatus& status);

  const EngineSettings settings_;
  std::vector<PacketSource*> sources_;
  MessageWriter* writer_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Receiver>> receivers_;  ///< parallel to sources_
  std::unique_ptr<Steering> steering_;    ///< several workers, one source
  std::unique_ptr<HandOver> hand_over_;   ///< several sources
  std::unique_ptr<FragmentStage> fragments_;
  std::vector<std::unique_ptr<HandOverWorker>> handing_;  ///< parallel to workers_
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> running_{0};
  std::atomic<std::size_t> inputs_over_{0};
};

}  // namespace flowloom
