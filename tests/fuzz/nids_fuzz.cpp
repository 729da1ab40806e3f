// Any bytes as a capture for a program of libnids, under its rules and under `exact`: every
// connection that was told of ends once, its data can be read and goes on where it stopped.
//
// An input: control bits, a byte of sizes, the capture file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/check.hpp"
#include "compat/nids/abi.hpp"
#include "compat/nids/rules.hpp"

namespace {

using flowloom::nids::Rules;

namespace control {
constexpr unsigned kExact = 1;
constexpr unsigned kThreads = 2;
constexpr unsigned kOneLoopLess = 4;
constexpr unsigned kDiscard = 8;
constexpr unsigned kNoChecksums = 16;
constexpr unsigned kWorkarounds = 32;
constexpr unsigned kNoScans = 64;
constexpr unsigned kOneByOne = 128;
}  // namespace control

/// What the program knows of one side: how far its data was told.
struct Side {
  bool started = false;
  int end = 0;
};
struct Known {
  Side client;
  Side server;
};

unsigned bits;
std::map<const tcp_stream*, Known> open_streams;
std::uint64_t digest;

void look_at(const char* bytes, int count) {
  for (int i = 0; i < count; ++i) digest = digest * 31 + static_cast<std::uint8_t>(bytes[i]);
}

void take_data(tcp_stream& stream, half_stream& half, Side& side) {
  FLOWLOOM_CHECK(half.count_new >= 0 && half.count_new_urg <= 1);
  if (half.count_new_urg != 0) digest += half.urgdata;
  if (half.count_new == 0) return;
  const int held = half.count - half.offset;
  FLOWLOOM_CHECK(held >= half.count_new && half.bufsize >= held);
  look_at(half.data, held);
  const int begin = half.count - half.count_new;
  // `exact` counts what is missing; one_loop_less tells again what was left.
  const bool skips = (bits & control::kExact) != 0;
  const bool repeats = (bits & control::kOneLoopLess) != 0;
  if (side.started) {
    FLOWLOOM_CHECK(skips || begin <= side.end);
    FLOWLOOM_CHECK(repeats || begin >= side.end);
  }
  side.started = true;
  side.end = half.count;
  if ((bits & control::kDiscard) != 0) nids_discard(&stream, held / 2);
}

void on_tcp(tcp_stream* stream, void** own) {
  const auto known = open_streams.find(stream);
  if (stream->nids_state == NIDS_JUST_EST) {
    FLOWLOOM_CHECK(known == open_streams.end());
    open_streams[stream] = {};
    stream->client.collect = stream->server.collect = 1;
    stream->client.collect_urg = stream->server.collect_urg = 1;
    *own = stream;
    return;
  }
  FLOWLOOM_CHECK(known != open_streams.end() && *own == stream);
  if (stream->nids_state == NIDS_DATA) {
    FLOWLOOM_CHECK(nids_find_tcp_stream(&stream->addr) == stream);
    take_data(*stream, stream->client, known->second.client);
    take_data(*stream, stream->server, known->second.server);
    return;
  }
  look_at(stream->client.data, stream->client.count - stream->client.offset);
  look_at(stream->server.data, stream->server.count - stream->server.offset);
  open_streams.erase(known);
}

void on_udp(tuple4* /*ends*/, char* data, int length, ip* /*packet*/) {
  look_at(data, length);
}

void on_ip(ip* packet, int length) {
  look_at(reinterpret_cast<const char*>(packet), length);
}

void on_warning(int type, int error, ip* packet, void* data) {
  FLOWLOOM_CHECK(type >= NIDS_WARN_IP && type <= NIDS_WARN_SCAN);
  if (packet != nullptr) look_at(reinterpret_cast<const char*>(packet), sizeof(ip));
  if (type == NIDS_WARN_TCP && error != NIDS_WARN_TCP_HDR && data != nullptr) ++digest;
}

void set_parameters(unsigned sizes, std::string& path) {
  constexpr int kScansOff = 0;
  nids_params.filename = path.data();
  nids_params.n_tcp_streams = 1 << (sizes & 7);
  nids_params.n_hosts = 1 << ((sizes >> 3) & 3);
  nids_params.scan_num_hosts = (bits & control::kNoScans) != 0 ? kScansOff : 4;
  nids_params.scan_num_ports = 2;
  nids_params.multiproc = (bits & control::kThreads) != 0 ? 1 : 0;
  nids_params.one_loop_less = (bits & control::kOneLoopLess) != 0 ? 1 : 0;
  nids_params.tcp_workarounds = (bits & control::kWorkarounds) != 0 ? 1 : 0;
  nids_params.tcp_flow_timeout = (sizes & 32) != 0 ? 1 : 3600;
  nids_params.sk_buff_size = (sizes & 64) != 0 ? 0 : 168;
  nids_params.syslog = reinterpret_cast<void (*)()>(on_warning);
  flowloom::nids::set_rules((bits & control::kExact) != 0 ? Rules::Exact : Rules::Libnids);
}

void run() {
  nids_register_tcp(reinterpret_cast<void*>(on_tcp));
  nids_register_udp(reinterpret_cast<void*>(on_udp));
  nids_register_ip(reinterpret_cast<void*>(on_ip));
  nids_register_ip_frag(reinterpret_cast<void*>(on_ip));
  if ((bits & control::kOneByOne) == 0) {
    nids_run();
    return;
  }
  while (nids_next() == 1) {
  }
  nids_exit();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kControlBytes = 2;
  if (size < kControlBytes) return 0;
  const int file = memfd_create("capture", MFD_CLOEXEC);
  FLOWLOOM_CHECK(file >= 0);
  const std::size_t bytes = size - kControlBytes;
  FLOWLOOM_CHECK(write(file, data + kControlBytes, bytes) == static_cast<ssize_t>(bytes));
  std::string path = "/proc/self/fd/" + std::to_string(file);
  bits = data[0];
  set_parameters(data[1], path);
  nids_chksum_ctl all{.netaddr = 0, .mask = 0, .action = NIDS_DONT_CHKSUM, .reserved = 0};
  nids_register_chksum_ctl(&all, (bits & control::kNoChecksums) != 0 ? 1 : 0);
  if (nids_init() == 1) run();
  nids_exit();
  open_streams.clear();
  nids_register_chksum_ctl(nullptr, 0);
  close(file);
  return 0;
}
