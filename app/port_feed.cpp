#include "port_feed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "io/ethdev_source.hpp"
#include "runtime/eal.hpp"
#include "runtime/lcore_launcher.hpp"
#include "runtime/ports.hpp"
#include "runtime/ring_sender.hpp"
#include "runtime/vdev_spec.hpp"

namespace flowloom {

namespace {

// Nothing is copied: the packets' bytes are whatever lies in the pool.
constexpr const char* kNullVdev = "net_null0,size=64,copy=0";
constexpr const char* kRingPort = "net_ring0";

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

/// The traffic's own stamps count: by a clock that goes on while packets are made, its time-outs
/// would not come where they should.
EthdevSettings with_stamps(EthdevSettings settings) {
  for (EthdevQueue& queue : settings.queues) queue.stamps = StampSource::MbufMicroseconds;
  return settings;
}

class RingFeed final : public BenchFeed {
 public:
  RingFeed(const traffic::TrafficConfig& config, EthdevSettings settings, RingSender sender)
      : traffic_(config), source_(with_stamps(std::move(settings))), sender_(sender) {}

  [[nodiscard]] PacketSource& source() override { return source_; }
  std::size_t fill(std::size_t packets) override {
    filled_ = traffic_.prepare(std::min(packets, sender_.room()));
    send();
    return filled_;
  }
  void refill() override {
    traffic_.rewind();
    shift_ += last_ - first_;  // the source has seen these stamps, and time never goes back
    send();
  }
  [[nodiscard]] bool in_setup() const override { return traffic_.in_setup(); }
  void end() override { traffic_.end(); }
  [[nodiscard]] const traffic::TrafficTruth* truth() const override { return &traffic_.truth(); }

 private:
  void send() {
    for (std::size_t sent = 0; sent < filled_;) {
      burst_.limit = static_cast<std::uint32_t>(std::min<std::size_t>(filled_ - sent, kBurstMax));
      traffic_.receive(burst_);
      const std::span<const Packet> packets(burst_.packets.data(), burst_.size);
      if (sent == 0) first_ = packets.front().stamp;
      last_ = packets.back().stamp;
      sender_.send(packets, shift_);
      sent += packets.size();
      traffic_.release(burst_);
    }
  }

  traffic::TrafficSource traffic_;
  EthdevSource source_;
  RingSender sender_;
  Duration shift_{0};  // of stamps, against those of the traffic
  Timestamp first_{};  // of the chunk in the ring
  Timestamp last_{};
  Burst burst_;
  std::size_t filled_ = 0;
};

}  // namespace

// Members end in the order that DPDK needs: the last one first.
struct BenchPorts::Parts {
  Parts(const std::vector<std::string>& arguments, unsigned workers, WriterCore writer)
      : eal("flowloom", arguments, estimate_eal_needs(arguments, workers, settings)) {
    std::vector<PortFacts> found = discover_ports(find_vdevs(arguments));
    plan = make_lcore_plan({Eal::lcores(), queues_of(found), workers, writer});
    if (plan.pollers.size() < workers) {
      throw RuntimeSetupError(fmt::format("the port has {} queues, one for each worker: take no "
                                          "more --workers",
                                          plan.pollers.size()));
    }
    ports = std::make_unique<Ports>(std::move(found), plan, settings);
    eal.unbind_this_thread();
  }

  PortSettings settings;
  Eal eal;
  LcorePlan plan;
  std::unique_ptr<Ports> ports;
  LcoreLauncher launcher{plan};
};

BenchPorts::BenchPorts(BenchPort port, unsigned workers, WriterCore writer)
    : port_(port),
      parts_(std::make_unique<Parts>(
          std::vector<std::string>{"--vdev", port == BenchPort::Null ? kNullVdev : kRingPort},
          workers, writer)) {}

BenchPorts::~BenchPorts() = default;

std::unique_ptr<BenchFeed> BenchPorts::feed(unsigned index,
                                            const traffic::TrafficConfig& traffic) const {
  EthdevSettings settings = parts_->ports->source_settings(index);
  if (port_ == BenchPort::Null) return std::make_unique<NullFeed>(std::move(settings));
  return std::make_unique<RingFeed>(
      traffic, std::move(settings), RingSender(kRingPort, index, parts_->ports->pool(index)));
}

Launcher& BenchPorts::launcher() { return parts_->launcher; }

}  // namespace flowloom
