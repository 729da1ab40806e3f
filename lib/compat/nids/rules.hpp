// The two ways in which the drop-in follows connections.
#pragma once

#include <cstdint>

namespace flowloom::nids {

enum class Rules : std::uint8_t {
  Libnids,  ///< as libnids 1.26 does, its losses included
  Exact     ///< what docs/libnids.md lists as corrected
};

/// What FLOWLOOM_NIDS in the environment asks for, unless set_rules() was called.
Rules wanted_rules();
void set_rules(Rules rules);

}  // namespace flowloom::nids
