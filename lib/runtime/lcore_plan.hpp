// Which lcore polls which queue, runs which worker, and writes: a pure function of the machine
// and the request, so that every layout is a row of a test. Starts nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flowloom {

struct LcoreFacts {
  unsigned id = 0;
  int socket = 0;
};

/// How packets are spread over a port's queues; decides who may poll them.
enum class QueueSpread : std::uint8_t {
  Together,      ///< one poller takes all: files to be merged, or flows spread in no known way
  EndlessFiles,  ///< captures in a loop, one per queue: all are polled, by anybody
  Independent,   ///< each queue is a traffic of its own, as many as wanted (net_null, net_ring)
  Symmetric      ///< the NIC's RSS with the symmetric key: both directions in one queue
};

struct PortQueues {
  std::uint16_t port = 0;
  int socket = 0;  ///< -1: unknown
  std::uint16_t queues_max = 1;
  QueueSpread spread = QueueSpread::Together;
};

struct QueueRef {
  std::uint16_t port = 0;
  std::uint16_t queue = 0;
  friend bool operator==(const QueueRef&, const QueueRef&) = default;
};

/// Whether the run has anything to write.
enum class WriterCore : std::uint8_t { None, Own };

struct PlanRequest {
  std::vector<LcoreFacts> lcores;  ///< the main lcore first
  std::vector<PortQueues> ports;
  unsigned workers = 0;  ///< 0: lcores - 1, at least 1
  WriterCore writer = WriterCore::Own;
};

enum class PlanShape : std::uint8_t {
  RunToCompletion,  ///< every poller is a worker: front and back on one thread
  Steered           ///< one poller runs front and steers to the workers
};

struct LcorePlan {
  struct Poller {
    unsigned lcore = 0;
    std::vector<QueueRef> queues;
    friend bool operator==(const Poller&, const Poller&) = default;
  };

  PlanShape shape = PlanShape::RunToCompletion;
  std::vector<Poller> pollers;        ///< run to completion: poller i is worker i
  std::vector<unsigned> workers;      ///< lcore of each worker
  unsigned writer = 0;                ///< lcore of the writer core, where there is one
  unsigned control = 0;               ///< the main lcore: signals, progress
  std::vector<std::uint16_t> queues;  ///< receive queues to configure, parallel to request.ports
};

/// Roles that exceed the lcores share them (the threads then yield to each other).
/// Preconditions: at least one lcore and one port.
LcorePlan make_lcore_plan(const PlanRequest& request);

/// One line per role, for -v.
std::vector<std::string> describe(const LcorePlan& plan, WriterCore writer);

}  // namespace flowloom
