// nids.param() and what else Python says in words of its own: nids_params by name, checksum rules,
// paths and times.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include <sys/time.h>

namespace flowloom::nids {

/// Text of a str, of bytes, or of what os.fspath() takes.
std::string text_of(const pybind11::object& value);

/// The value of a field before the call; sets it, unless `value` is the ellipsis. None where there
/// is no such field.
pybind11::object parameter(const std::string& name, const pybind11::object& value);

/// Whether run() ends with NIDS_EXITING: the parameter "exiting".
bool wants_exiting();

/// [("10.0.0.0/8", False), ...]: whose checksums are looked at. Others' are.
void set_checksum_control(const pybind11::list& rules);

/// Seconds as an int or float, or (seconds, microseconds).
timeval time_of(const pybind11::object& value);

}  // namespace flowloom::nids
