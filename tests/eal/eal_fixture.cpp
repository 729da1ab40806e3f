#include "eal_fixture.hpp"

#include <rte_dev.h>

namespace flowloom::testing {

const Eal& shared_eal() {
  static const Eal eal("ethdev_test", {"--no-huge", "--no-pci", "-l", "0"}, {256u << 20});
  return eal;
}

void AddedVdevs::add(const std::string& text) {
  const VdevSpec spec = parse_vdev(text);
  const std::size_t comma = text.find(',');
  const std::string options = comma == std::string::npos ? "" : text.substr(comma + 1);
  if (rte_eal_hotplug_add("vdev", spec.name.c_str(), options.c_str()) != 0) {
    throw RuntimeSetupError("vdev refused: " + text + ": " + Eal::recent_log());
  }
  specs_.push_back(spec);
}

AddedVdevs::~AddedVdevs() {
  for (const VdevSpec& spec : specs_) rte_eal_hotplug_remove("vdev", spec.name.c_str());
}

RunningPorts::RunningPorts(const std::vector<std::string>& vdevs, unsigned workers,
                           const PortSettings& settings) {
  shared_eal();
  for (const std::string& text : vdevs) vdevs_.add(text);
  std::vector<PortFacts> facts = discover_ports(vdevs_.specs());
  plan_ = make_lcore_plan({Eal::lcores(), queues_of(facts), workers, WriterCore::None});
  ports_ = std::make_unique<Ports>(std::move(facts), plan_, settings);
}

std::vector<Seen> receive_all(EthdevSource& source, std::uint32_t limit) {
  std::vector<Seen> all;
  Burst burst;
  burst.limit = limit;
  for (;;) {
    const SourceState state = source.receive(burst);
    if (state == SourceState::End) return all;
    if (state == SourceState::Idle) {
      ADD_FAILURE() << "a file has nothing to wait for";
      return all;
    }
    EXPECT_GT(burst.size, 0u);
    EXPECT_LE(burst.size, limit);
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      const Packet& packet = burst.packets[i];
      all.push_back({{packet.frame, packet.frame + packet.captured}, packet});
    }
    source.release(burst);
  }
}

}  // namespace flowloom::testing
