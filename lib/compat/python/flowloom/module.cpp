// The extension module flowloom._flowloom.
#include <pybind11/pybind11.h>

#include <string>

#include "compat/python/flowloom/bindings.hpp"

PYBIND11_MODULE(_flowloom, module) {
  module.doc() = "The engine of the package flowloom.";
  module.attr("__version__") = std::string(flowloom::version());
  flowloom::python::bind_info(module);
  flowloom::python::bind_iterators(module);
  flowloom::python::bind_collector(module);
}
