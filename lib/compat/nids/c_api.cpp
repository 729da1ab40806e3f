// libnids' functions: what nids.h declares, over the one engine that a process can have.
#include <memory>

#include "compat/nids/abi.hpp"
#include "compat/nids/engine.hpp"
#include "compat/nids/session.hpp"

namespace flowloom::nids {

namespace {

/// Lives as long as the process; never destroyed, so that no callback is called at exit.
struct Process {
  Program program;
  std::unique_ptr<Engine> engine;
};

Process& process() {
  static auto* const only = new Process;
  return *only;
}

CallbackList::Callback callback_of(void* pointer) {
  return reinterpret_cast<CallbackList::Callback>(pointer);
}

bool has_engine() {
  if (process().engine != nullptr) return true;
  set_error("Libnids not initialized");
  return false;
}

/// The engine, unless one of its callbacks is running: calling it then would disorder events.
Engine* idle_engine() {
  if (!has_engine()) return nullptr;
  if (!process().engine->is_busy()) return process().engine.get();
  set_error("called from a callback");
  return nullptr;
}

}  // namespace

pcap_t* current_capture() {
  return process().engine == nullptr ? nullptr : process().engine->pcap();
}

bool feed(int link_type, const pcap_pkthdr& header, u_char* data) {
  Engine* const engine = idle_engine();
  if (engine == nullptr || !engine->set_link_type(link_type)) return false;
  engine->handle(header, data);
  process().program.sweep();
  return true;
}

}  // namespace flowloom::nids

using flowloom::nids::callback_of;
using flowloom::nids::Engine;
using flowloom::nids::idle_engine;
using flowloom::nids::process;
using flowloom::nids::set_error;

extern "C" {

// libnids shows the head of its list; a second name for ours.
proc_node* tcp_procs = nullptr;

int nids_init(void) {
  auto& only = process();
  if (only.engine != nullptr && only.engine->is_busy()) {
    set_error("nids_init() called from a callback");
    return 0;
  }
  nids_exit();
  only.engine = Engine::open(only.program);
  if (only.engine == nullptr) return 0;
  for (auto* list :
       {&only.program.tcp, &only.program.udp, &only.program.ip, &only.program.ip_fragment}) {
    list->clear();
  }
  tcp_procs = nullptr;
  return only.engine->is_usable() ? 1 : 0;
}

void nids_exit(void) {
  if (!flowloom::nids::has_engine()) return;
  auto& only = process();
  if (only.engine->is_busy()) {
    only.engine->stop();
    return;
  }
  only.engine->exit_all();
  only.engine.reset();
}

int nids_run(void) {
  Engine* const engine = idle_engine();
  if (engine == nullptr) return 0;
  engine->loop();
  process().program.sweep();
  set_error("loop: ", pcap_geterr(engine->pcap()));
  nids_exit();
  return 0;
}

int nids_dispatch(int count) {
  Engine* const engine = idle_engine();
  if (engine == nullptr) return -1;
  const int handled = engine->dispatch(count);
  process().program.sweep();
  if (handled == PCAP_ERROR) set_error("dispatch: ", pcap_geterr(engine->pcap()));
  return handled;
}

int nids_next(void) {
  Engine* const engine = idle_engine();
  if (engine == nullptr) return 0;
  if (engine->next()) return 1;
  set_error("next: ", pcap_geterr(engine->pcap()));
  return 0;
}

int nids_getfd(void) {
  if (!flowloom::nids::has_engine()) return -1;
  return pcap_get_selectable_fd(process().engine->pcap());
}

void nids_pcap_handler(u_char* /*user*/, pcap_pkthdr* header, u_char* data) {
  Engine* const engine = idle_engine();
  if (engine == nullptr) return;
  engine->handle(*header, data);
  process().program.sweep();
}

void nids_register_tcp(void* callback) {
  process().program.tcp.add(callback_of(callback));
  tcp_procs = process().program.tcp.head();
}
void nids_unregister_tcp(void* callback) {
  process().program.tcp.remove(callback_of(callback));
  tcp_procs = process().program.tcp.head();
}
void nids_register_udp(void* callback) {
  process().program.udp.add(callback_of(callback));
}
void nids_unregister_udp(void* callback) {
  process().program.udp.remove(callback_of(callback));
}
void nids_register_ip(void* callback) {
  process().program.ip.add(callback_of(callback));
}
void nids_unregister_ip(void* callback) {
  process().program.ip.remove(callback_of(callback));
}

void nids_register_ip_frag(void* callback) {
  process().program.ip_fragment.add(callback_of(callback));
}
void nids_unregister_ip_frag(void* callback) {
  process().program.ip_fragment.remove(callback_of(callback));
}

void nids_discard(tcp_stream* stream, int bytes) {
  if (bytes < stream->read) stream->read = bytes;
}

void nids_killtcp(tcp_stream* stream) {
  if (process().engine != nullptr) process().engine->kill(*stream);
}

// Not in nids.h, but a name that libnids exports: resets at this distance from what is expected.
void nids_killtcp_seq(tcp_stream* stream, int distance);
void nids_killtcp_seq(tcp_stream* stream, int distance) {
  if (process().engine == nullptr) return;
  process().engine->kill_at(*stream, static_cast<std::uint32_t>(distance));
}

tcp_stream* nids_find_tcp_stream(tuple4* end_points) {
  if (process().engine == nullptr) return nullptr;
  return process().engine->tracker().find(*end_points);
}

void nids_free_tcp_stream(tcp_stream* stream) {
  if (process().engine == nullptr) return;
  process().engine->tracker().free_stream(flowloom::nids::stream_of(stream));
}

void nids_register_chksum_ctl(nids_chksum_ctl* rules, int count) {
  process().program.checksums = {rules, count};
}
}
