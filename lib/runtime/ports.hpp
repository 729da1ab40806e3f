// DPDK ports from discovery to teardown: which there are and how their queues spread packets,
// pools that are never found empty, symmetric RSS, offloads. Polls nothing: the sources
// (io/ethdev_source.hpp) do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/ethdev_source.hpp"
#include "runtime/capture_probe.hpp"
#include "runtime/eal_arguments.hpp"
#include "runtime/flow_owners.hpp"
#include "runtime/lcore_plan.hpp"
#include "runtime/setup_error.hpp"
#include "runtime/vdev_spec.hpp"

struct rte_mempool;

namespace flowloom {

struct PortSettings {
  /// Frames that a poller may hand over before the first of them is released: all that the
  /// steering rings and the workers' bursts can hold.
  std::uint32_t held_max = 4096;
  std::uint32_t receive_descriptors = 1024;  ///< per queue of a NIC, as far as it allows
  std::vector<std::uint8_t> rss_key{};       ///< empty: the symmetric one. For tests
};

/// What net_pcap does not tell of a queue's file.
struct CaptureQueue {
  std::string file;
  LinkType link = LinkType::Ethernet;
  CaptureExtent endless;  ///< of an endless replay: all its packets stay in the pool
};

/// A port that can receive, as found.
struct PortFacts {
  PortQueues queues;
  std::string name;
  std::string driver;
  QueueEnd end = QueueEnd::Never;
  StampSource stamps = StampSource::ReceiveClock;
  std::vector<CaptureQueue> captures;  ///< net_pcap over files: one per queue
};

/// What the pools will take, from the arguments alone: EAL's memory is fixed before the ports
/// are known. An upper bound for vdevs; for NICs a queue for each worker is assumed.
EalNeeds estimate_eal_needs(const std::vector<std::string>& arguments, unsigned workers,
                            const PortSettings& settings);

/// All ports that can receive, in the order of their ids. `vdevs` are those EAL was given.
/// Throws RuntimeSetupError where there is none.
std::vector<PortFacts> discover_ports(const std::vector<VdevSpec>& vdevs);

/// What make_lcore_plan() needs of the ports.
std::vector<PortQueues> queues_of(const std::vector<PortFacts>& ports);

/// Configured and started ports. Sources must be destroyed before it, Eal after it.
class Ports {
 public:
  /// `plan` was made from these ports. Throws RuntimeSetupError.
  Ports(std::vector<PortFacts> ports, const LcorePlan& plan, const PortSettings& settings);
  ~Ports();
  Ports(const Ports&) = delete;
  Ports& operator=(const Ports&) = delete;

  /// What the source of the plan's poller `index` is made from.
  [[nodiscard]] EthdevSettings source_settings(std::size_t index) const;
  /// Where the frames of that poller lie.
  [[nodiscard]] rte_mempool* pool(std::size_t index) const { return pools_[index].mempool; }

  /// What was configured, a line per port and pool, for -v.
  [[nodiscard]] const std::vector<std::string>& description() const { return description_; }
  /// Sentences on what is not as it should be, although everything works.
  [[nodiscard]] const std::vector<std::string>& complaints() const { return complaints_; }
  /// Who owns which flow where a NIC spreads them over `workers` queues by a symmetric hash.
  [[nodiscard]] std::optional<FlowOwners> flow_owners(unsigned workers) const;

 private:
  struct Pool {
    rte_mempool* mempool = nullptr;
    EthdevSettings source;
  };

  void make_pool(std::size_t poller, const LcorePlan& plan);
  void configure(const PortFacts& port, std::uint16_t queues);
  void set_up_queues(const PortFacts& port, std::uint16_t queues, std::uint16_t descriptors);
  void start(const PortFacts& port);
  void set_up_rss(const PortFacts& port);
  void use_stamps_of(const PortFacts& port);
  void settle_key(const PortFacts& port, std::vector<std::uint8_t>& key) const;
  [[nodiscard]] const PortFacts& find(std::uint16_t port) const;
  [[nodiscard]] rte_mempool* pool_of(QueueRef ref) const;
  void close_all();

  std::vector<PortFacts> ports_;
  PortSettings settings_;
  std::vector<Pool> pools_;  // parallel to the plan's pollers
  /// A port that shall hold both directions of a connection together, and what it made of it.
  struct Spreading {
    std::uint16_t port;
    std::uint16_t queues;
    std::vector<std::uint8_t> key;           // empty: unknown
    std::vector<std::uint16_t> redirection;  // the same
    bool symmetric = false;                  // it passed the self-test
  };

  std::vector<std::uint16_t> configured_;
  std::vector<std::uint16_t> stamping_;  // those with stamps of their own
  std::vector<Spreading> spreading_;
  std::vector<std::string> description_;
  std::vector<std::string> complaints_;
};

}  // namespace flowloom
