#include "io/kernel_source.hpp"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <cstring>

namespace flowloom {

namespace {

/// The kernel hands a block of its ring over when it is full, or after so long.
constexpr int kBlockMilliseconds = 10;
/// At the end: so long nothing comes when the last block was handed over.
constexpr std::chrono::milliseconds kDrainedAfter{5 * kBlockMilliseconds};
/// Looks at the clock: once in so many calls that found packets.
constexpr std::uint32_t kCallsPerLook = 64;
constexpr std::size_t kAlignment = 64;
/// There is room for some of the largest frames, whatever is asked for.
constexpr std::size_t kLargestFrames = 4;

constexpr std::size_t rounded(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

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

void KernelSource::ClosePcap::operator()(pcap* handle) const { pcap_close(handle); }

KernelSource::KernelSource(const std::string& interface, const KernelSettings& settings)
    : interface_(interface),
      settings_(settings),
      copies_(std::max(settings.copy_bytes, kLargestFrames * rounded(settings.snap_length))) {
  if (const std::string why = listen(); !why.empty()) {
    problem_ = InputProblem{ProblemSeverity::Unreadable,
                            fmt::format("cannot capture on '{}': {}", interface, why)};
    handle_.reset();
  }
  begin_ = last_packet_ = Clock::now();
}

KernelSource::~KernelSource() = default;

// Returns why not, or nothing.
std::string KernelSource::listen() {
  char message[PCAP_ERRBUF_SIZE] = "";
  handle_.reset(pcap_create(interface_.c_str(), message));
  if (handle_ == nullptr) return message;
  pcap* const p = handle_.get();
  const bool promiscuous = settings_.promiscuous == KernelSettings::Promiscuous::Yes;
  pcap_set_snaplen(p, static_cast<int>(settings_.snap_length));
  pcap_set_promisc(p, promiscuous ? 1 : 0);
  pcap_set_timeout(p, kBlockMilliseconds);
  pcap_set_buffer_size(p, static_cast<int>(settings_.buffer_bytes));
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

// Room for the largest frame in one piece: behind the head, or before the tail.
bool KernelSource::has_room() const {
  const std::size_t need = rounded(settings_.snap_length);
  if (lent_.empty() && burst_->size == 0) return true;
  if (head_ >= tail_) return copies_.bytes() - head_ >= need || tail_ > need;
  return tail_ - head_ > need;
}

std::uint32_t KernelSource::wanted(const Burst& burst) const {
  const std::uint64_t limit = std::min(burst.limit, kBurstMax) - burst.size;
  if (settings_.packets_max == 0) return static_cast<std::uint32_t>(limit);
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(limit, settings_.packets_max - number_));
}

// The clock is looked at when nothing comes and, under load, now and then.
bool KernelSource::is_over() {
  if (settings_.packets_max != 0 && number_ >= settings_.packets_max) return true;
  const Clock::time_point now = Clock::now();
  const bool timed_out = settings_.duration.count() > 0 && now - begin_ >= settings_.duration;
  if (!draining_ && (timed_out || stopping_.load(std::memory_order_relaxed))) {
    start_draining();
    last_packet_ = now;
  }
  return draining_ && (number_ >= drain_to_ || now - last_packet_ >= kDrainedAfter);
}

void KernelSource::start_draining() {
  draining_ = true;
  pcap_stat counts{};
  drain_to_ = ~std::uint64_t{0};
  // ps_recv holds what was dropped, too: at most so many can still come of what was there now.
  if (pcap_stats(handle_.get(), &counts) == 0) drain_to_ = counts.ps_recv;
}

SourceState KernelSource::receive(Burst& burst) {
  burst.size = 0;
  if (problem_) return SourceState::End;
  if ((calls_ % kCallsPerLook == 0 || draining_) && is_over()) return SourceState::End;
  burst_ = &burst;
  // One by one: whether the next one finds room depends on those before it.
  while (wanted(burst) > 0 && has_room() && take_one()) {
  }
  if (burst.size == 0) {
    calls_ = 0;
    return problem_ || is_over() ? SourceState::End : SourceState::Idle;
  }
  ++calls_;
  if (draining_) last_packet_ = Clock::now();
  lent_.push_back({number_, head_});
  return SourceState::Packets;
}

bool KernelSource::take_one() {
  const int taken =
      pcap_dispatch(handle_.get(), 1, on_packet, reinterpret_cast<unsigned char*>(this));
  if (taken < 0) {
    problem_ = InputProblem{ProblemSeverity::Damaged,
                            fmt::format("{}: {}", interface_, pcap_geterr(handle_.get()))};
  }
  return taken > 0;
}

void KernelSource::on_packet(unsigned char* self, const pcap_pkthdr* header,
                             const unsigned char* bytes) {
  reinterpret_cast<KernelSource*>(self)->take(*header, bytes);
}

// Preconditions: has_room().
void KernelSource::take(const pcap_pkthdr& header, const unsigned char* bytes) {
  if (lent_.empty() && burst_->size == 0) head_ = tail_ = 0;
  const std::size_t need = rounded(settings_.snap_length);
  if (head_ >= tail_ && copies_.bytes() - head_ < need) head_ = 0;
  auto* const copy = reinterpret_cast<std::uint8_t*>(copies_.data()) + head_;
  std::memcpy(copy, bytes, header.caplen);
  head_ += rounded(header.caplen);
  // With the precision asked for, tv_usec holds nanoseconds.
  const Timestamp stamp{std::chrono::seconds{header.ts.tv_sec} + Duration{header.ts.tv_usec}};
  Packet& packet = burst_->packets[burst_->size++];
  packet.frame = copy;
  packet.stamp = stamp;
  packet.clock = rule_.advance(stamp);
  packet.number = ++number_;
  packet.captured = header.caplen;
  packet.wire_length = std::max(header.len, header.caplen);
  packet.flags = header.caplen < header.len ? packet_flags::kSnapped : std::uint8_t{0};
  packet.link = link_;
  packet.input = 0;
}

void KernelSource::release(Burst& burst) {
  if (burst.size == 0) return;
  const std::uint64_t last = burst.packets[burst.size - 1].number;
  while (!lent_.empty() && lent_.front().last_number <= last) {
    tail_ = lent_.front().end;
    lent_.pop_front();
  }
}

SourceStats KernelSource::stats() const {
  SourceStats stats{.missed = 0, .bad_timestamps = rule_.bad_timestamps()};
  pcap_stat counts{};
  if (handle_ != nullptr && pcap_stats(handle_.get(), &counts) == 0) {
    stats.missed = std::uint64_t{counts.ps_drop} + counts.ps_ifdrop;
  }
  return stats;
}

}  // namespace flowloom
