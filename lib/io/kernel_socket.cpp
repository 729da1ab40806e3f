#include "io/kernel_socket.hpp"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>

namespace flowloom {

namespace {

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

void KernelSocket::ClosePcap::operator()(pcap* handle) const { pcap_close(handle); }

KernelSocket::KernelSocket(const std::string& interface, const KernelSettings& settings,
                           std::size_t copy_bytes)
    : interface_(interface), copies_(copy_bytes, settings.snap_length) {
  if (const std::string why = listen(settings); !why.empty()) {
    problem_ = InputProblem{ProblemSeverity::Unreadable,
                            fmt::format("cannot capture on '{}': {}", interface, why)};
    handle_.reset();
  }
}

KernelSocket::~KernelSocket() = default;

// Returns why not, or nothing.
std::string KernelSocket::listen(const KernelSettings& settings) {
  char message[PCAP_ERRBUF_SIZE] = "";
  handle_.reset(pcap_create(interface_.c_str(), message));
  if (handle_ == nullptr) return message;
  pcap* const p = handle_.get();
  const bool promiscuous = settings.promiscuous == KernelSettings::Promiscuous::Yes;
  pcap_set_snaplen(p, static_cast<int>(settings.snap_length));
  pcap_set_promisc(p, promiscuous ? 1 : 0);
  pcap_set_timeout(p, static_cast<int>(kKernelBlockTime.count()));
  pcap_set_buffer_size(p, static_cast<int>(settings.ring_bytes));
  pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO);
  const int status = pcap_activate(p);
  if (status < 0) {
    const std::string reason = pcap_geterr(p);
    return reason.empty() ? pcap_statustostr(status) : reason;
  }
  if (pcap_get_tstamp_precision(p) != PCAP_TSTAMP_PRECISION_NANO) {
    return "it has no stamps in nanoseconds";
  }
  if (pcap_setnonblock(p, 1, message) != 0) return message;
  link_ = link_of(pcap_datalink(p));
  if (link_ != LinkType::Unknown) return {};
  return fmt::format("its link type {} is not one that flowloom reads", pcap_datalink(p));
}

void KernelSocket::look() {
  next_ = frame_count_ = 0;
  if (problem_ || !copies_.has_room()) return;
  const int taken = pcap_dispatch(handle_.get(), static_cast<int>(kBatch), on_packet,
                                  reinterpret_cast<unsigned char*>(this));
  if (taken >= 0 || taken == PCAP_ERROR_BREAK) return;
  problem_ = InputProblem{ProblemSeverity::Damaged,
                          fmt::format("{}: {}", interface_, pcap_geterr(handle_.get()))};
}

void KernelSocket::on_packet(unsigned char* self, const pcap_pkthdr* header,
                             const unsigned char* bytes) {
  reinterpret_cast<KernelSocket*>(self)->take(*header, bytes);
}

// Preconditions: there is room for the copy.
void KernelSocket::take(const pcap_pkthdr& header, const unsigned char* bytes) {
  Frame& frame = frames_[frame_count_++];
  frame.bytes = copies_.copy(bytes, header.caplen);
  // With the precision asked for, tv_usec holds nanoseconds.
  frame.stamp = Timestamp{std::chrono::seconds{header.ts.tv_sec} + Duration{header.ts.tv_usec}};
  frame.captured = header.caplen;
  frame.wire_length = std::max(header.len, header.caplen);
  frame.mark = copies_.mark();
  // The next one could not be refused any more, only not be asked for.
  if (!copies_.has_room()) pcap_breakloop(handle_.get());
}

void KernelSocket::lend(std::uint64_t number) {
  if (lent_to_ == popped_) return;
  lent_to_ = popped_;
  lent_.push_back({number, mark_});
}

void KernelSocket::release(std::uint64_t number) {
  while (!lent_.empty() && lent_.front().number <= number) {
    copies_.free_to(lent_.front().mark);
    lent_.pop_front();
  }
}

KernelSocket::Counts KernelSocket::count() {
  pcap_stat now{};
  if (handle_ == nullptr || pcap_stats(handle_.get(), &now) != 0) return counts_;
  counts_.seen += now.ps_recv - counted_[0];
  counts_.dropped += now.ps_drop - counted_[1];
  counts_.missed += now.ps_ifdrop - counted_[2];
  counted_ = {now.ps_recv, now.ps_drop, now.ps_ifdrop};
  return counts_;
}

}  // namespace flowloom
