#include "compat/nids/python/parameters.hpp"

#include <arpa/inet.h>

#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "compat/nids/nids.h"
#include "compat/nids/python/stream_objects.hpp"
#include "compat/nids/rules.hpp"

namespace py = pybind11;

namespace flowloom::nids {

namespace {

struct Number {
  std::string_view name;
  int nids_prm::*field;
};

// Those of pynids, then those that it leaves out.
constexpr auto kNumbers = std::to_array<Number>({
    {"n_tcp_streams", &nids_prm::n_tcp_streams},
    {"n_hosts", &nids_prm::n_hosts},
    {"sk_buff_size", &nids_prm::sk_buff_size},
    {"dev_addon", &nids_prm::dev_addon},
    {"syslog_level", &nids_prm::syslog_level},
    {"scan_num_hosts", &nids_prm::scan_num_hosts},
    {"scan_num_ports", &nids_prm::scan_num_ports},
    {"scan_delay", &nids_prm::scan_delay},
    {"promisc", &nids_prm::promisc},
    {"one_loop_less", &nids_prm::one_loop_less},
    {"pcap_timeout", &nids_prm::pcap_timeout},
    {"tcp_flow_timeout", &nids_prm::tcp_flow_timeout},
    {"tcp_workarounds", &nids_prm::tcp_workarounds},
});

struct Text {
  std::string_view name;
  char* nids_prm::*field;
};

constexpr auto kTexts = std::to_array<Text>({
    {"device", &nids_prm::device},
    {"pcap_filter", &nids_prm::pcap_filter},
    {"filename", &nids_prm::filename},
});

int exiting_wanted = 0;

py::object set_number(int& field, const py::object& value) {
  const int before = field;
  if (!value.is(py::ellipsis())) field = value.cast<int>();
  return py::int_(before);
}

py::object set_text(const Text& row, const py::object& value) {
  static auto* const memory =
      new std::map<std::string_view, std::string>;  // as long as nids_params
  char*& field = nids_params.*row.field;
  const py::object before = field == nullptr ? py::object(py::none()) : py::str(field);
  if (value.is(py::ellipsis())) return before;
  field = nullptr;
  if (value.is_none()) return before;
  (*memory)[row.name] = text_of(value);
  field = (*memory)[row.name].data();
  return before;
}

nids_chksum_ctl rule_of(const py::tuple& rule) {
  constexpr unsigned kAddressBits = 32;
  const std::string text = text_of(rule[0]);
  const std::size_t slash = text.find('/');
  unsigned bits = kAddressBits;
  if (slash != std::string::npos) {
    try {
      bits = static_cast<unsigned>(std::stoul(text.substr(slash + 1)));
    } catch (const std::exception&) {
      bits = kAddressBits + 1;
    }
  }
  in_addr address{};
  if (bits > kAddressBits || inet_aton(text.substr(0, slash).c_str(), &address) == 0) {
    throw Error("no network address: " + text);
  }
  const std::uint32_t mask = bits == 0 ? 0 : ~std::uint32_t{0} << (kAddressBits - bits);
  return {address.s_addr & htonl(mask), htonl(mask),
          py::bool_(rule[1]) ? u_int{NIDS_DO_CHKSUM} : u_int{NIDS_DONT_CHKSUM}, 0};
}

}  // namespace

std::string text_of(const py::object& value) {
  if (py::isinstance<py::bytes>(value) || py::isinstance<py::str>(value)) {
    return value.cast<std::string>();
  }
  return text_of(py::module_::import("os").attr("fspath")(value));
}

py::object parameter(const std::string& name, const py::object& value) {
  for (const Number& row : kNumbers) {
    if (row.name == name) return set_number(nids_params.*row.field, value);
  }
  for (const Text& row : kTexts) {
    if (row.name == name) return set_text(row, value);
  }
  if (name == "exiting") return set_number(exiting_wanted, value);
  if (name != "exact") return py::none();
  int exact = wanted_rules() == Rules::Exact ? 1 : 0;
  const py::object before = set_number(exact, value);
  set_rules(exact != 0 ? Rules::Exact : Rules::Libnids);
  return before;
}

bool wants_exiting() {
  return exiting_wanted != 0;
}

void set_checksum_control(const py::list& rules) {
  static auto* const kept = new std::vector<nids_chksum_ctl>;  // libnids keeps the pointer
  std::vector<nids_chksum_ctl> wanted;
  for (const py::handle& rule : rules) wanted.push_back(rule_of(rule.cast<py::tuple>()));
  *kept = std::move(wanted);
  nids_register_chksum_ctl(kept->data(), static_cast<int>(kept->size()));
}

timeval time_of(const py::object& value) {
  constexpr double kMicro = 1e6;
  if (py::isinstance<py::tuple>(value)) {
    const auto parts = value.cast<py::tuple>();
    return {parts[0].cast<long>(), parts[1].cast<long>()};
  }
  const double seconds = py::float_(value);
  const double whole = std::floor(seconds);
  return {static_cast<long>(whole), static_cast<long>(std::floor((seconds - whole) * kMicro))};
}

}  // namespace flowloom::nids
