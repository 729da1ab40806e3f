#include "io/kernel_source.hpp"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <utility>

namespace flowloom {

namespace {

/// How long the kernel may gather packets before it hands them over.
constexpr int kGatherMilliseconds = 10;
/// Bursts that the consumer may hold without releasing; then receive() returns Idle.
constexpr std::size_t kLentMax = 256;

LinkType link_of(int dlt) {
  // The numbers of libpcap differ between systems; the names do not.
  const char* name = pcap_datalink_val_to_name(dlt);
  if (name == nullptr) return LinkType::Unknown;
  constexpr std::uint32_t kLinkTypesEnd = 512;
  for (std::uint32_t number = 0; number < kLinkTypesEnd; ++number) {
    const LinkType link = link_type_from_number(number);
    if (link != LinkType::Unknown && link_type_name(link) == name) return link;
  }
  return LinkType::Unknown;
}

}  // namespace

KernelSource::KernelSource(const std::string& interface, const KernelSettings& settings)
    : interface_(interface), handle_(nullptr, &pcap_close) {
  if (const std::string why = listen(settings); !why.empty()) {
    problem_ = InputProblem{ProblemSeverity::Unreadable, fmt::format("{}: {}", interface, why)};
  }
}

// Returns why not, or nothing.
std::string KernelSource::listen(const KernelSettings& settings) {
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  handle_.reset(pcap_create(interface_.c_str(), error.data()));
  if (!handle_) return error.data();
  pcap_t* const h = handle_.get();
  const bool promiscuous = settings.promiscuous == KernelSettings::Promiscuous::Yes;
  pcap_set_snaplen(h, static_cast<int>(settings.snap_length));
  pcap_set_promisc(h, promiscuous ? 1 : 0);
  pcap_set_timeout(h, kGatherMilliseconds);
  pcap_set_buffer_size(h, static_cast<int>(settings.buffer_bytes));
  pcap_set_tstamp_precision(h, PCAP_TSTAMP_PRECISION_NANO);
  const int status = pcap_activate(h);
  if (status < 0) {
    const std::string detail = pcap_geterr(h);
    return detail.empty() ? pcap_statustostr(status) : detail;
  }
  if (pcap_setnonblock(h, 1, error.data()) != 0) return error.data();
  link_ = link_of(pcap_datalink(h));
  return {};
}

KernelSource::~KernelSource() = default;

void KernelSource::on_packet(unsigned char* self, const pcap_pkthdr* header,
                             const unsigned char* bytes) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  auto& source = *reinterpret_cast<KernelSource*>(self);
  std::vector<std::uint8_t>& all = source.arriving_.bytes;
  source.arrivals_.push_back({.offset = all.size(),
                              .stamp = from_nanoseconds(header->ts.tv_sec * kSecond +
                                                        header->ts.tv_usec),  // nanoseconds here
                              .captured = header->caplen,
                              .wire_length = std::max(header->caplen, header->len)});
  all.insert(all.end(), bytes, bytes + header->caplen);
}

SourceState KernelSource::receive(Burst& burst) {
  burst.size = 0;
  if (problem_) return SourceState::End;
  if (lent_.size() >= kLentMax) return SourceState::Idle;
  arrivals_.clear();
  if (!spare_.empty()) {
    arriving_.bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  arriving_.bytes.clear();
  const auto limit = static_cast<int>(std::min(burst.limit, kBurstMax));
  if (pcap_dispatch(handle_.get(), limit, &KernelSource::on_packet,
                    reinterpret_cast<unsigned char*>(this)) < 0) {
    problem_ = InputProblem{ProblemSeverity::Damaged,
                            fmt::format("{}: {}", interface_, pcap_geterr(handle_.get()))};
  }
  if (arrivals_.empty()) {
    spare_.push_back(std::move(arriving_.bytes));
    return problem_ ? SourceState::End : SourceState::Idle;
  }
  fill(burst);
  return SourceState::Packets;
}

void KernelSource::fill(Burst& burst) {
  for (const Arrival& arrival : arrivals_) {
    Packet& packet = burst.packets[burst.size++];
    packet.frame = arriving_.bytes.data() + arrival.offset;
    packet.stamp = arrival.stamp;
    packet.clock = rule_.advance(arrival.stamp);
    packet.number = ++number_;
    packet.captured = arrival.captured;
    packet.wire_length = arrival.wire_length;
    packet.flags = packet.captured < packet.wire_length ? packet_flags::kSnapped : std::uint8_t{0};
    packet.link = link_;
    packet.input = 0;
  }
  lent_.push_back({std::move(arriving_.bytes), number_});
  arriving_.bytes = {};
}

void KernelSource::release(Burst& burst) {
  if (burst.size == 0) return;
  const std::uint64_t done = burst.packets[burst.size - 1].number;
  while (!lent_.empty() && lent_.front().last_number <= done) {
    spare_.push_back(std::move(lent_.front().bytes));
    lent_.pop_front();
  }
}

SourceStats KernelSource::stats() const {
  SourceStats stats{.missed = 0, .bad_timestamps = rule_.bad_timestamps()};
  pcap_stat counted{};
  if (handle_ && !problem_ && pcap_stats(handle_.get(), &counted) == 0) {
    stats.missed = std::uint64_t{counted.ps_drop} + counted.ps_ifdrop;
  }
  return stats;
}

}  // namespace flowloom
