#include "compat/python/flowloom/options.hpp"

#include <pybind11/pybind11.h>

#include <cmath>
#include <string>

namespace flowloom::python {

namespace py = pybind11;

namespace {

std::chrono::nanoseconds duration_of(py::handle value) {
  constexpr double kLongest = 9e9;  // seconds that 64 bits of nanoseconds hold
  const double seconds = value.cast<double>();
  if (!(std::abs(seconds) < kLongest)) throw py::value_error("that is no number of seconds");
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(seconds));
}

/// A row: how the value of a keyword gets into the options.
struct Row {
  const char* name;
  void (*set)(ExtractorOptions&, py::handle);
};

constexpr Row kRows[] = {
    {"bpf_filter", [](ExtractorOptions& o, py::handle v) { o.filter = v.cast<std::string>(); }},
    {"workers", [](ExtractorOptions& o, py::handle v) { o.workers = v.cast<unsigned>(); }},
    {"max_flows",
     [](ExtractorOptions& o, py::handle v) { o.max_flows = v.cast<std::uint32_t>(); }},
    {"memory", [](ExtractorOptions& o, py::handle v) { o.memory = v.cast<std::uint64_t>(); }},
    {"depth", [](ExtractorOptions& o, py::handle v) { o.depth = v.cast<std::uint64_t>(); }},
    {"idle_timeout", [](ExtractorOptions& o, py::handle v) { o.idle_timeout = duration_of(v); }},
    {"syn_timeout", [](ExtractorOptions& o, py::handle v) { o.syn_timeout = duration_of(v); }},
    {"closed_timeout",
     [](ExtractorOptions& o, py::handle v) { o.closed_timeout = duration_of(v); }},
    {"overlap", [](ExtractorOptions& o, py::handle v) { o.overlap = v.cast<std::string>(); }},
    {"fragment_overlap",
     [](ExtractorOptions& o, py::handle v) { o.fragment_overlap = v.cast<std::string>(); }},
    {"checksum", [](ExtractorOptions& o, py::handle v) { o.checksum = v.cast<std::string>(); }},
    {"deliver", [](ExtractorOptions& o, py::handle v) { o.deliver = v.cast<std::string>(); }},
    {"scan_ports",
     [](ExtractorOptions& o, py::handle v) { o.scan_ports = v.cast<std::uint32_t>(); }},
    {"scan_delay", [](ExtractorOptions& o, py::handle v) { o.scan_delay = duration_of(v); }},
    {"urgent", [](ExtractorOptions& o, py::handle v) { o.urgent = v.cast<std::string>(); }},
};

const Row* find_row(const std::string& name) {
  for (const Row& row : kRows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

}  // namespace

ExtractorOptions options_of(const py::dict& keywords) {
  ExtractorOptions options;
  for (const auto& [key, value] : keywords) {
    const auto name = key.cast<std::string>();
    const Row* row = find_row(name);
    if (row == nullptr) throw py::type_error("there is no option '" + name + "'");
    if (value.is_none()) continue;
    try {
      row->set(options, value);
    } catch (const py::cast_error&) {
      throw py::value_error("the value of '" + name + "' does not fit");
    }
  }
  return options;
}

}  // namespace flowloom::python
