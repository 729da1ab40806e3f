#include "io/bpf_filter.hpp"

#include <pcap/pcap.h>

#include <memory>
#include <string_view>
#include <utility>

namespace flowloom {

namespace {

constexpr int kSnapLength = 256 << 10;
constexpr int kOptimize = 1;
constexpr const char* kUnknownLink = "the link type is not known";

// Stands where there is nothing to run: no packet matches it.
const bpf_program kMatchesNothing{};

struct Compiled {
  std::unique_ptr<bpf_program> program;  // empty: `error`
  std::string error;
};

Compiled compile_for(const std::string& expression, LinkType link) {
  const int dlt = pcap_datalink_name_to_val(std::string(link_type_name(link)).c_str());
  if (link == LinkType::Unknown || dlt < 0) return {nullptr, kUnknownLink};
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> handle(pcap_open_dead(dlt, kSnapLength),
                                                              &pcap_close);
  if (!handle) return {nullptr, "there is no memory to compile it"};
  auto program = std::make_unique<bpf_program>();
  if (pcap_compile(handle.get(), program.get(), expression.c_str(), kOptimize,
                   PCAP_NETMASK_UNKNOWN) != 0) {
    return {nullptr, pcap_geterr(handle.get())};
  }
  return {std::move(program), {}};
}

}  // namespace

BpfFilter::BpfFilter(std::string expression) : expression_(std::move(expression)) {
  for (const LinkType link : {LinkType::Ethernet, LinkType::Raw, LinkType::Radiotap}) {
    if (compile(link) != &kMatchesNothing) return;
  }
  error_ = slots_[static_cast<std::size_t>(LinkType::Ethernet)].error;
}

BpfFilter::~BpfFilter() {
  for (Slot& slot : slots_) {
    const bpf_program* program = slot.program.load();
    if (program == nullptr || program == &kMatchesNothing) continue;
    const std::unique_ptr<bpf_program> owned(const_cast<bpf_program*>(program));
    pcap_freecode(owned.get());
  }
}

const bpf_program* BpfFilter::compile(LinkType link) const {
  const std::lock_guard guard(lock_);
  Slot& slot = slots_[static_cast<std::size_t>(link)];
  if (const bpf_program* program = slot.program.load(std::memory_order_acquire)) return program;
  Compiled compiled = compile_for(expression_, link);
  slot.error = std::move(compiled.error);
  const bpf_program* program = compiled.program ? compiled.program.release() : &kMatchesNothing;
  slot.program.store(program, std::memory_order_release);
  return program;
}

bool BpfFilter::matches(const Packet& packet) const {
  const Slot& slot = slots_[static_cast<std::size_t>(packet.link)];
  const bpf_program* program = slot.program.load(std::memory_order_acquire);
  if (program == nullptr) [[unlikely]]
    program = compile(packet.link);
  if (program == &kMatchesNothing) return false;
  pcap_pkthdr header{};
  header.caplen = packet.captured;
  header.len = packet.wire_length;
  return pcap_offline_filter(program, &header, packet.frame) != 0;
}

std::string BpfFilter::unsupported() const {
  const std::lock_guard guard(lock_);
  std::string lines;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].error.empty()) continue;
    lines.append(link_type_name(static_cast<LinkType>(i))).append(": ");
    lines.append(slots_[i].error).append("\n");
  }
  return lines;
}

std::string libpcap_version() { return pcap_lib_version(); }

}  // namespace flowloom
