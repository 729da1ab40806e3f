// The collector as extractor.py uses it. Not for users of the module.
#include "compat/python/flowloom/bindings.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "compat/python/flowloom/collector.hpp"
#include "compat/python/flowloom/options.hpp"

namespace flowloom::python {

namespace py = pybind11;

namespace {

/// Between two looks for Ctrl-C.
constexpr std::size_t kEventsAtOnce = 20000;
constexpr std::chrono::milliseconds kPause{1};
constexpr int kPausesAtOnce = 20;

Keep keep_named(const std::string& name) {
  if (name == "bytes") return Keep::Bytes;
  if (name == "steps") return Keep::Steps;
  if (name == "packets") return Keep::AllPackets;
  throw py::value_error("keep is bytes, steps or packets");
}

void check_signals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

/// (stamp in ns, frame, wire length, link type, id of its stream or 0), or None at the end.
py::object step(Collector& collector) {
  SteppedPacket packet;
  for (;;) {
    Collector::Step found{};
    {
      const py::gil_scoped_release release;
      found = collector.step(packet);
      for (int i = 0; i < kPausesAtOnce && found == Collector::Step::Nothing; ++i) {
        std::this_thread::sleep_for(kPause);
        found = collector.step(packet);
      }
    }
    if (found == Collector::Step::End) return py::none();
    if (found == Collector::Step::Packet) break;
    check_signals();
  }
  return py::make_tuple(packet.stamp_ns, bytes_of(packet.frame), packet.wire_length,
                        packet.link_type, packet.stream);
}

/// Takes in until the end, or until more than `bytes` are held. Returns false at the end.
bool take_in(Collector& collector, std::size_t bytes) {
  for (;;) {
    bool more = false;
    {
      const py::gil_scoped_release release;
      const std::size_t before = collector.held_bytes();
      more = collector.advance(kEventsAtOnce, bytes);
      if (more && collector.live() && collector.held_bytes() == before) {
        std::this_thread::sleep_for(kPause);
      }
    }
    if (!more) return false;
    if (collector.held_bytes() > bytes) return true;
    check_signals();
  }
}

py::tuple stream_tuple(const CollectedStream& s) {
  const StreamInfo& i = s.info;
  return py::make_tuple(tuple_of(i.sides[0].end_point), tuple_of(i.sides[1].end_point), key_of(i),
                        s.closed, i.start.count(), s.last_ns == 0 ? i.end.count() : s.last_ns,
                        s.sides[0].bytes.size(), s.sides[1].bytes.size(), s.packets.size());
}

py::list packets_of(const CollectedStream& s) {
  py::list list;
  for (const HeldPacket& p : s.packets) {
    const std::span frame = std::span(s.frames).subspan(p.at, p.captured);
    list.append(py::make_tuple(p.stamp_ns, bytes_of(frame), p.wire_length, p.link_type, p.payload,
                               p.from == Side::Originator ? 0 : 1));
  }
  return list;
}

void feed(Collector& collector, const py::buffer& frame, std::int64_t stamp_ns,
          std::uint32_t link_type, std::uint32_t wire_length) {
  const py::buffer_info view = frame.request();
  const auto size = static_cast<std::size_t>(view.size * view.itemsize);
  const CapturedFrame captured{.bytes = {static_cast<const std::uint8_t*>(view.ptr), size},
                               .stamp = std::chrono::nanoseconds{stamp_ns},
                               .link_type = link_type,
                               .wire_length = wire_length};
  const py::gil_scoped_release release;
  collector.feed(captured);
}

}  // namespace

void bind_collector(py::module_& module) {
  py::class_<Collector>(module, "Collector")
      .def(py::init([](const py::dict& options, const std::string& keep) {
        return std::make_unique<Collector>(options_of(options), keep_named(keep));
      }))
      .def("open", &Collector::open)
      .def("open_live", &Collector::open_live)
      .def("step", &step)
      .def("take_in", &take_in)
      .def("feed", &feed)
      .def("finish", &Collector::finish, py::call_guard<py::gil_scoped_release>())
      .def("interrupt", &Collector::interrupt)
      .def("ids",
           [](const Collector& c) {
             c.home().check();
             py::list list;
             for (const auto& [id, stream] : c.streams()) list.append(id);
             return list;
           })
      .def("stream", [](Collector& c, std::uint64_t id) { return stream_tuple(c.at(id)); })
      .def("info", [](Collector& c, std::uint64_t id) { return c.at(id).info; })
      .def("data",
           [](Collector& c, std::uint64_t id, std::size_t side) {
             return bytes_of(c.at(id).sides.at(side).bytes);
           })
      .def("dropped",
           [](Collector& c, std::uint64_t id) {
             const CollectedStream& s = c.at(id);
             return s.dropped[0] + s.dropped[1];
           })
      .def("gaps",
           [](Collector& c, std::uint64_t id, std::size_t side) {
             return list_of(c.at(id).sides.at(side).gaps);
           })
      .def("packets", [](Collector& c, std::uint64_t id) { return packets_of(c.at(id)); })
      .def("remove", &Collector::remove)
      .def("drop_content", &Collector::drop_content)
      .def_property_readonly("held_bytes", &Collector::held_bytes)
      .def_property_readonly("last_ns", &Collector::last_ns)
      .def_property_readonly("packet_count", &Collector::packets)
      .def_property_readonly("statistics",
                             [](const Collector& c) { return dict_of(c.extractor().statistics()); })
      .def("warn", [](const Collector& c) { warn_of_faults(c.extractor().faults()); });
}

}  // namespace flowloom::python
