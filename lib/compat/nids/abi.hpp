// The drop-in's own view of libnids' C interface: what nids.h leaves incomplete, the exact types of
// callbacks, and the sizes that programs built against libnids rely on.
#pragma once

#include "compat/nids/nids.h"

#include <cstddef>
#include <cstdint>

// Elements of the lists that nids.h names; their layouts are part of what old programs may know.
struct proc_node {
  void (*item)();
  proc_node* next;
};

struct lurker_node {
  void (*item)();
  void* data;
  char whatto;
  lurker_node* next;
};

/// An early segment that waits for the bytes before it.
struct skbuff {
  skbuff* next;
  skbuff* prev;
  std::uint8_t* data;
  std::uint32_t bytes;
  std::uint32_t truesize;
  std::uint32_t seq;
  std::uint16_t urgent_pointer;
  std::uint8_t flags;       ///< of the TCP header
  std::uint8_t size_class;  ///< of SegmentStore
  std::uint32_t timestamp;  ///< exact rules: what its timestamp option says
};

namespace flowloom::nids {

using TcpCallback = void (*)(tcp_stream*, void**);
using UdpCallback = void (*)(tuple4*, char*, int, ip*);
using IpCallback = void (*)(ip*, int);
using Syslog = void (*)(int, int, ip*, void*);
using IpFilter = int (*)(ip*, int);

/// Between the types that nids.h declares, which say nothing of arguments, and the true ones.
template <class To, class From>
To typed(From* function) {
  return reinterpret_cast<To>(reinterpret_cast<void (*)()>(function));
}

static_assert(sizeof(tuple4) == 12 && sizeof(half_stream) == 96 && sizeof(tcp_stream) == 288);
static_assert(offsetof(half_stream, data) == 8 && offsetof(half_stream, urg_ptr) == 60 &&
              offsetof(half_stream, list) == 80);
static_assert(offsetof(tcp_stream, client) == 24 && offsetof(tcp_stream, server) == 120 &&
              offsetof(tcp_stream, hash_index) == 232 && offsetof(tcp_stream, user) == 272);
static_assert(sizeof(nids_prm) == 120 && offsetof(nids_prm, ip_filter) == 64 &&
              offsetof(nids_prm, pcap_desc) == 104);
static_assert(sizeof(nids_chksum_ctl) == 16 && sizeof(tcp_timeout) == 40);
static_assert(sizeof(proc_node) == 16 && sizeof(lurker_node) == 32);

/// half_stream.state.
enum HalfState : std::int8_t {
  kEstablished = 1,
  kSynSent = 2,
  kSynReceived = 3,
  kClosed = 7,
  kClosing = 11,
  kFinSent = 120,
  kFinConfirmed = 121
};

/// lurker_node.whatto: what a listener is called for.
inline constexpr char kClientData = 1;
inline constexpr char kServerData = 2;
inline constexpr char kClientUrgent = 4;
inline constexpr char kServerUrgent = 8;

inline constexpr std::size_t kErrorBytes = 256;

/// Hands an event to nids_params.syslog. `packet` may be null.
void report(int type, int error, const void* packet, const void* data);

/// The functions that nids_params begins with.
void default_syslog(int type, int error, ip* packet, void* data);
int accept_every_packet(ip* packet, int bytes);

/// Writes nids_errbuf: both parts, one after the other, cut to its size.
void set_error(const char* first, const char* second = "");

}  // namespace flowloom::nids
