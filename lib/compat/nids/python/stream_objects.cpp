#include "compat/nids/python/stream_objects.hpp"

#include <arpa/inet.h>

namespace py = pybind11;

namespace flowloom::nids {

namespace {

std::size_t shown_bytes(const half_stream& half) {
  return half.data == nullptr || half.count <= half.offset
             ? 0
             : static_cast<std::size_t>(half.count - half.offset);
}

HalfCopy copy_of(const half_stream& half) {
  return {half.state,
          half.collect != 0,
          half.collect_urg != 0,
          std::string(half.data, shown_bytes(half)),
          static_cast<char>(half.urgdata),
          half.count,
          half.offset,
          half.count_new,
          half.count_new_urg};
}

py::str address_text(u_int network_order) {
  std::array<char, INET_ADDRSTRLEN> text;
  return py::str(inet_ntop(AF_INET, &network_order, text.data(), text.size()));
}

/// libnids counts listeners; a program says yes or no.
void set_wish(char& wish, bool wanted) {
  wish = wanted ? 1 : 0;
}

}  // namespace

StreamState::StreamState(tcp_stream* stream)
    : live(stream), ends(stream->addr), state(stream->nids_state) {}

void StreamState::detach(bool is_kept) {
  if (is_kept) halves = {copy_of(live->client), copy_of(live->server)};
  live = nullptr;
}

half_stream* HalfStream::live() const {
  if (stream_->live == nullptr) return nullptr;
  return side_ == Side::Client ? &stream_->live->client : &stream_->live->server;
}

int HalfStream::state() const {
  return live() != nullptr ? live()->state : copy().state;
}
bool HalfStream::collect() const {
  return live() != nullptr ? live()->collect != 0 : copy().collect;
}
bool HalfStream::collect_urgent() const {
  return live() != nullptr ? live()->collect_urg != 0 : copy().collect_urgent;
}
void HalfStream::set_collect(bool wanted) {
  if (live() != nullptr) set_wish(live()->collect, wanted);
}
void HalfStream::set_collect_urgent(bool wanted) {
  if (live() != nullptr) set_wish(live()->collect_urg, wanted);
}
int HalfStream::count() const {
  return live() != nullptr ? live()->count : copy().count;
}
int HalfStream::offset() const {
  return live() != nullptr ? live()->offset : copy().offset;
}
int HalfStream::count_new() const {
  return live() != nullptr ? live()->count_new : copy().count_new;
}
int HalfStream::count_new_urgent() const {
  return live() != nullptr ? live()->count_new_urg : copy().count_new_urgent;
}

// What is in the buffer, and not, as pynids has it, what was in it before as well.
py::bytes HalfStream::data() const {
  const half_stream* const half = live();
  return half != nullptr ? py::bytes(half->data, shown_bytes(*half)) : py::bytes(copy().data);
}

py::bytes HalfStream::urgent() const {
  const char byte = live() != nullptr ? static_cast<char>(live()->urgdata) : copy().urgent;
  return py::bytes(&byte, 1);
}

TcpStream::TcpStream(std::shared_ptr<StreamState> stream)
    : stream_(std::move(stream)),
      client_(py::cast(HalfStream(stream_, Side::Client))),
      server_(py::cast(HalfStream(stream_, Side::Server))) {}

py::tuple TcpStream::addr() const {
  return ends_tuple(stream_->ends);
}

tcp_stream& TcpStream::live() const {
  if (stream_->live == nullptr) throw Error("the stream's callback has returned");
  return *stream_->live;
}

void TcpStream::discard(int bytes) const {
  nids_discard(&live(), bytes);
}
void TcpStream::kill() const {
  nids_killtcp(&live());
}

py::tuple ends_tuple(const tuple4& ends) {
  return py::make_tuple(py::make_tuple(address_text(ends.saddr), ends.source),
                        py::make_tuple(address_text(ends.daddr), ends.dest));
}

void define_streams(py::module_& module) {
  py::class_<HalfStream>(module, "HalfStream", "One direction of a TcpStream.")
      .def_property_readonly("state", &HalfStream::state, "libnids' number of the TCP state")
      .def_property(
          "collect", &HalfStream::collect,
          [](HalfStream& half, const py::object& wanted) { half.set_collect(py::bool_(wanted)); },
          "whether this direction's data is wanted")
      .def_property(
          "collect_urg", &HalfStream::collect_urgent,
          [](HalfStream& half, const py::object& wanted) {
            half.set_collect_urgent(py::bool_(wanted));
          },
          "whether its urgent bytes are wanted")
      .def_property_readonly("data", &HalfStream::data, "the bytes from offset to count")
      .def_property_readonly("urgdata", &HalfStream::urgent, "the urgent byte")
      .def_property_readonly("count", &HalfStream::count, "bytes since the connection began")
      .def_property_readonly("offset", &HalfStream::offset, "where data begins in the stream")
      .def_property_readonly("count_new", &HalfStream::count_new, "bytes new with this call")
      .def_property_readonly("count_new_urg", &HalfStream::count_new_urgent,
                             "1 where urgdata is new with this call");
  py::class_<TcpStream>(module, "TcpStream", "A TCP connection, as its callback is given it.")
      .def_property_readonly("addr", &TcpStream::addr, "((client, port), (server, port))")
      .def_property_readonly("nids_state", &TcpStream::state, "one of the NIDS_ constants")
      .def_property_readonly("client", &TcpStream::client, "what flows to the client")
      .def_property_readonly("server", &TcpStream::server, "what flows to the server")
      .def("discard", &TcpStream::discard, py::arg("bytes"),
           "Of the data shown, only the first `bytes` go; the rest comes again.")
      .def("kill", &TcpStream::kill, "Sends resets to both ends (live captures only).");
}

}  // namespace flowloom::nids
