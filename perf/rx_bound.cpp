// The bound of `flowloom run` over a capture: DPDK's net_pcap alone. Receives bursts of 32 until
// the file ends, reads the first byte of each frame, frees.
//
// usage: flowloom-rx-bound CAPTURE     prints {"packets", "bytes", "ns_per_packet"}: CPU time of
//                                      the receiving thread, set-up not counted
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

constexpr std::uint16_t kBurst = 32;
constexpr std::uint16_t kDescriptors = 1024;
constexpr unsigned kMbufs = 4095;

bool start_eal(const char* capture) {
  std::vector<std::string> arguments = {"flowloom-rx-bound", "--no-huge", "-m", "256",
                                        "--no-shconf", "--no-pci", "--no-telemetry",
                                        "--iova-mode=va", "--log-level=error", "--vdev",
                                        std::string("net_pcap0,rx_pcap=") + capture};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  return rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) >= 0 &&
         rte_eth_dev_count_avail() == 1;
}

bool start_port(std::uint16_t port) {
  rte_mempool* const pool = rte_pktmbuf_pool_create("pool", kMbufs, 256, 0,
                                                    RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  const rte_eth_conf conf{};
  return pool != nullptr && rte_eth_dev_configure(port, 1, 0, &conf) == 0 &&
         rte_eth_rx_queue_setup(port, 0, kDescriptors, rte_socket_id(), nullptr, pool) == 0 &&
         rte_eth_dev_start(port) == 0;
}

double thread_cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

}  // namespace

int main(int count, char** arguments) {
  constexpr std::uint16_t kPort = 0;
  if (count != 2 || !start_eal(arguments[1]) || !start_port(kPort)) {
    std::fprintf(stderr, "usage: flowloom-rx-bound CAPTURE (a pcap file that net_pcap reads)\n");
    return 1;
  }
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t sum = 0;
  std::array<rte_mbuf*, kBurst> mbufs;
  const double begin = thread_cpu_ns();
  while (const std::uint16_t n = rte_eth_rx_burst(kPort, 0, mbufs.data(), kBurst)) {
    for (std::uint16_t i = 0; i < n; ++i) {
      bytes += mbufs[i]->pkt_len;
      sum += *rte_pktmbuf_mtod(mbufs[i], const std::uint8_t*);
    }
    rte_pktmbuf_free_bulk(mbufs.data(), n);
    packets += n;
  }
  const double spent = thread_cpu_ns() - begin;
  asm volatile("" : : "r"(sum)); // it has to be computed
  std::printf("{\"packets\": %llu, \"bytes\": %llu, \"ns_per_packet\": %.2f}\n",
              static_cast<unsigned long long>(packets), static_cast<unsigned long long>(bytes),
              spent / static_cast<double>(packets == 0 ? 1 : packets));
  return packets == 0 ? 1 : 0;
}
