#include "compat/nids/engine.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>

#include "base/random_seed.hpp"
#include "compat/nids/ip_rules.hpp"
#include "compat/nids/link_rules.hpp"
#include "compat/nids/open_capture.hpp"
#include "net/checksum.hpp"
#include "net/decode.hpp"

namespace flowloom::nids {

namespace {

constexpr std::uint8_t kIcmpProtocol = 1;
constexpr std::uint8_t kUdpProtocol = 17;

/// libnids' sk_buff: what it charges for a datagram of so many bytes.
std::uint32_t truesize_of(std::uint32_t bytes, int addon) {
  constexpr std::uint32_t kHeadroom = 16;
  constexpr std::uint32_t kUnit = 16;
  const std::uint32_t needed = bytes + kHeadroom + static_cast<std::uint32_t>(addon);
  return (needed + kUnit - 1) / kUnit * kUnit +
         static_cast<std::uint32_t>(nids_params.sk_buff_size);
}

Tracker::Settings tracker_settings(const HashSeed& seed, Rules rules) {
  constexpr std::uint64_t kShareUsed = 3;
  constexpr std::uint64_t kShareOf = 4;
  constexpr int kScanPortsMax = 65536;
  const int wanted = nids_params.n_tcp_streams;
  const auto streams = wanted <= 0
                           ? 0
                           : static_cast<std::uint32_t>(
                                 static_cast<std::uint64_t>(wanted) * kShareUsed / kShareOf + 1);
  return {streams,
          seed,
          rules,
          {static_cast<std::uint32_t>(std::clamp(nids_params.scan_num_hosts, 0, 1 << 20)),
           static_cast<std::uint32_t>(std::clamp(nids_params.scan_num_ports, 0, kScanPortsMax)),
           nids_params.scan_delay, rules == Rules::Exact ? ScanDelay::Honoured : ScanDelay::Ignored,
           seed}};
}

/// Where flowloom's decoder finds IPv4 with TCP: behind any tags, tunnels and link types it knows.
std::optional<std::uint32_t> find_by_decoder(const FrameBytes& frame, int link_type,
                                             const HashSeed& seed) {
  Packet packet{};
  packet.frame = frame.data;
  packet.captured = frame.captured;
  packet.wire_length = std::max(frame.wire, frame.captured);
  packet.link = link_type_from_number(static_cast<std::uint32_t>(link_type));
  if (packet.link == LinkType::Unknown) return std::nullopt;
  decode(packet, {seed, HeaderChecksum::Verify});
  const bool found = packet.verdict == Verdict::Tcp || packet.verdict == Verdict::Fragment;
  if (!found || packet.has(packet_flags::kIpv6)) return std::nullopt;
  return packet.ip_offset;
}

/// `packet` may be shorter than a header, which whoever is warned will read.
void warn(IpVerdict verdict, const std::uint8_t* packet, std::uint32_t captured) {
  std::array<std::uint8_t, kIpv4MinHeaderBytes> padded{};
  if (captured < padded.size()) {
    std::memcpy(padded.data(), packet, captured);
    packet = padded.data();
  }
  report(NIDS_WARN_IP, verdict == IpVerdict::SourceRouted ? NIDS_WARN_IP_SRR : NIDS_WARN_IP_HDR,
         packet, nullptr);
}

}  // namespace

std::unique_ptr<Engine> Engine::open(Program& program) {
  pcap_t* const pcap = open_capture();
  if (pcap == nullptr) return nullptr;
  try {
    std::unique_ptr<Engine> engine(new Engine(program, pcap));
    engine->usable_ = engine->set_up();
    return engine;
  } catch (const std::bad_alloc&) {  // n_tcp_streams is the program's choice
    if (pcap != nids_params.pcap_desc) pcap_close(pcap);
    set_error("out of memory");
    return nullptr;
  }
}

bool Engine::set_up() {
  if (nids_params.pcap_filter != nullptr) {
    if (pcap_compile(pcap_, &filter_, nids_params.pcap_filter, 1, 0) < 0) {
      set_error("pcap_compile: ", pcap_geterr(pcap_));
      return false;
    }
    filters_ = true;
    if (pcap_setfilter(pcap_, &filter_) < 0) {
      set_error("pcap_setfilter: ", pcap_geterr(pcap_));
      return false;
    }
  }
  if (!is_readable(link_type_)) {
    set_error("link type unknown");
    return false;
  }
  if (is_live() && !resets_.open()) return false;
  if (nids_params.dev_addon == -1) nids_params.dev_addon = device_addon(link_type_);
  return true;
}

bool Engine::is_readable(int link_type) const {
  return link_type_is_known(link_type) ||
         (rules_ == Rules::Exact &&
          link_type_from_number(static_cast<std::uint32_t>(link_type)) != LinkType::Unknown);
}

bool Engine::set_link_type(int link_type) {
  if (!is_readable(link_type)) {
    set_error("link type unknown");
    return false;
  }
  link_type_ = link_type;
  return true;
}

Engine::Engine(Program& program, pcap_t* pcap)
    : program_(program),
      pcap_(pcap),
      link_type_(pcap_datalink(pcap)),
      rules_(wanted_rules()),
      seed_(random_seed()),
      tracker_(tracker_settings(seed_, rules_), program.tcp, program.checksums),
      fragments_(seed_, rules_),
      reads_file_(nids_params.pcap_desc == nullptr && nids_params.filename != nullptr),
      by_pcap_(reads_file_ && !file_.open(pcap)) {}

Engine::~Engine() {
  if (filters_) pcap_freecode(&filter_);
  if (pcap_ != nids_params.pcap_desc) pcap_close(pcap_);
}

// What is found here only saves time later: nothing is decided before the packets ahead of it were
// handled.
void Engine::prepare(Arrival& arrival) const {
  const FrameBytes frame{arrival.data, arrival.header.caplen, arrival.header.len};
  arrival.hashed = Hashed::No;
  arrival.located = Located::No;
  if (!usable_) return;
  std::optional<std::uint32_t> offset;
  if (rules_ == Rules::Exact) [[unlikely]]
    offset = find_by_decoder(frame, link_type_, seed_);
  if (!offset && link_type_is_known(link_type_)) offset = ip_header_of(link_type_, frame);
  if (!offset || *offset > frame.captured) return;
  arrival.located = Located::Yes;
  arrival.ip_offset = *offset;
  hash_ahead(arrival);
}

void Engine::hash_ahead(Arrival& arrival) const {
  constexpr std::uint32_t kPortsBytes = 4;
  constexpr std::uint16_t kAnyFragment = kMoreFragments | kFragmentOffsetMask;
  const std::uint8_t* const ip = arrival.data + arrival.ip_offset;
  const std::uint32_t captured = arrival.header.caplen - arrival.ip_offset;
  if (captured < kIpv4MinHeaderBytes || ip[kIpv4ProtocolOffset] != kTcpProtocol ||
      (load_be16(ip + kIpv4FragmentOffset) & kAnyFragment) != 0 ||
      captured < header_bytes_of(ip) + kPortsBytes) {
    return;
  }
  Packet packet;
  packet.frame = ip;
  packet.ip_offset = 0;
  packet.tcp_offset = static_cast<std::uint16_t>(header_bytes_of(ip));
  packet.encapsulation = 0;
  packet.flags = 0;
  hash_flow(packet, seed_);
  arrival.hash = packet.flow_hash;
  arrival.hashed = Hashed::Yes;
  tracker_.table().prefetch_bucket(arrival.hash);
}

inline void Engine::prefetch_stream(std::uint32_t place) const {
  if (place < ahead_ && burst_[place].hashed == Hashed::Yes) {
    tracker_.table().prefetch_stream(burst_[place].hash);
  }
}

Engine::Ahead Engine::read_one_by_pcap() {
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  const int result = pcap_next_ex(pcap_, &header, &data);
  if (result != 1) return result == PCAP_ERROR ? Ahead::Failed : Ahead::None;
  burst_[0].header = *header;
  burst_[0].data = const_cast<u_char*>(data);
  prepare(burst_[0]);
  at_ = 0;
  ahead_ = 1;
  return Ahead::Some;
}

Engine::Ahead Engine::read_ahead() {
  at_ = ahead_ = 0;
  while (!by_pcap_) {
    Arrival& arrival = burst_[ahead_];
    const CaptureFile::State state = file_.next(arrival);
    if (state == CaptureFile::State::Packet) {
      if (filters_ && pcap_offline_filter(&filter_, &arrival.header, arrival.data) == 0) continue;
      prepare(arrival);
      if (++ahead_ == kBurst) break;
    } else if (ahead_ != 0) {
      break;
    } else if (!file_.refill()) {
      if (state == CaptureFile::State::End) return Ahead::None;
      by_pcap_ = true;
      file_.give_back(pcap_);
    }
  }
  if (by_pcap_) return read_one_by_pcap();
  for (std::uint32_t i = 0; i < kStreamsAhead; ++i) prefetch_stream(i);
  return Ahead::Some;
}

int Engine::run_ahead(int count) {
  int handled = 0;
  while ((count <= 0 || handled < count) && !stopped_) {
    if (at_ == ahead_) {
      const Ahead ahead = read_ahead();
      if (ahead == Ahead::Failed) return PCAP_ERROR;
      if (ahead == Ahead::None) break;
    }
    prefetch_stream(at_ + kStreamsAhead);
    process(burst_[at_++]);
    ++handled;
  }
  return handled;
}

namespace {
void hand_over(u_char* engine, const pcap_pkthdr* header, const u_char* data) {
  reinterpret_cast<Engine*>(engine)->handle(*header, const_cast<u_char*>(data));
}
}  // namespace

bool Engine::is_live() { return nids::is_live(); }

int Engine::dispatch(int count) {
  stopped_ = false;
  if (nids_params.multiproc != 0) return run_threads(count);
  if (reads_file_) return run_ahead(count);
  return pcap_dispatch(pcap_, count, hand_over, reinterpret_cast<u_char*>(this));
}

int Engine::loop() {
  stopped_ = false;
  if (nids_params.multiproc != 0) return run_threads(0);
  if (reads_file_) return run_ahead(0);
  return pcap_loop(pcap_, -1, hand_over, reinterpret_cast<u_char*>(this));
}

bool Engine::next() {
  stopped_ = false;
  if (nids_params.multiproc != 0) return run_threads(1) == 1;
  if (reads_file_) return run_ahead(1) == 1;
  pcap_pkthdr header{};
  const u_char* const data = pcap_next(pcap_, &header);
  if (data == nullptr) return false;
  handle(header, const_cast<u_char*>(data));
  return true;
}

void Engine::handle(const pcap_pkthdr& header, u_char* data) {
  if (busy_) return;  // a packet within a packet's callback would be out of order
  own_.header = header;
  own_.data = data;
  prepare(own_);
  process(own_);
}

void Engine::exit_all() {
  busy_ = true;
  tracker_.exit_all();
  busy_ = false;
  nids_last_pcap_header = nullptr;
  nids_last_pcap_data = nullptr;
}

void Engine::process(Arrival& arrival) {
  nids_last_pcap_header = &arrival.header;
  nids_last_pcap_data = arrival.data;
  busy_ = true;
  tracker_.check_timeouts(arrival.stamp());
  if (arrival.located == Located::Yes) {
    nids_linkoffset = arrival.ip_offset;
    process_packet(arrival.data + arrival.ip_offset, arrival.header.caplen - arrival.ip_offset,
                   arrival);
  }
  busy_ = false;
}

void Engine::process_packet(u_char* packet, std::uint32_t captured, const Arrival& arrival) {
  for (const proc_node* node = program_.ip_fragment.head(); node != nullptr; node = node->next) {
    reinterpret_cast<IpCallback>(node->item)(reinterpret_cast<ip*>(packet),
                                             static_cast<int>(captured));
  }
  const auto filter = typed<IpFilter>(nids_params.ip_filter);
  if (filter != nullptr && filter != accept_every_packet &&
      filter(reinterpret_cast<ip*>(packet), static_cast<int>(captured)) == 0) {
    return;
  }
  const IpVerdict verdict = check_ip_header(packet, captured, program_.checksums);
  if (verdict != IpVerdict::Good) [[unlikely]] {
    warn(verdict, packet, captured);
    return;
  }
  Datagram datagram{packet,       header_bytes_of(packet), load_be16(packet + kIpv4LengthOffset), 0,
                    arrival.hash, arrival.hashed};
  if ((load_be16(packet + kIpv4FragmentOffset) & (kMoreFragments | kFragmentOffsetMask)) == 0) {
    fragments_.forget(packet);
    datagram.truesize = truesize_of(datagram.bytes, nids_params.dev_addon);
  } else {
    const std::span<std::uint8_t> whole = fragments_.add(packet, arrival.stamp());
    if (whole.empty()) return;
    datagram = {
        whole.data(), header_bytes_of(whole.data()), static_cast<std::uint32_t>(whole.size()), 0, 0,
        Hashed::No};
    datagram.truesize = truesize_of(datagram.bytes, 0);
  }
  process_datagram(datagram, arrival.stamp());
}

void Engine::process_datagram(const Datagram& datagram, Timestamp stamp) {
  for (const proc_node* node = program_.ip.head(); node != nullptr; node = node->next) {
    reinterpret_cast<IpCallback>(node->item)(reinterpret_cast<ip*>(datagram.ip),
                                             static_cast<int>(datagram.bytes));
  }
  switch (datagram.ip[kIpv4ProtocolOffset]) {
    case kTcpProtocol:
      tracker_.take_tcp(datagram, stamp);
      break;
    case kUdpProtocol:
      take_udp(datagram);
      break;
    case kIcmpProtocol:
      tracker_.take_icmp(datagram);
      break;
    default:
      break;
  }
}

void Engine::take_udp(const Datagram& datagram) {
  constexpr std::uint32_t kHeaderBytes = 8;
  constexpr std::uint32_t kLengthOffset = 4;
  constexpr std::uint32_t kChecksumOffset = 6;
  constexpr std::size_t kAddressesBytes = 8;
  if (program_.udp.head() == nullptr) return;
  std::uint8_t* const udp = datagram.ip + datagram.header_bytes;
  const std::uint32_t room = datagram.bytes - datagram.header_bytes;
  if (room < kHeaderBytes) return;
  const std::uint32_t bytes = load_be16(udp + kLengthOffset);
  if (bytes < kHeaderBytes || bytes > room) return;
  tuple4 ends = ends_of(datagram.ip, udp);
  if (load_be16(udp + kChecksumOffset) != 0 && program_.checksums.checks(ends.saddr) &&
      !checksum_is_good(
          pseudo_header_sum({datagram.ip + kIpv4SourceOffset, kAddressesBytes}, kUdpProtocol) +
          pseudo_length_sum(bytes) + checksum_sum({udp, bytes}))) {
    return;
  }
  for (const proc_node* node = program_.udp.head(); node != nullptr; node = node->next) {
    reinterpret_cast<UdpCallback>(node->item)(&ends, reinterpret_cast<char*>(udp + kHeaderBytes),
                                              static_cast<int>(bytes - kHeaderBytes),
                                              reinterpret_cast<ip*>(datagram.ip));
  }
}

}  // namespace flowloom::nids
