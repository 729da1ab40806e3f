// The variables of libnids' interface with their first values, and the functions they begin with.
#include "compat/nids/abi.hpp"
#include "compat/nids/scan_log.hpp"

#include <fmt/format.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

extern "C" {
void nids_no_mem(char* place);
[[noreturn]] static void stop_for_memory(const char* place);

char nids_errbuf[flowloom::nids::kErrorBytes];

static char warning_murphy[] = "Murphy - you never should see this message !";
static char warning_oversized[] = "Oversized IP packet";
static char warning_list[] = "Invalid IP fragment list: fragment over size";
static char warning_overlap[] = "Overlapping IP fragments";
static char warning_ip_header[] = "Invalid IP header";
static char warning_source_route[] = "Source routed IP frame";
static char warning_too_many[] = "Max number of TCP streams reached";
static char warning_tcp_header[] = "Invalid TCP header";
static char warning_big_queue[] = "Too much data in TCP receive queue";
static char warning_flags[] = "Invalid TCP flags";

char* nids_warnings[] = {warning_murphy,   warning_oversized,  warning_list,
                         warning_overlap,  warning_ip_header,  warning_source_route,
                         warning_too_many, warning_tcp_header, warning_big_queue,
                         warning_flags};

pcap_pkthdr* nids_last_pcap_header = nullptr;
u_char* nids_last_pcap_data = nullptr;
u_int nids_linkoffset = 0;
tcp_timeout* nids_tcp_timeouts = nullptr;

nids_prm nids_params = {
    .n_tcp_streams = 1040,
    .n_hosts = 256,
    .device = nullptr,
    .filename = nullptr,
    .sk_buff_size = 168,
    .dev_addon = -1,
    .syslog = reinterpret_cast<void (*)()>(flowloom::nids::default_syslog),
    .syslog_level = LOG_ALERT,
    .scan_num_hosts = 256,
    .scan_delay = 3000,
    .scan_num_ports = 10,
    .no_mem = nids_no_mem,
    .ip_filter = flowloom::nids::typed<int (*)()>(flowloom::nids::accept_every_packet),
    .pcap_filter = nullptr,
    .promisc = 1,
    .one_loop_less = 0,
    .pcap_timeout = 1024,
    .multiproc = 0,
    .queue_limit = 20000,
    .tcp_workarounds = 0,
    .pcap_desc = nullptr,
    .tcp_flow_timeout = 3600,
};

static void stop_for_memory(const char* place) {
  const std::string text = fmt::format("Out of memory in {}.\n", place);
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) std::abort();
  std::exit(EXIT_FAILURE);
}

void nids_no_mem(char* place) {
  stop_for_memory(place);
}
}

namespace flowloom::nids {

namespace {

std::string address_text(std::uint32_t network_order) {
  std::array<std::uint8_t, 4> bytes;
  std::memcpy(bytes.data(), &network_order, sizeof network_order);
  return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
}

std::string tcp_text(const ip& packet, const void* header) {
  tcphdr tcp{};
  if (header != nullptr) std::memcpy(&tcp, header, sizeof tcp);
  return fmt::format("from {}:{} to  {}:{}", address_text(packet.ip_src.s_addr),
                     ntohs(tcp.th_sport), address_text(packet.ip_dst.s_addr), ntohs(tcp.th_dport));
}

std::string scan_type(const ScanHost& host) {
  const std::uint8_t flags = host.packets[0].flags;
  const ScanPacket* const begin = host.packets;
  const ScanPacket* const end = begin + host.n_packets;
  const bool equal = std::all_of(begin, end, [&](const ScanPacket& p) { return p.flags == flags; });
  if (!equal) return "various flags";
  if (flags == 0) return "NULL";
  if (flags == TH_SYN) return "SYN";
  if (flags == TH_FIN) return "FIN";
  return fmt::format("flags=0x{:x}", flags);
}

std::string scan_text(const ScanHost& host) {
  std::string text = fmt::format("Scan from {}. Scanned ports: ", address_text(host.addr));
  for (int i = 0; i < host.n_packets; ++i) {
    text += fmt::format("{}:{},", address_text(host.packets[i].addr), host.packets[i].port);
  }
  return text + "scan type: " + scan_type(host);
}

void write_log(const std::string& text) {
  ::syslog(nids_params.syslog_level, "%s", text.c_str());
}

}  // namespace

void default_syslog(int type, int error, ip* packet, void* data) {
  if (type == NIDS_WARN_SCAN) {
    write_log(scan_text(*static_cast<const ScanHost*>(data)));
    return;
  }
  constexpr int kWarnings = sizeof nids_warnings / sizeof nids_warnings[0];
  const char* warning = nids_warnings[error >= 0 && error < kWarnings ? error : 0];
  ip header{};
  if (packet != nullptr) std::memcpy(&header, packet, sizeof header);
  if (type == NIDS_WARN_TCP && error != NIDS_WARN_TCP_HDR) {
    write_log(fmt::format("{},{}", warning, tcp_text(header, data)));
    return;
  }
  write_log(fmt::format("{}, packet (apparently) from {} to {}", warning,
                        address_text(header.ip_src.s_addr), address_text(header.ip_dst.s_addr)));
}

int accept_every_packet(ip* /*packet*/, int /*bytes*/) {
  return 1;
}

void report(int type, int error, const void* packet, const void* data) {
  if (nids_params.syslog == nullptr) return;
  // The interface has no const; whoever gets the event may look, not write.
  reinterpret_cast<Syslog>(nids_params.syslog)(
      type, error, static_cast<ip*>(const_cast<void*>(packet)), const_cast<void*>(data));
}

void set_error(const char* first, const char* second) {
  const std::string_view parts[] = {first, second == nullptr ? "" : second};
  std::size_t at = 0;
  for (const std::string_view part : parts) {
    const std::size_t bytes = std::min(part.size(), kErrorBytes - 1 - at);
    std::memcpy(nids_errbuf + at, part.data(), bytes);
    at += bytes;
  }
  nids_errbuf[at] = '\0';
}

}  // namespace flowloom::nids
