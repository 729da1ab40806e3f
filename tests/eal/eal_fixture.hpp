// One EAL for all tests of a program, without hugepages; ports from vdevs that come and go.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "io/ethdev_source.hpp"
#include "runtime/eal.hpp"
#include "runtime/ports.hpp"

namespace flowloom::testing {

/// The program's Eal; started by the first call.
const Eal& shared_eal();

/// Vdevs added to the running EAL; removed again, also where a test's set-up fails.
class AddedVdevs {
 public:
  AddedVdevs() = default;
  ~AddedVdevs();
  AddedVdevs(const AddedVdevs&) = delete;
  AddedVdevs& operator=(const AddedVdevs&) = delete;
  void add(const std::string& text);
  [[nodiscard]] const std::vector<VdevSpec>& specs() const { return specs_; }

 private:
  std::vector<VdevSpec> specs_;
};

/// Vdevs added to the running EAL, planned, configured and started as `flowloom run` does.
class RunningPorts {
 public:
  RunningPorts(const std::vector<std::string>& vdevs, unsigned workers,
               const PortSettings& settings);
  [[nodiscard]] const Ports& ports() const { return *ports_; }
  [[nodiscard]] const LcorePlan& plan() const { return plan_; }
  [[nodiscard]] EthdevSettings source(std::size_t poller = 0) const {
    return ports_->source_settings(poller);
  }

 private:
  AddedVdevs vdevs_;
  LcorePlan plan_;
  std::unique_ptr<Ports> ports_;
};

/// A queue of a net_ring port, which tests fill and which never ends.
inline EthdevQueue ring_queue(std::uint16_t port, std::uint16_t queue) {
  return {.port = port,
          .queue = queue,
          .end = QueueEnd::Never,
          .stamps = StampSource::ReceiveClock,
          .link = LinkType::Ethernet,
          .name = "ring"};
}

/// A packet with its bytes, outliving the burst.
struct Seen {
  std::vector<std::uint8_t> bytes;
  Packet packet;
};

/// Receives until End, in bursts of `limit`, releasing each burst at once.
std::vector<Seen> receive_all(EthdevSource& source, std::uint32_t limit = kBurstMax);

}  // namespace flowloom::testing
