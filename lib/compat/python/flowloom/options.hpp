// Keyword arguments of Python as options of an extractor.
#pragma once

#include <flowloom/extractor.hpp>

namespace pybind11 __attribute__((visibility("hidden"))) {
class dict;
}

namespace flowloom::python {

/// Throws TypeError for names that are none, ValueError for values that do not fit.
ExtractorOptions options_of(const pybind11::dict& keywords);

}  // namespace flowloom::python
