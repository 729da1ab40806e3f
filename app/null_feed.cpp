#include "null_feed.hpp"

#include <string>
#include <utility>

#include "io/ethdev_source.hpp"
#include "runtime/eal.hpp"
#include "runtime/lcore_launcher.hpp"
#include "runtime/ports.hpp"
#include "runtime/vdev_spec.hpp"

namespace flowloom {

namespace {

// Neither copies: the packets' bytes are whatever lies in the pool.
constexpr const char* kVdev = "net_null0,size=64,copy=0";

class NullFeed final : public BenchFeed {
 public:
  explicit NullFeed(EthdevSettings settings) : source_(std::move(settings)) {}

  [[nodiscard]] PacketSource& source() override { return source_; }
  std::size_t fill(std::size_t packets) override { return ended_ ? 0 : packets; }
  void refill() override {}
  [[nodiscard]] bool in_setup() const override { return false; }
  void end() override { ended_ = true; }
  [[nodiscard]] const traffic::TrafficTruth* truth() const override { return nullptr; }

 private:
  EthdevSource source_;
  bool ended_ = false;
};

}  // namespace

// Members end in the order that DPDK needs: the last one first.
struct NullPorts::Parts {
  Parts(const std::vector<std::string>& arguments, unsigned workers)
      : eal("flowloom", arguments, estimate_eal_needs(arguments, workers, settings)) {
    std::vector<PortFacts> found = discover_ports(find_vdevs(arguments));
    plan = make_lcore_plan({Eal::lcores(), queues_of(found), workers, WriterCore::None});
    ports = std::make_unique<Ports>(std::move(found), plan, settings);
    eal.unbind_this_thread();
  }

  PortSettings settings;
  Eal eal;
  LcorePlan plan;
  std::unique_ptr<Ports> ports;
  LcoreLauncher launcher{plan};
};

NullPorts::NullPorts(unsigned workers)
    : parts_(std::make_unique<Parts>(std::vector<std::string>{"--vdev", kVdev}, workers)) {}

NullPorts::~NullPorts() = default;

std::unique_ptr<BenchFeed> NullPorts::feed(unsigned index) const {
  return std::make_unique<NullFeed>(parts_->ports->source_settings(index));
}

Launcher& NullPorts::launcher() { return parts_->launcher; }

}  // namespace flowloom
