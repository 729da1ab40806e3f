#include "compat/nids/rules.hpp"

#include <cstdlib>
#include <optional>
#include <string_view>

namespace flowloom::nids {

namespace {
std::optional<Rules> chosen_rules;
}

Rules wanted_rules() {
  if (chosen_rules) return *chosen_rules;
  const char* const wanted = std::getenv("FLOWLOOM_NIDS");
  return wanted != nullptr && std::string_view{wanted} == "exact" ? Rules::Exact : Rules::Libnids;
}

void set_rules(Rules rules) {
  chosen_rules = rules;
}

}  // namespace flowloom::nids
