// The Python module `nids`: pynids' interface over the drop-in, on the caller's thread.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.hpp"
#include "compat/nids/abi.hpp"
#include "compat/nids/python/parameters.hpp"
#include "compat/nids/python/stream_objects.hpp"
#include "compat/nids/session.hpp"

namespace py = pybind11;

namespace flowloom::nids {

namespace {

/// What Python registered, and what one of its callbacks raised. Never destroyed: Python may be
/// gone before the process is.
struct Module {
  py::object tcp = py::none();
  py::object udp = py::none();
  py::object ip = py::none();
  py::object ip_fragment = py::none();
  std::exception_ptr raised;
};

Module& module_state() {
  static auto* const only = new Module;
  return *only;
}

/// An exception waits until the packet is done; nothing else is called meanwhile.
template <class Function>
void call_python(const py::object& callback, Function&& function) {
  const py::gil_scoped_acquire gil;
  Module& module = module_state();
  if (module.raised != nullptr || callback.is_none()) return;
  try {
    function();
  } catch (...) {
    module.raised = std::current_exception();
  }
}

void rethrow() {
  Module& module = module_state();
  if (module.raised != nullptr) std::rethrow_exception(std::exchange(module.raised, nullptr));
}

void on_tcp(tcp_stream* stream, void** /*parameter*/) {
  const py::object callback = module_state().tcp;
  call_python(callback, [&] {
    const auto state = std::make_shared<StreamState>(stream);
    std::exception_ptr raised;
    {
      py::object shown = py::cast(TcpStream(state));
      try {
        callback(shown);
      } catch (...) {
        raised = std::current_exception();  // its traceback keeps the objects
      }
    }
    state->detach(state.use_count() > 1);
    if (raised != nullptr) std::rethrow_exception(raised);
  });
}

// A packet lies in the capture's buffer at any address: it is no `ip` that C++ may look into.
std::size_t total_length(const ip* packet) {
  return load_be16(reinterpret_cast<const std::uint8_t*>(packet) + offsetof(ip, ip_len));
}

py::bytes packet_bytes(const ip* packet) {
  return {reinterpret_cast<const char*>(packet), total_length(packet)};
}

void on_udp(tuple4* ends, char* data, int bytes, ip* packet) {
  const py::object callback = module_state().udp;
  call_python(callback, [&] {
    callback(ends_tuple(*ends), py::bytes(data, static_cast<std::size_t>(bytes)),
             packet_bytes(packet));
  });
}

void on_ip(ip* packet, int /*bytes*/) {
  const py::object callback = module_state().ip;
  call_python(callback, [&] { callback(packet_bytes(packet)); });
}

// Not validated yet: its length may be anything.
void on_ip_fragment(ip* packet, int bytes) {
  const py::object callback = module_state().ip_fragment;
  call_python(callback, [&] {
    const auto captured = static_cast<std::size_t>(bytes);
    const std::size_t said = captured >= sizeof(ip) ? total_length(packet) : captured;
    callback(py::bytes(reinterpret_cast<const char*>(packet), std::min(said, captured)));
  });
}

void check_callable(const py::object& callback) {
  if (!callback.is_none() && PyCallable_Check(callback.ptr()) == 0) {
    throw py::type_error("a callback must be callable, or None");
  }
}

template <class Callback>
void keep(py::object& place, py::object callback, void (*enlist)(void*), Callback* function) {
  check_callable(callback);
  place = std::move(callback);
  enlist(reinterpret_cast<void*>(function));
}

void enlist_all() {
  nids_register_tcp(reinterpret_cast<void*>(on_tcp));
  nids_register_udp(reinterpret_cast<void*>(on_udp));
  nids_register_ip(reinterpret_cast<void*>(on_ip));
  nids_register_ip_frag(reinterpret_cast<void*>(on_ip_fragment));
}

[[noreturn]] void throw_error() {
  throw Error(nids_errbuf);
}

void init() {
  if (nids_init() == 0) {
    rethrow();
    throw_error();
  }
  rethrow();  // by a callback that was told of the end of the capture before
}

/// One packet: 1, or 0 at the end or after the time-out.
int dispatch_one() {
  int handled = 0;
  if (current_capture() != nullptr && nids_params.filename == nullptr) {
    const py::gil_scoped_release waiting;
    handled = nids_dispatch(1);
  } else {
    handled = nids_dispatch(1);
  }
  if (handled < 0) {
    module_state().raised = nullptr;
    throw_error();
  }
  rethrow();
  return handled;
}

int dispatch(int count) {
  int handled = 0;
  while (count <= 0 || handled < count) {
    if (dispatch_one() == 0) break;
    ++handled;
  }
  return handled;
}

void exit_capture() {
  if (current_capture() == nullptr) return;
  nids_exit();
  rethrow();
}

void run() {
  constexpr unsigned kPacketsPerSignalCheck = 256;
  const bool live = nids_params.filename == nullptr && nids_params.pcap_desc == nullptr;
  for (unsigned packets = 0;; ++packets) {
    const int handled = dispatch_one();
    if (handled == 0 && !live) break;
    if ((handled == 0 || packets % kPacketsPerSignalCheck == 0) && PyErr_CheckSignals() != 0) {
      throw py::error_already_set();
    }
  }
  if (wants_exiting()) exit_capture();
}

void open_for_feeding() {
  constexpr int kSnapLength = 262144;
  nids_params.pcap_desc = pcap_open_dead(DLT_EN10MB, kSnapLength);
  const bool opened = nids_init() != 0;
  nids_params.pcap_desc = nullptr;  // the capture's own from here on: a later init() opens another
  if (!opened) throw_error();
  enlist_all();
}

py::object default_time(const py::object& packet) {
  if (py::hasattr(packet, "time")) return packet.attr("time");
  return py::module_::import("time").attr("time")();
}

/// A packet of the program's own: bytes, or what bytes() makes of it (scapy's packets).
void feed(const py::object& packet, const py::object& timestamp, int link_type) {
  const auto bytes = py::reinterpret_steal<py::bytes>(PyBytes_FromObject(packet.ptr()));
  py::object whole = bytes;
  if (!whole) {
    PyErr_Clear();
    whole = py::module_::import("builtins").attr("bytes")(packet);
  }
  // Callbacks may write to a packet, and Python's bytes do not change.
  std::string data = whole.cast<std::string>();
  pcap_pkthdr header{};
  header.ts = time_of(timestamp.is_none() ? default_time(packet) : timestamp);
  header.caplen = header.len = static_cast<bpf_u_int32>(data.size());
  if (current_capture() == nullptr) open_for_feeding();
  // Capture files have a number of their own for raw IP, the same on all systems.
  constexpr int kRawInFiles = 101;
  if (link_type == kRawInFiles) link_type = DLT_RAW;
  if (!nids::feed(link_type, header, reinterpret_cast<u_char*>(data.data()))) throw_error();
  rethrow();
}

double packet_time() {
  constexpr double kMicro = 1e6;
  if (nids_last_pcap_header == nullptr) throw Error("no packet yet");
  const timeval& ts = nids_last_pcap_header->ts;
  return static_cast<double>(ts.tv_sec) + static_cast<double>(ts.tv_usec) / kMicro;
}

py::tuple capture_statistics() {
  pcap_t* const capture = current_capture();
  if (capture == nullptr) throw Error("Libnids not initialized");
  pcap_stat statistics{};
  if (pcap_stats(capture, &statistics) != 0) throw Error(pcap_geterr(capture));
  return py::make_tuple(statistics.ps_recv, statistics.ps_drop, statistics.ps_ifdrop);
}

int descriptor() {
  const int found = nids_getfd();
  if (found < 0) throw_error();
  return found;
}

void define_registration(py::module_& module) {
  module.def(
      "register_tcp",
      [](py::object f) { keep(module_state().tcp, std::move(f), nids_register_tcp, on_tcp); },
      py::arg("callback"), "callback(TcpStream)");
  module.def(
      "register_udp",
      [](py::object f) { keep(module_state().udp, std::move(f), nids_register_udp, on_udp); },
      py::arg("callback"), "callback(((source, port), (destination, port)), payload, packet)");
  module.def(
      "register_ip",
      [](py::object f) { keep(module_state().ip, std::move(f), nids_register_ip, on_ip); },
      py::arg("callback"), "callback(packet): whole and valid IP packets");
  module.def(
      "register_ip_frag",
      [](py::object f) {
        keep(module_state().ip_fragment, std::move(f), nids_register_ip_frag, on_ip_fragment);
      },
      py::arg("callback"), "callback(packet): IP packets as they come");
}

void define_calls(py::module_& module) {
  module.def("init", &init, "Opens the capture that the parameters name.");
  module.def("run", &run, "Handles packets to the end of the capture.");
  module.def("dispatch", &dispatch, py::arg("count"), "Handles up to count packets.");
  module.def("next", &dispatch_one, "Handles one packet; 0 where there is none.");
  module.def("exit", &exit_capture, "Ends the capture: open streams are told NIDS_EXITING.");
  module.def("getfd", &descriptor, "A descriptor for select().");
  module.def("feed", &feed, py::arg("packet"), py::arg("timestamp") = py::none(),
             py::arg("linktype") = DLT_EN10MB,
             "Handles a packet of the program's own: bytes or a scapy packet.");
  module.def("param", &parameter, py::arg("name"), py::arg("value") = py::ellipsis(),
             "The value of a parameter before the call; sets it where one is given.");
  module.def("chksum_ctl", &set_checksum_control, py::arg("rules"),
             "[(network, whether its checksums are looked at), ...]");
  module.def("get_pkt_ts", &packet_time, "Seconds, of the packet at hand.");
  module.def("get_pcap_stats", &capture_statistics, "(received, dropped, dropped by interface)");
}

void define_module(py::module_& module) {
  py::register_exception<Error>(module, "error");
  define_streams(module);
  define_registration(module);
  define_calls(module);
  module.attr("__version__") = "0.6.2";
  module.attr("__nids_version__") = std::to_string(NIDS_MAJOR) + "." + std::to_string(NIDS_MINOR);
  module.attr("NIDS_JUST_EST") = NIDS_JUST_EST;
  module.attr("NIDS_DATA") = NIDS_DATA;
  module.attr("NIDS_CLOSE") = NIDS_CLOSE;
  module.attr("NIDS_RESET") = NIDS_RESET;
  module.attr("NIDS_TIMED_OUT") = NIDS_TIMED_OUT;
  module.attr("NIDS_TIMEOUT") = NIDS_TIMED_OUT;
  module.attr("NIDS_EXITING") = NIDS_EXITING;
}

}  // namespace

}  // namespace flowloom::nids

PYBIND11_MODULE(nids, module) {
  module.doc() = "TCP streams from packets: pynids' interface, by flowloom.";
  flowloom::nids::define_module(module);
}
