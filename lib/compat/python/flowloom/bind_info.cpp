// StreamInfo, statistics, gaps, warnings: plain values on their way to Python.
#include "compat/python/flowloom/bindings.hpp"

#include <string>

namespace flowloom::python {

namespace py = pybind11;

namespace {

py::object type_named(const char* name) {
  return py::module_::import("flowloom._types").attr(name);
}

py::dict side_of(const SideInfo& side) {
  py::dict d;
  d["end_point"] = tuple_of(side.end_point);
  d["packets"] = side.packets;
  d["payload_bytes"] = side.payload_bytes;
  d["stream_bytes"] = side.stream_bytes;
  d["gap_bytes"] = side.gap_bytes;
  d["gaps"] = side.gaps;
  d["duplicate_bytes"] = side.duplicate_bytes;
  d["overlap_conflicts"] = side.overlap_conflicts;
  d["out_of_order"] = side.out_of_order;
  d["retransmissions"] = side.retransmissions;
  return d;
}

}  // namespace

py::list list_of(const std::vector<GapInStream>& gaps) {
  py::list list;
  if (gaps.empty()) return list;
  const py::object type = type_named("Gap");
  for (const GapInStream& gap : gaps) {
    list.append(type(gap.offset, gap.length, text_of(name_of(gap.reason))));
  }
  return list;
}

py::dict dict_of(const std::vector<Count>& counts) {
  py::dict d;
  for (const Count& count : counts) d[text_of(count.name)] = count.value;
  return d;
}

py::dict dict_of(const Statistics& s) {
  py::dict d;
  d["packets"] = s.packets;
  d["missed"] = s.missed;
  d["payload_bytes"] = s.payload_bytes;
  d["delivered_bytes"] = s.delivered_bytes;
  d["connections_created"] = s.connections_created;
  d["connections_closed"] = s.connections_closed;
  d["verdicts"] = dict_of(s.verdicts);
  d["fates"] = dict_of(s.fates);
  py::list limits;
  for (const std::string_view limit : s.limits) limits.append(text_of(limit));
  d["limits"] = limits;
  d["balances"] = s.balances;
  return d;
}

void warn_of_faults(const std::vector<InputFault>& faults) {
  for (const InputFault& fault : faults) {
    const py::object type = type_named("CaptureWarning");
    if (PyErr_WarnEx(type.ptr(), fault.sentence.c_str(), 1) != 0) throw py::error_already_set();
  }
}

void bind_info(py::module_& module) {
  py::class_<StreamInfo>(module, "StreamInfo", "What is known of a connection beside its bytes.")
      .def_property_readonly(
          "client", [](const StreamInfo& i) { return tuple_of(i.sides[0].end_point); })
      .def_property_readonly(
          "server", [](const StreamInfo& i) { return tuple_of(i.sides[1].end_point); })
      .def_property_readonly("key", &key_of)
      .def_property_readonly("client_side", [](const StreamInfo& i) { return side_of(i.sides[0]); })
      .def_property_readonly("server_side", [](const StreamInfo& i) { return side_of(i.sides[1]); })
      .def_property_readonly("start", [](const StreamInfo& i) { return seconds_of(i.start); })
      .def_property_readonly("end", [](const StreamInfo& i) { return seconds_of(i.end); })
      .def_property_readonly("start_ns", [](const StreamInfo& i) { return i.start.count(); })
      .def_property_readonly("end_ns", [](const StreamInfo& i) { return i.end.count(); })
      .def_property_readonly("reason",
                             [](const StreamInfo& i) { return text_of(name_of(i.reason)); })
      .def_property_readonly("state", [](const StreamInfo& i) { return text_of(i.state); })
      .def_property_readonly("history", [](const StreamInfo& i) { return i.history; })
      .def_property_readonly("midstream", [](const StreamInfo& i) { return i.midstream; })
      .def_property_readonly("established", [](const StreamInfo& i) { return i.established; })
      .def_property_readonly("reuse", [](const StreamInfo& i) { return i.reuse; })
      .def_property_readonly("first_packet", [](const StreamInfo& i) { return i.first_packet; })
      .def_property_readonly("anomalies", [](const StreamInfo& i) { return dict_of(i.anomalies); })
      .def_property_readonly("encapsulation",
                             [](const StreamInfo& i) {
                               py::list list;
                               for (const std::string& layer : i.encapsulation) list.append(layer);
                               return list;
                             })
      .def("__repr__", [](const StreamInfo& i) {
        return "<flowloom.StreamInfo " + key_of(i) + " " + std::string(name_of(i.reason)) + ">";
      });
}

}  // namespace flowloom::python
