// What the library knows as Python objects: the few that cross in numbers are made by hand.
#pragma once

#include <flowloom/extractor.hpp>
#include <pybind11/pybind11.h>

#include <span>
#include <vector>

#include "compat/python/flowloom/stream_batch.hpp"

namespace flowloom::python {

inline pybind11::bytes bytes_of(std::span<const std::uint8_t> view) {
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}

inline double seconds_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

inline pybind11::str text_of(std::string_view text) { return {text.data(), text.size()}; }

/// ("10.1.1.1", 80)
inline pybind11::tuple tuple_of(const EndPoint& end_point) {
  return pybind11::make_tuple(end_point.address_text(), end_point.port);
}

/// "10.1.1.1:3177 ==> 10.1.1.1:80"
inline std::string key_of(const StreamInfo& info) {
  return info.sides[0].end_point.text() + " ==> " + info.sides[1].end_point.text();
}

/// A list of flowloom.Gap.
pybind11::list list_of(const std::vector<GapInStream>& gaps);

/// {"delivered": 12, ...}
pybind11::dict dict_of(const std::vector<Count>& counts);

pybind11::dict dict_of(const Statistics& statistics);

/// flowloom.CaptureWarning for every input that could not be read to its end.
void warn_of_faults(const std::vector<InputFault>& faults);

/// Registers flowloom.StreamInfo.
void bind_info(pybind11::module_& module);
/// Registers the iterators and what they yield.
void bind_iterators(pybind11::module_& module);
/// Registers what TCPStreamExtractor stands on.
void bind_collector(pybind11::module_& module);

}  // namespace flowloom::python
