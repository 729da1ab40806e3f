#include "runtime/ports.hpp"

#include <fmt/format.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/check.hpp"
#include "runtime/eal.hpp"
#include "runtime/nic_rss.hpp"

namespace flowloom {

namespace {

constexpr std::uint32_t kPoolCache = 256;
// Objects that the caches of two lcores can hold back: the one that sets up, and the poller.
constexpr std::uint32_t kCacheMargin = 2 * kPoolCache * 3 / 2;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kObjectHeaderBytes = 64;
// A pool's own: ring, caches of all lcores, administration.
constexpr std::uint64_t kPoolFixedBytes = 4u << 20;
constexpr std::uint16_t kJumboMtu = 9000;
constexpr std::size_t kKeyBytesDefault = 40;
constexpr std::uint32_t kDataRoomMax = 0xffff - RTE_PKTMBUF_HEADROOM;
// Ports and pairs of addresses: fragments, which have no ports, are handed over in software.
constexpr std::uint64_t kRssTypes = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP;

// With 4 KiB pages DPDK lets no object cross a page.
std::uint64_t object_bytes(std::uint32_t data_room) {
  const std::size_t bytes =
      kObjectHeaderBytes + sizeof(rte_mbuf) + RTE_PKTMBUF_HEADROOM + data_room;
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes + 2 * sizeof(void*);
}

std::uint32_t data_room_for(std::uint32_t largest_frame) {
  return std::max(largest_frame, ethdev_limits::kDataRoom);
}

std::uint64_t pool_objects(const EthdevSettings& source, std::uint64_t beside) {
  return ethdev_mbufs_held(source) + beside + kCacheMargin;
}

std::string_view bus_of(const rte_eth_dev_info& info) {
  const rte_bus* bus = info.device != nullptr ? rte_dev_bus(info.device) : nullptr;
  const char* name = bus != nullptr ? rte_bus_name(bus) : nullptr;
  return name != nullptr ? name : "";
}

CaptureExtent measure_endless(const std::string& port, const std::string& file) {
  const CaptureExtent extent = measure_capture(file);
  if (extent.packets == 0) {
    throw RuntimeSetupError(
        fmt::format("{}: {} cannot repeat it without end: it has no packets", file, port));
  }
  if (extent.largest > kDataRoomMax) {
    throw RuntimeSetupError(
        fmt::format("{}: {} cannot repeat it without end: a packet of {} bytes fits no buffer",
                    file, port, extent.largest));
  }
  return extent;
}

void describe_capture_port(const VdevSpec& vdev, PortFacts& port) {
  const bool endless = vdev.enabled("infinite_rx");
  for (const std::string& file : vdev.values("rx_pcap")) {
    CaptureQueue& queue = port.captures.emplace_back();
    queue.file = file;
    queue.link = link_type_from_number(probe_capture(file).linktype);
    if (endless) queue.endless = measure_endless(port.name, file);
  }
  if (port.captures.empty() || !endless) port.stamps = StampSource::MbufMicroseconds;
  if (port.captures.empty()) return;  // a kernel interface
  if (endless) {
    port.queues.spread = QueueSpread::EndlessFiles;
  } else {
    port.end = QueueEnd::EndOfFile;
  }
}

PortFacts describe_port(std::uint16_t id, const rte_eth_dev_info& info,
                        const std::vector<VdevSpec>& vdevs) {
  PortFacts port;
  std::array<char, RTE_ETH_NAME_MAX_LEN> name{};
  rte_eth_dev_get_name_by_port(id, name.data());
  port.name = name.data();
  port.driver = info.driver_name != nullptr ? info.driver_name : "";
  port.queues = {.port = id,
                 .socket = rte_eth_dev_socket_id(id),
                 .queues_max = info.max_rx_queues,
                 .spread = QueueSpread::Together};
  const auto vdev = std::find_if(vdevs.begin(), vdevs.end(),
                                 [&](const VdevSpec& v) { return v.name == port.name; });
  if (port.driver == "net_pcap") {
    if (vdev != vdevs.end()) describe_capture_port(*vdev, port);
  } else if (port.driver == "net_null" || port.driver == "net_ring") {
    port.queues.spread = QueueSpread::Independent;
  } else if (bus_of(info) == "pci" && (info.flow_type_rss_offloads & RTE_ETH_RSS_TCP) != 0) {
    port.queues.spread = QueueSpread::Symmetric;
  } else {
    port.queues.queues_max = 1;  // one queue gets everything when RSS is off
  }
  return port;
}

rte_eth_conf configuration(const PortFacts& port, const rte_eth_dev_info& info,
                           std::uint16_t queues, std::vector<std::uint8_t>& key) {
  rte_eth_conf conf{};
  constexpr std::uint64_t kChecksums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
  conf.rxmode.offloads = info.rx_offload_capa & kChecksums;
  // Stamps slow some drivers down: not where nobody can tell what they mean.
  std::uint64_t ticks = 0;
  if (read_device_ticks(port.queues.port, ticks)) {
    conf.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP;
  }
  // Taps carry whatever the network does; a virtual device would change its kernel interface.
  const bool scatters = (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
  if (bus_of(info) == "pci" && scatters && info.max_mtu >= kJumboMtu) {
    conf.rxmode.mtu = kJumboMtu;
    conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
  }
  if (port.queues.spread == QueueSpread::Symmetric && queues > 1) {
    const std::size_t bytes = info.hash_key_size != 0 ? info.hash_key_size : kKeyBytesDefault;
    if (key.empty()) key = symmetric_rss_key(bytes);
    key.resize(bytes);
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_key = key.data();
    conf.rx_adv_conf.rss_conf.rss_key_len = static_cast<std::uint8_t>(key.size());
    conf.rx_adv_conf.rss_conf.rss_hf = kRssTypes & info.flow_type_rss_offloads;
  } else {
    key.clear();
  }
  return conf;
}

[[noreturn]] void fail(const PortFacts& port, std::string_view what, int error) {
  std::string log = Eal::recent_log();
  if (const std::size_t end = log.find('\n'); end != std::string::npos) log.resize(end);
  throw RuntimeSetupError(fmt::format("port {} ({}): {}: {}{}", port.queues.port, port.name, what,
                                      rte_strerror(error < 0 ? -error : error),
                                      log.empty() ? "" : "; DPDK says: " + log));
}

// In turn over all queues, the same for every port; a device that does not take it keeps its own.
// Empty: it has none, or does not tell.
std::vector<std::uint16_t> redirection_table(std::uint16_t port, std::uint16_t entries,
                                             std::uint16_t queues) {
  std::vector<rte_eth_rss_reta_entry64> groups((entries + RTE_ETH_RETA_GROUP_SIZE - 1u) /
                                               RTE_ETH_RETA_GROUP_SIZE);
  const auto entry = [&](std::size_t i) -> std::uint16_t& {
    return groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
  };
  for (auto& group : groups) group.mask = ~std::uint64_t{0};
  for (std::size_t i = 0; i < entries; ++i) entry(i) = static_cast<std::uint16_t>(i % queues);
  rte_eth_dev_rss_reta_update(port, groups.data(), entries);
  if (entries == 0 || rte_eth_dev_rss_reta_query(port, groups.data(), entries) != 0) return {};
  std::vector<std::uint16_t> table(entries);
  for (std::size_t i = 0; i < entries; ++i) table[i] = entry(i);
  return table;
}

// As many as asked for, or as the driver recommends, within what the device allows.
std::uint16_t receive_descriptors(const rte_eth_dev_info& info, std::uint32_t wanted) {
  const rte_eth_desc_lim& limit = info.rx_desc_lim;
  const std::uint32_t most = limit.nb_max != 0 ? limit.nb_max : std::uint32_t{UINT16_MAX};
  std::uint32_t count = std::max<std::uint32_t>(wanted, info.default_rxportconf.ring_size);
  count = std::clamp<std::uint32_t>(count, std::min<std::uint32_t>(limit.nb_min, most), most);
  const std::uint32_t unit = std::max<std::uint32_t>(limit.nb_align, 1);
  return static_cast<std::uint16_t>(std::max(count / unit * unit, unit));
}

}  // namespace

EalNeeds estimate_eal_needs(const std::vector<std::string>& arguments, unsigned workers,
                            const PortSettings& settings) {
  const std::vector<VdevSpec> vdevs = find_vdevs(arguments);
  EthdevSettings source;
  source.held_max = settings.held_max;
  const unsigned pollers = std::max(workers, 1u);
  std::uint64_t beside = 0;
  std::uint32_t largest = 0;
  const auto add_queues = [&](std::size_t count) {
    source.queues.resize(source.queues.size() + count);
    beside += count * settings.receive_descriptors;
  };
  for (const VdevSpec& vdev : vdevs) {
    const std::size_t files = vdev.is_pcap() ? vdev.values("rx_pcap").size() : 0;
    add_queues(files != 0 ? files : pollers);
    if (files == 0 || !vdev.enabled("infinite_rx")) continue;
    for (const std::string& file : vdev.values("rx_pcap")) {
      const CaptureExtent extent = measure_capture(file);
      beside += extent.packets;
      largest = std::max(largest, extent.largest);
    }
  }
  const bool may_have_nics =
      vdevs.empty() || has_option(arguments, "-a") || has_option(arguments, "--allow");
  if (may_have_nics) add_queues(std::size_t{2} * pollers);
  const std::uint64_t objects =
      pool_objects(source, beside) + pollers * (settings.held_max + kCacheMargin);
  return {objects * object_bytes(data_room_for(largest)) + pollers * kPoolFixedBytes};
}

std::vector<PortFacts> discover_ports(const std::vector<VdevSpec>& vdevs) {
  std::vector<PortFacts> ports;
  for (std::uint64_t next = rte_eth_find_next_owned_by(0, RTE_ETH_DEV_NO_OWNER);
       next < RTE_MAX_ETHPORTS;) {
    const auto id = static_cast<std::uint16_t>(next);
    next = rte_eth_find_next_owned_by(static_cast<std::uint16_t>(id + 1), RTE_ETH_DEV_NO_OWNER);
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(id, &info) != 0 || info.max_rx_queues == 0) continue;
    ports.push_back(describe_port(id, info, vdevs));
  }
  if (ports.empty()) {
    throw RuntimeUsageError(
        "there is no DPDK port to receive from: name one, such as "
        "`--vdev net_pcap0,rx_pcap=FILE` or `-a PCI-ADDRESS` of a device bound to vfio-pci");
  }
  return ports;
}

std::vector<PortQueues> queues_of(const std::vector<PortFacts>& ports) {
  std::vector<PortQueues> queues;
  for (const PortFacts& port : ports) queues.push_back(port.queues);
  return queues;
}

Ports::Ports(std::vector<PortFacts> ports, const LcorePlan& plan, const PortSettings& settings)
    : ports_(std::move(ports)), settings_(settings) {
  FLOWLOOM_CHECK(plan.queues.size() == ports_.size());
  static_cast<void>(Eal::recent_log());  // what was said before is no reason for what fails here
  try {
    for (std::size_t i = 0; i < plan.pollers.size(); ++i) make_pool(i, plan);
    for (std::size_t i = 0; i < ports_.size(); ++i) configure(ports_[i], plan.queues[i]);
    for (const PortFacts& port : ports_) start(port);
  } catch (...) {
    close_all();
    throw;
  }
}

Ports::~Ports() {
  close_all();
}

EthdevSettings Ports::source_settings(std::size_t index) const {
  return pools_[index].source;
}

/// One pool per poller: nobody else takes from it or gives back, so what its source holds is all
/// that is out.
void Ports::make_pool(std::size_t poller, const LcorePlan& plan) {
  Pool& pool = pools_.emplace_back();
  pool.source.held_max = settings_.held_max;
  std::uint64_t beside = 0;
  std::uint32_t largest = 0;
  for (const QueueRef& ref : plan.pollers[poller].queues) {
    const PortFacts& port = find(ref.port);
    EthdevQueue queue{.port = ref.port,
                      .queue = ref.queue,
                      .end = port.end,
                      .stamps = port.stamps,
                      .name = port.name};
    rte_eth_dev_info info{};
    rte_eth_dev_info_get(ref.port, &info);
    beside += receive_descriptors(info, settings_.receive_descriptors);
    if (ref.queue < port.captures.size()) {
      const CaptureQueue& capture = port.captures[ref.queue];
      queue.name = capture.file;
      queue.link = capture.link;
      beside += capture.endless.packets;
      largest = std::max(largest, capture.endless.largest);
    }
    pool.source.queues.push_back(std::move(queue));
  }
  const std::uint64_t objects = pool_objects(pool.source, beside);
  const std::uint32_t room = data_room_for(largest);
  const std::string name = fmt::format("flowloom_rx_{}", poller);
  const int near = find(plan.pollers[poller].queues.front().port).queues.socket;
  const int socket = rte_eal_has_hugepages() != 0 ? near : SOCKET_ID_ANY;
  pool.mempool =
      rte_pktmbuf_pool_create(name.c_str(), static_cast<unsigned>(objects), kPoolCache, 0,
                              static_cast<std::uint16_t>(room + RTE_PKTMBUF_HEADROOM), socket);
  if (pool.mempool == nullptr) {
    throw RuntimeSetupError(fmt::format(
        "DPDK has no memory for {} packet buffers of {} bytes ({}); give EAL more, with `-m MB` "
        "or hugepages",
        objects, room, rte_strerror(rte_errno)));
  }
  pool.source.pool = pool.mempool;
  description_.push_back(fmt::format("pool {}: {} buffers of {} bytes, {} MB", name, objects, room,
                                     objects * object_bytes(room) >> 20));
}

void Ports::configure(const PortFacts& port, std::uint16_t queues) {
  const std::uint16_t id = port.queues.port;
  rte_eth_dev_info info{};
  int error = rte_eth_dev_info_get(id, &info);
  if (error != 0) fail(port, "it cannot be described", error);
  std::vector<std::uint8_t> key = settings_.rss_key;
  const rte_eth_conf conf = configuration(port, info, queues, key);
  // Drivers look for the place of stamps in a buffer when queues are set up.
  const bool stamps = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TIMESTAMP) != 0;
  if (stamps && rte_mbuf_dyn_rx_timestamp_register(nullptr, nullptr) == 0) stamping_.push_back(id);
  // Nothing is sent; some drivers (net_tap) nevertheless want queues in pairs.
  std::uint16_t send_queues = 0;
  error = rte_eth_dev_configure(id, queues, send_queues, &conf);
  if (error != 0) {
    send_queues = queues;
    error = rte_eth_dev_configure(id, queues, send_queues, &conf);
  }
  if (error != 0) fail(port, fmt::format("it cannot be configured with {} queues", queues), error);
  configured_.push_back(id);
  std::uint16_t descriptors = receive_descriptors(info, settings_.receive_descriptors);
  std::uint16_t send_descriptors = info.default_txportconf.ring_size;
  error = rte_eth_dev_adjust_nb_rx_tx_desc(id, &descriptors, &send_descriptors);
  if (error != 0) fail(port, "its descriptors cannot be set", error);
  for (std::uint16_t queue = 0; queue < send_queues && error == 0; ++queue) {
    error = rte_eth_tx_queue_setup(id, queue, send_descriptors,
                                   static_cast<unsigned>(SOCKET_ID_ANY), nullptr);
  }
  if (error != 0) fail(port, "its send queues cannot be set up", error);
  set_up_queues(port, queues, descriptors);
  description_.push_back(fmt::format(
      "port {} {} ({}): socket {}, {} of {} queues, {} descriptors{}{}{}", id, port.name,
      port.driver, port.queues.socket, queues, info.max_rx_queues, descriptors,
      key.empty() ? "" : fmt::format(", symmetric RSS ({}-byte key)", key.size()),
      (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) != 0 ? ", checksums by hardware" : "",
      (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER) != 0 ? ", jumbo frames" : ""));
  if (!key.empty()) spreading_.push_back({id, queues, std::move(key), {}});
}

void Ports::set_up_queues(const PortFacts& port, std::uint16_t queues, std::uint16_t descriptors) {
  const auto socket = static_cast<unsigned>(port.queues.socket);
  for (std::uint16_t queue = 0; queue < queues; ++queue) {
    rte_mempool* pool = pool_of({port.queues.port, queue});
    const int error =
        rte_eth_rx_queue_setup(port.queues.port, queue, descriptors, socket, nullptr, pool);
    if (error != 0) fail(port, fmt::format("queue {} cannot be set up", queue), error);
  }
}

void Ports::start(const PortFacts& port) {
  const std::uint16_t id = port.queues.port;
  const int error = rte_eth_dev_start(id);
  if (error != 0) fail(port, "it does not start", error);
  // Where it is not supported, there is nothing that would be filtered.
  rte_eth_promiscuous_enable(id);
  set_up_rss(port);
  use_stamps_of(port);
}

void Ports::use_stamps_of(const PortFacts& port) {
  const std::uint16_t id = port.queues.port;
  std::uint64_t ticks = 0;
  const bool stamps = std::find(stamping_.begin(), stamping_.end(), id) != stamping_.end() &&
                      read_device_ticks(id, ticks);
  if (!stamps) return;
  description_.push_back(fmt::format("port {} ({}): stamped by hardware", id, port.name));
  for (Pool& pool : pools_) {
    for (EthdevQueue& queue : pool.source.queues) {
      if (queue.port == id) queue.stamps = StampSource::DeviceTicks;
    }
  }
}

/// The NIC is asked what it made of key and table: some drivers take neither and say nothing. A
/// port that tears connections apart is repaired by handing over, which costs; so it is said.
void Ports::set_up_rss(const PortFacts& port) {
  const std::uint16_t id = port.queues.port;
  const auto found = std::find_if(spreading_.begin(), spreading_.end(),
                                  [&](const Spreading& s) { return s.port == id; });
  if (found == spreading_.end()) return;
  rte_eth_dev_info info{};
  if (rte_eth_dev_info_get(id, &info) != 0) fail(port, "it cannot be described", -EIO);
  settle_key(port, found->key);
  found->redirection = redirection_table(id, info.reta_size, found->queues);
  const std::string name = fmt::format("port {} ({})", id, port.name);
  constexpr std::string_view kRepair =
      "packets are handed over between workers, which costs; `--workers 1` avoids it";
  if (found->key.empty() || found->redirection.empty()) {
    complaints_.push_back(
        fmt::format("{}: does not tell how its RSS spreads packets; {}", name, kRepair));
  } else if (const auto torn = rss_self_test(found->key, found->redirection)) {
    complaints_.push_back(fmt::format(
        "{}: its RSS sends the two directions of a connection to different queues ({} and {}, "
        "for example); {}",
        name, torn->queue_forth, torn->queue_back, kRepair));
  } else {
    found->symmetric = true;
    description_.push_back(fmt::format("{}: RSS self-test passed, {} redirection entries", name,
                                       found->redirection.size()));
  }
}

/// Makes `key` what the device uses, which is what it was given if it takes it now or before;
/// empty where it does not tell.
void Ports::settle_key(const PortFacts& port, std::vector<std::uint8_t>& key) const {
  const std::uint16_t id = port.queues.port;
  const auto read_back = [&](std::vector<std::uint8_t>& into, rte_eth_rss_conf& rss) {
    into.assign(key.size(), 0);
    rss = {};
    rss.rss_key = into.data();
    rss.rss_key_len = static_cast<std::uint8_t>(into.size());
    return rte_eth_dev_rss_hash_conf_get(id, &rss) == 0;
  };
  std::vector<std::uint8_t> used;
  rte_eth_rss_conf rss{};
  const bool known = read_back(used, rss);
  if (known && used != key) {
    rss.rss_key = key.data();
    rss.rss_key_len = static_cast<std::uint8_t>(key.size());
    rte_eth_dev_rss_hash_update(id, &rss);
    read_back(used, rss);
  }
  if (!known) used.clear();
  key = std::move(used);
}

std::optional<FlowOwners> Ports::flow_owners(unsigned workers) const {
  for (const Spreading& port : spreading_) {
    if (port.symmetric && rss_repeats(port.key)) {
      return FlowOwners(workers, port.key, port.redirection);
    }
  }
  return std::nullopt;
}

const PortFacts& Ports::find(std::uint16_t port) const {
  const auto found = std::find_if(ports_.begin(), ports_.end(),
                                  [&](const PortFacts& p) { return p.queues.port == port; });
  FLOWLOOM_CHECK(found != ports_.end());
  return *found;
}

rte_mempool* Ports::pool_of(QueueRef ref) const {
  for (const Pool& pool : pools_) {
    for (const EthdevQueue& queue : pool.source.queues) {
      if (queue.port == ref.port && queue.queue == ref.queue) return pool.mempool;
    }
  }
  return pools_.front().mempool;  // a queue that nobody polls
}

void Ports::close_all() {
  for (const std::uint16_t port : configured_) {
    rte_eth_dev_stop(port);
    rte_eth_dev_close(port);
  }
  configured_.clear();
  for (Pool& pool : pools_) rte_mempool_free(pool.mempool);
  pools_.clear();
}

}  // namespace flowloom
